"""A report as a terminal's table, as CSV and as JSON: line after line, however many groups there are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from batchsync.cli import options as o
from batchsync.cli.output import clean, csv_rows, json_text
from batchsync.ledger.statement import BalanceRow
from batchsync.ledger.usage import FailureSum
from batchsync.model.sheet import guarded
from batchsync.model.text import clipped_key
from batchsync.report.columns import DATA, Column, for_people, written
from batchsync.report.credits import Report, Usage
from batchsync.report.head import Head
from batchsync.report.words import head_rows, summary, title

NARROW = 80
_LABEL = 13
_KEY_LEAST = 16
_GAP = 2
_BATCH = 1000  # groups whose text is made at once


# --- for a terminal ---


def text_lines(head: Head, report: Report, width: int, *, wide: bool) -> Iterator[str]:
    """The report for a terminal of `width` columns; `wide` shows every column and every key in full."""
    yield click.style(title(report.by), bold=True)
    for label, sentences in head_rows(head):
        yield from _row(label, sentences, max(width, NARROW))
    yield ""
    left_out: list[Column] = []
    if report.groups:
        widths, left_out, room = _that_fit(report, width, wide)
        yield from _table(report, widths, room)
        yield ""
    for sentence in summary(report):
        yield from textwrap.wrap(sentence[0].upper() + sentence[1:], max(width, NARROW))
    if left_out:
        totals = " · ".join(f"{column.title} {column.text(report.totals)}" for column in left_out)
        yield from textwrap.wrap(f"No room for (--wide shows all): {totals}", max(width, NARROW))


def _row(label: str, sentences: list[str], width: int) -> Iterator[str]:
    lines = [part for sentence in sentences for part in textwrap.wrap(sentence, width - _LABEL)]
    for place, line in enumerate(lines):
        yield f"{label if place == 0 else '':<{_LABEL}}{line}"


def _that_fit(report: Report, width: int, wide: bool) -> tuple[dict[Column, int], list[Column], int]:
    """The columns to show with their widths, those that are left out, and how wide the keys may be."""
    widths = {column: _width(column, report) for column in for_people(report, every=wide)}
    longest = max(len(report.by), 5, *(len(usage.key) for usage in report.groups))
    if wide:
        return widths, [], longest
    shown = dict(widths)
    while sum(shown.values()) + min(longest, _KEY_LEAST) > width and len(shown) > 1:
        del shown[max(shown, key=lambda column: column.rank or 0)]
    room = max(4, width - sum(shown.values()))
    return shown, [column for column in widths if column not in shown], min(longest, room)


def _width(column: Column, report: Report) -> int:
    """How many columns of the terminal a column takes: its widest numbers are the largest and the smallest."""
    values = [value for value in column.values([report.totals, *report.groups]) if value is not None]
    ends = (max(values), min(values)) if values else (None,)
    return _GAP + max(len(column.title), *(len(written(value, column.form)) for value in ends))


def _table(report: Report, columns: Mapping[Column, int], room: int) -> Iterator[str]:
    """The table line by line: of a ledger's every job it would be large."""

    def key(text: str) -> str:
        return clipped_key(clean(text), room).ljust(room)

    rule = "─" * room + "".join(" " * _GAP + "─" * (width - _GAP) for width in columns.values())
    yield key(report.by) + "".join(column.title.rjust(width) for column, width in columns.items())
    yield rule
    keys = (key(usage.key) for usage in report.groups)
    cells = (column.texts(report.groups, width) for column, width in columns.items())
    yield from map("".join, zip(keys, *cells, strict=True))
    yield rule
    totals = "".join(column.text(report.totals).rjust(width) for column, width in columns.items())
    yield click.style(key("total") + totals, bold=True)


# --- for spreadsheets and scripts ---


def csv_lines(report: Report, *, bom: bool = False) -> Iterator[str]:
    """Comma-separated values: the groups only, so that a sum over a column is the total."""
    yield ("\ufeff" if bom else "") + _csv([[guarded(report.by), *(column.name for column in DATA)]])
    for groups in _batches(report.groups):
        keys = [guarded(usage.key) for usage in groups]
        yield _csv(zip(keys, *(map(column.of, groups) for column in DATA), strict=True))


def _batches(groups: list[Usage]) -> Iterator[list[Usage]]:
    return (groups[start : start + _BATCH] for start in range(0, len(groups), _BATCH))


def _csv(rows: Iterable[Sequence[object]]) -> str:
    return csv_rows(rows).removesuffix("\n")  # its CR stays: it ends the line with the LF that follows


def json_lines(head: Head, report: Report, failures: list[FailureSum]) -> Iterator[str]:
    """The report as one JSON object, with a line for each group."""
    yield "{"
    yield f'"by": {json_text(report.by)},'
    yield f'"head": {json_text(_head(head))},'
    yield f'"failures": {json_text([_failure(one) for one in failures])},'
    yield f'"totals": {json_text({column.name: column.of(report.totals) for column in DATA}, indent=None)},'
    yield '"groups": ['
    line = ", ".join(f'"{name}": %s' for name in ("key", *(column.name for column in DATA))).join(("{", "}"))
    left = len(report.groups)
    for groups in _batches(report.groups):
        columns = (_json_cells(map(column.of, groups)) for column in DATA)
        rows = zip(_json_cells(usage.key for usage in groups), *columns, strict=True)
        left -= len(groups)
        yield ",\n".join(map(line.__mod__, rows)) + ("," if left else "")
    yield "]}"


def _json_cells(values: Iterable[object]) -> list[str]:
    """Values as JSON, each for itself: no line ends within one, so that the encoder writes all of them at once."""
    return json_text(list(values), indent=None, separators=("\n", ": "))[1:-1].split("\n")


def _failure(one: FailureSum) -> dict[str, Any]:
    return {"code": one.code, "state": one.state, "jobs": one.jobs, "net": one.net}


def _head(head: Head) -> dict[str, Any]:
    found, price = head.statement, head.price
    newest = found.closing or found.opening
    return {
        "account": newest.account_id if newest else None,
        "tier": newest.tier if newest else None,
        "since": o.iso(head.period.since),
        "until": o.iso(head.period.until),
        "timezone": head.zone.key,
        "ledger": head.ledger,
        "vendor": head.vendor,
        "made_at": o.iso(head.made_at),
        "first_movement": o.iso(head.moved[0]) if head.moved else None,
        "last_movement": o.iso(head.moved[1]) if head.moved else None,
        "opening_balance": _balance(found.opening),
        "closing_balance": _balance(found.closing),
        "known_between": found.known,
        "unexplained": found.unexplained,
        "unknown_between": found.lost_credits,
        "price": price.text if price else None,
        "prices_as_of": price.as_of if price else None,
    }


def _balance(found: BalanceRow | None) -> dict[str, Any] | None:
    return None if found is None else {"credits": found.credits, "at": o.iso(found.at), "quiet": found.quiet}
