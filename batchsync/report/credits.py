"""Credit usage, grouped and summed. Totals are the sums of their groups, to the credit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from batchsync.errors import SettingError
from batchsync.ledger.usage import EntrySum, UsageJob
from batchsync.ledger.views import Views
from batchsync.model.credits import EntryKind
from batchsync.model.states import State

BY = ("run", "manifest", "day", "month", "mode", "job")
NO_KEY = "(none)"


@dataclass(slots=True)
class Usage:
    """Credits of one group, or of everything. `unknown` is what lost submissions may have cost beyond that."""

    key: str
    jobs: int = 0
    complete: int = 0
    failed: int = 0
    held: int = 0
    estimated: int = 0
    charged: int = 0
    refunded: int = 0
    unknown: int = 0

    @property
    def net(self) -> int:
        return self.charged - self.refunded


@dataclass(slots=True)
class Report:
    """Usage by `by`; `totals` is the sum of `groups`. Days and months are UTC."""

    by: str
    totals: Usage
    groups: list[Usage] = field(default_factory=list)


def check_by(by: str) -> str:
    """A grouping that there is. Raises SettingError."""
    if by in BY or (by.startswith("tag:") and len(by) > 4):
        return by
    raise SettingError(f"there is no report by {by!r}", hint=f"one of {', '.join(BY)}, tag:KEY")


def build(views: Views, by: str, since: float | None = None, until: float | None = None) -> Report:
    """The report. `since` and `until` (epoch seconds) bound the time at which credits moved and jobs were sent."""
    groups: dict[str, Usage] = {}

    def group(key: str | None) -> Usage:
        return groups.setdefault(key or NO_KEY, Usage(key or NO_KEY))

    tag = by.removeprefix("tag:") if by.startswith("tag:") else None
    for job in views.usage_jobs(tag, since, until):
        _count(group(_job_key(job, by)), job)
    for entry in views.usage_entries(tag, since, until):
        _add(group(_entry_key(entry, by)), entry)
    ordered = [groups[key] for key in sorted(groups, key=lambda key: (key == NO_KEY, key))]
    return Report(by, _sum(ordered), ordered)


def _job_key(job: UsageJob, by: str) -> str | None:
    if by in ("day", "month"):
        return _date(job.submitted_at, by)
    keys = {"run": job.run_id, "manifest": job.manifest, "mode": job.mode, "job": job.id}
    return keys.get(by, job.tag)


def _entry_key(entry: EntrySum, by: str) -> str | None:
    if by in ("day", "month"):
        return _date(entry.at, by)
    keys = {"run": entry.run_id, "manifest": entry.manifest, "mode": entry.mode, "job": entry.job_id}
    return keys.get(by, entry.tag)


def _date(at: float | None, by: str) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d" if by == "day" else "%Y-%m")


def _count(usage: Usage, job: UsageJob) -> None:
    usage.jobs += 1
    usage.estimated += job.estimate
    usage.complete += job.state == State.COMPLETE.value
    usage.failed += job.state in (State.FAILED.value, State.CANCELED.value)
    usage.held += job.state == State.HELD.value
    usage.unknown += job.unknown


def _add(usage: Usage, entry: EntrySum) -> None:
    if entry.kind == EntryKind.REFUND.value:
        usage.refunded -= entry.amount
    elif entry.kind in (EntryKind.CHARGE.value, EntryKind.SETTLE.value):
        usage.charged += entry.amount


def _sum(groups: Iterable[Usage]) -> Usage:
    total = Usage("total")
    for group in groups:
        for name in ("jobs", "complete", "failed", "held", "estimated", "charged", "refunded", "unknown"):
            setattr(total, name, getattr(total, name) + getattr(group, name))
    return total
