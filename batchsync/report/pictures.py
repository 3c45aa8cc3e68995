"""What each chart of a report shows, in numbers and in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from batchsync.ledger.usage import FailureSum
from batchsync.model.text import clean
from batchsync.report.charts import Chart
from batchsync.report.credits import Report, Usage, largest
from batchsync.report.words import grouping

MOST_BARS, MOST_DAYS = 12, 3660


def _said(pairs: Iterable[tuple[str, float]]) -> str:
    return "; ".join(f"{clean(label)} {value:,}" for label, value in pairs)


def _largest(report: Report) -> tuple[list[Usage], str]:
    """The groups that moved the most credits, in their order, and words for how many there are."""
    groups = largest(report, MOST_BARS)
    of = f" (the {len(groups)} largest of {len(report.groups):,})" if len(groups) < len(report.groups) else ""
    return groups, f"by {grouping(report.by)}{of}"


def bars(report: Report, name: str) -> Chart | None:
    """Credits net of the largest groups."""
    groups, which = _largest(report)
    if not groups:
        return None
    labels, nets = [clean(usage.key) for usage in groups], [usage.net for usage in groups]
    told = f"Bars of credits net. {_said(zip(labels, nets, strict=True))}."
    return Chart(name, f"Credits net {which}", told, labels, [("net", nets)], lying=True)


def over_time(report: Report) -> Chart | None:
    """Credits net of every day or month."""
    nets = {usage.key: usage.net for usage in report.groups if usage.key[:1].isdigit()}
    if not nets:
        return None
    days = _every(sorted(nets), report.by)
    most = max(nets, key=lambda key: nets[key])
    told = f"A bar for every {report.by} from {min(nets)} to {max(nets)}; the most on {most}: {nets[most]:,} credits."
    labels = [f"{day.day} {day:%b}" if report.by == "day" else f"{day:%b %Y}" for day in days.values()]
    return Chart("time", f"Credits net by {report.by}", told, labels, [("net", [nets.get(key, 0) for key in days])])


def _every(names: list[str], by: str) -> dict[str, date]:
    """All days or months from the first to the last by their names, also those in which nothing moved."""
    found = {name: date.fromisoformat(name if by == "day" else f"{name}-01") for name in names}
    day, end, length = found[names[0]], found[names[-1]], len(names[0])
    if (end - day).days > MOST_DAYS:
        return found
    every: dict[str, date] = {}
    while day <= end:
        every.setdefault(day.isoformat()[:length], day)
        day += timedelta(days=1)
    return every


def against(report: Report) -> Chart:
    """What was estimated for the rendered jobs of the largest groups, and what they settled at."""
    largest, which = _largest(report)
    groups = [usage for usage in largest if usage.clips_estimated]
    labels = [clean(usage.key) for usage in groups]
    pairs = ((usage.key, f"{usage.clips_estimated:,} and {usage.clips_settled:,}") for usage in groups)
    told = f"Pairs of bars, credits estimated and settled. {'; '.join(f'{clean(k)} {v}' for k, v in pairs)}."
    series = [
        ("estimated", [usage.clips_estimated for usage in groups]),
        ("settled", [usage.clips_settled for usage in groups]),
    ]
    return Chart("against", f"Rendered jobs: credits {which}", told, labels, series, lying=True)


def failed(failures: Sequence[FailureSum]) -> Chart | None:
    """Jobs that ended badly, by code."""
    if not failures:
        return None
    shown = failures[:MOST_BARS]
    labels, jobs = [_why(one) for one in shown], [one.jobs for one in shown]
    told = f"Bars of jobs. {_said(zip(labels, jobs, strict=True))}."
    return Chart("failures", "Jobs that ended badly", told, labels, [("jobs", jobs)], lying=True)


def _why(one: FailureSum) -> str:
    return clean(one.code) if one.state in ("failed", one.code) else f"{clean(one.code)} ({one.state})"
