"""A report as one HTML page that needs nothing else: no scripts, no addresses, styles and pictures inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from batchsync import __version__
from batchsync.ledger.usage import FailureSum
from batchsync.ledger.views import Views
from batchsync.model.text import clean, dollars, number
from batchsync.report import charts, pictures
from batchsync.report.charts import Chart
from batchsync.report.columns import COLUMNS, SETTLEMENT, Column, for_people
from batchsync.report.credits import Report, Usage, build_all, folded, sum_of
from batchsync.report.head import Head
from batchsync.report.words import grouping, head_rows, summary, title

MOST_ROWS, MOST_TAGS = 1000, 8
_DAYS_AT_MOST = 92  # beyond that, time goes by months
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_COMPARED = [column for column in COLUMNS if column.name in ("complete", *SETTLEMENT)]
_ELSEWHERE = ("canceled", "delta_percent", "usd_per_minute")  # in sections of their own, or in words


@dataclass(frozen=True, slots=True)
class Pages:
    """All that the page shows: the report that was asked for, and those that every page has."""

    head: Head
    main: Report
    time: Report
    others: Sequence[Report]
    failures: Sequence[FailureSum]


def html_lines(views: Views, head: Head, by: str) -> Iterator[str]:
    """The page. Everything is read before the first line is given."""
    return _page(_pages(views, head, by))


def _pages(views: Views, head: Head, by: str) -> Pages:
    first, last = head.moved or (0.0, 0.0)
    when = by if by in ("day", "month") else "day" if last - first <= _DAYS_AT_MOST * 86400 else "month"
    others = ["mode", *(f"tag:{key}" for key in views.tag_keys()[:MOST_TAGS])]
    wanted = list(dict.fromkeys([by, when, *others]))
    reports = dict(zip(wanted, build_all(views, wanted, head.period, head.zone, head.price), strict=True))
    shown = [reports[other] for other in others if other != by]
    return Pages(head, reports[by], reports[when], shown, views.failure_sums(head.period))


def _e(text: object) -> str:
    """A text as it is: nothing in it is HTML, or plays with the eye."""
    return escape(clean(text))


def _page(pages: Pages) -> Iterator[str]:
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    name = _e(title(pages.main.by))
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{name}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<header>\n<h1>{name}</h1>"
    yield from _head(pages)
    yield "</header>\n<main>"
    yield from _figures(pages)
    yield from _sections(pages)
    yield "</main>\n<footer>"
    yield f"<p>Made by batchsync {_e(__version__)}, {_e(pages.head.time(pages.head.made_at))}"
    yield f"({_e(pages.head.zone.key)} time).</p>\n</footer>\n</body>\n</html>"


def _head(pages: Pages) -> Iterator[str]:
    yield '<dl class="head">'
    for label, sentences in head_rows(pages.head):
        yield f"<dt>{_e(label)}</dt><dd>{''.join(f'<p>{_e(told)}</p>' for told in sentences)}</dd>"
    yield "</dl>"


def _figures(pages: Pages) -> Iterator[str]:
    """The few numbers that are looked for first, and what the totals come to."""
    total, left = pages.main.totals, pages.head.statement.unexplained
    figures: list[tuple[str, str, bool]] = [
        ("Credits net", number(total.net), False),
        *([("Money", dollars(total.cents / 100), False)] if total.cents is not None else []),
        ("Finished clips", f"{number(total.complete)} of {number(total.jobs)}", False),
        ("Credits per clip", "–" if total.per_clip is None else f"{total.per_clip:,.1f}", False),
        ("Credits per minute", "–" if total.per_minute is None else f"{total.per_minute:,.1f}", False),
        ("Bought no file", number(total.wasted), total.wasted > 0),
        ("Unexplained", "not known" if left is None else number(left), bool(left)),
    ]
    yield '<dl class="figures">'
    for label, value, bad in figures:
        mark = ' class="bad"' if bad else ""
        yield f"<div><dt>{_e(label)}</dt><dd{mark}>{_e(value)}</dd></div>"
    yield "</dl>"
    yield from (f"<p>{_e(told[0].upper() + told[1:])}.</p>" for told in (s.rstrip(".") for s in summary(pages.main)))


def _sections(pages: Pages) -> Iterator[str]:
    main, is_time = pages.main, pages.main is pages.time
    if not is_time:
        yield from _section(f"By {grouping(main.by)}", [pictures.bars(main, "main")], _usage_table(main))
    yield from _section("Credits over time", [pictures.over_time(pages.time)], _usage_table(pages.time))
    for place, other in enumerate(pages.others):
        yield from _section(f"By {grouping(other.by)}", [pictures.bars(other, f"other-{place}")], _usage_table(other))
    if main.totals.clips_estimated:
        yield from _section(
            "Estimate against settlement", [pictures.against(main)], _table(main, _COMPARED, "rendered jobs")
        )
    yield from _section("Failures by code", [pictures.failed(pages.failures)], _failure_table(pages.failures))
    yield '<section>\n<h2>What the columns mean</h2>\n<dl class="legend">'
    for column in for_people(main, every=True):
        yield f"<dt>{_e(column.title)}</dt><dd>{_e(column.meaning)}</dd>"
    yield "</dl>\n</section>"


def _section(heading: str, pictures: Iterable[Chart | None], table: Iterable[str]) -> Iterator[str]:
    yield f"<section>\n<h2>{_e(heading)}</h2>"
    for chart in pictures:
        if chart is not None and charts.can_draw():
            yield f"<figure>\n<figcaption>{_e(chart.title)}</figcaption>\n{charts.drawn(chart)}\n</figure>"
    yield from table
    yield "</section>"


# --- tables ---


def _usage_table(report: Report) -> Iterator[str]:
    columns = [column for column in for_people(report) if column.name not in _ELSEWHERE]
    return _table(report, columns, "jobs and credits")


def _table(report: Report, columns: list[Column], what: str) -> Iterator[str]:
    rows = folded(report, MOST_ROWS)
    told = f"{what}, by {grouping(report.by)}"
    if len(rows) < len(report.groups):
        told += f"; the {MOST_ROWS - 1:,} that moved the most, and all others together"
    yield from _frame(told, [report.by, *(column.title for column in columns)])
    yield "<tbody>"
    for usage in rows or [sum_of("nothing yet", [])]:
        yield _tr(usage, columns)
    yield f"</tbody>\n<tfoot>{_tr(report.totals, columns)}</tfoot>\n</table>\n</div>"


def _frame(told: str, titles: Sequence[str]) -> Iterator[str]:
    label = _e(told[0].upper() + told[1:])
    yield f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n<table>\n<caption>{label}</caption>'
    cells = "".join(f'<th scope="col">{_e(one)}</th>' for one in titles)
    yield f"<thead><tr>{cells}</tr></thead>"


def _tr(usage: Usage, columns: Sequence[Column]) -> str:
    cells = []
    for column in columns:
        text = column.text(usage)
        less = ' class="less"' if text.startswith("-") and column.form != "+,.1f" else ""
        cells.append(f"<td{less}>{_e(text)}</td>")
    key = _e(usage.key).replace("/", "/<wbr>")
    return f'<tr><th scope="row">{key}</th>{"".join(cells)}</tr>'


def _failure_table(failures: Sequence[FailureSum]) -> Iterator[str]:
    if not failures:
        yield "<p>Nothing failed, was canceled or is held.</p>"
        return
    yield from _frame(
        "jobs that ended badly, and what they cost all the same", ["code", "state", "jobs", "credits net"]
    )
    yield "<tbody>"
    for one in failures:
        cells = f"<td>{_e(one.state)}</td><td>{number(one.jobs)}</td><td>{number(one.net)}</td>"
        yield f'<tr><th scope="row">{_e(one.code)}</th>{cells}</tr>'
    jobs, net = sum(one.jobs for one in failures), sum(one.net for one in failures)
    cells = f"<td></td><td>{number(jobs)}</td><td>{number(net)}</td>"
    yield f'</tbody>\n<tfoot><tr><th scope="row">total</th>{cells}</tr></tfoot>\n</table>\n</div>'
