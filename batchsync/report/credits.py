"""Credit usage, grouped and summed. Totals are the sums of their groups, to the credit and to the cent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import nlargest
from math import fsum
from operator import attrgetter
from zoneinfo import ZoneInfo

from batchsync.errors import SettingError
from batchsync.ledger.usage import Period, Sums
from batchsync.ledger.views import Views
from batchsync.model.states import State
from batchsync.planning.pricing import Price
from batchsync.report import money
from batchsync.report.days import DATES, shifts

BY = ("run", "manifest", "day", "month", "mode", "job")
UNTAGGED = "(untagged)"
_NO_KEY = {"run": "(no run)", "manifest": "(no manifest)"}
NOT_SUBMITTED = "(not submitted)"

_FAILED = frozenset({State.FAILED, State.CANCELED})
_RENDERED = frozenset({State.RENDERED, State.COMPLETE})
_AT_THE_VENDOR = frozenset({State.RENDERING, State.RENDERED})
_NO_FILE = frozenset(State) - _RENDERED - _AT_THE_VENDOR


@dataclass(slots=True)
class Usage:
    """Credits and jobs of one group, or of everything.

    `charged` is what the vendor took, its later corrections (`adjusted`) included; `refunded` what it gave back.
    `settled` is the net without projects that it still renders, `wasted` the net that bought no file, `unknown` what
    lost submissions may have cost beyond that. `clips_estimated` and `clips_settled` compare the rendered jobs, and
    `spent` is what the group's jobs have cost since they exist. Of money, `micros` are millionths of a dollar, and
    `cents` are rounded so that they add up; None without a price.
    """

    key: str
    jobs: int = 0
    complete: int = 0
    failed: int = 0
    canceled: int = 0
    held: int = 0
    estimated: int = 0
    charged: int = 0
    adjusted: int = 0
    refunded: int = 0
    settled: int = 0
    unknown: int = 0
    wasted: int = 0
    seconds: float = 0.0
    clips_estimated: int = 0
    clips_settled: int = 0
    spent: int = 0
    micros: int | None = None
    cents: int | None = None

    @property
    def net(self) -> int:
        return self.charged - self.refunded

    @property
    def minutes(self) -> float:
        """Length of the finished clips."""
        return self.seconds / 60

    @property
    def per_clip(self) -> float | None:
        """Credits for a finished clip, with what was spent in vain on the way; None without one."""
        return self.spent / self.complete if self.complete else None

    @property
    def per_minute(self) -> float | None:
        """Credits for a minute of finished clips, as `per_clip`."""
        return self.spent / self.minutes if self.seconds else None

    @property
    def delta(self) -> int:
        """By how much the rendered jobs settled above what was estimated for them."""
        return self.clips_settled - self.clips_estimated

    @property
    def delta_percent(self) -> float | None:
        return 100 * self.delta / self.clips_estimated if self.clips_estimated else None

    @property
    def usd(self) -> Decimal | None:
        """What the net costs in dollars."""
        return None if self.micros is None else self.micros * money.MICRO

    def usd_of(self, credits: float | None) -> float | None:
        """Dollars for `credits` at the group's own average price; None where that isn't known."""
        if credits is None or self.micros is None or not self.net:
            return None
        return credits * (self.micros / 1_000_000) / self.net


_SUMMED = tuple(
    name for name in Usage.__dataclass_fields__ if name not in ("key", "seconds", "micros", "cents")
)  # `seconds` too, but as one sum that rounds once


@dataclass(slots=True)
class Report:
    """Usage by `by`; `totals` is the sum of `groups`."""

    by: str
    totals: Usage
    groups: list[Usage] = field(default_factory=list)


def check_by(by: str) -> str:
    """A grouping that there is. Raises SettingError."""
    if by in BY or (by.startswith("tag:") and len(by) > 4):
        return by
    raise SettingError(f"there is no report by {by!r}", hint=f"one of {', '.join(BY)}, tag:KEY")


def build(views: Views, by: str, period: Period, zone: ZoneInfo, price: Price | None = None) -> Report:
    """The report: credits that moved and jobs that were last submitted in a period, days and months in `zone`."""
    return build_all(views, [by], period, zone, price)[0]


def build_all(
    views: Views, groupings: Sequence[str], period: Period, zone: ZoneInfo, price: Price | None = None
) -> list[Report]:
    """A report for each grouping; the ledger is read once for all of them."""
    builders = [_Builder(by, place, len(groupings)) for place, by in enumerate(groupings)]
    days = shifts(views, period, zone)
    for rows in views.job_sums(groupings, period, days):
        for builder in builders:
            builder.count(rows)
    months = [None] if price is None else money.months(views, price, period)
    for month in months:
        within, tariff = (month.period, month.tariff) if month else (period, None)
        for rows in views.entry_sums(groupings, within, days, tariff):
            for builder in builders:
                builder.add(rows)
        if month:
            for builder in builders:
                builder.pay(month)
    return [builder.report(priced=price is not None) for builder in builders]


class _Groups(dict[str | None, Usage]):
    """Groups by their names, made when they are first asked for; the one without a name is called `none`."""

    def __init__(self, none: str) -> None:
        self.none = none

    def __missing__(self, name: str | None) -> Usage:
        usage = self[name] = Usage(self.none if name is None else name)
        return usage


class _Builder:
    """The groups of one report as they come together: of rows with so many `keys`, one of which is its own."""

    def __init__(self, by: str, place: int, keys: int) -> None:
        self.by = by
        self.groups = _Groups(UNTAGGED if by.startswith("tag:") else _NO_KEY.get(by, NOT_SUBMITTED))
        self.weights: defaultdict[str | None, int] = defaultdict(int)  # of the month that is being read
        self.micros: defaultdict[str | None, int] = defaultdict(int)
        self._place, self._keys = place, keys
        self._date: Callable[[int | None], str | None] | None = DATES.get(by)

    def count(self, rows: Sums) -> None:
        """Count jobs in."""
        for row, name in zip(rows, self._names(rows), strict=True):
            state, jobs, estimated, unknown, seconds, project, net = row[self._keys :]
            usage = self.groups[name]
            usage.jobs += jobs
            usage.estimated += estimated
            usage.unknown += unknown
            if state == State.COMPLETE:
                usage.complete += jobs
                usage.seconds += seconds
            elif state == State.HELD:
                usage.held += jobs
            elif state in _FAILED:
                usage.failed += jobs
                usage.canceled += jobs if state == State.CANCELED else 0
            if state in _RENDERED:
                usage.clips_estimated += estimated
                usage.clips_settled += project
            if state not in _AT_THE_VENDOR:
                usage.spent += net

    def add(self, rows: Sums) -> None:
        """Count credits in."""
        for row, name in zip(rows, self._names(rows), strict=True):
            state, net, settles, refunds, present, weight = row[self._keys :]
            usage = self.groups[name]
            usage.charged += net - refunds
            usage.adjusted += settles
            usage.refunded -= refunds
            usage.settled += net if state != State.RENDERING else net - present
            usage.wasted += net if state in _NO_FILE else net - present
            self.weights[name] += weight

    def _names(self, rows: Sums) -> list[str | None]:
        """What the groups of rows are called."""
        if self._date is not None:
            return [self._date(row[self._place]) for row in rows]
        return [row[self._place] or None for row in rows]  # an empty tag is none

    def pay(self, month: money.Month) -> None:
        """Count in what the credits of a month cost, in millionths of a dollar."""
        for key, part in zip(self.weights, month.micros(list(self.weights.values())), strict=True):
            self.micros[key] += part
        self.weights.clear()

    def report(self, *, priced: bool) -> Report:
        """The groups in the order of their names, what has no name last."""
        names = [*sorted(name for name in self.groups if name is not None), *([None] if None in self.groups else [])]
        groups = [self.groups[name] for name in names]
        report = Report(self.by, sum_of("total", groups), groups)
        if priced:
            parts = [self.micros[name] for name in names]
            total, cents = money.cents(parts)
            rows = zip([*groups, report.totals], [*parts, sum(parts)], [*cents, total], strict=True)
            for usage, part, rounded in rows:
                usage.micros, usage.cents = part, rounded
        return report


def sum_of(key: str, groups: Sequence[Usage]) -> Usage:
    """The sum of groups as a group."""
    total = Usage(key, seconds=fsum(group.seconds for group in groups))
    for name in _SUMMED:
        setattr(total, name, sum(map(attrgetter(name), groups)))
    if groups and groups[0].micros is not None:
        total.micros = sum(group.micros or 0 for group in groups)
        total.cents = sum(group.cents or 0 for group in groups)
    return total


def largest(report: Report, most: int) -> list[Usage]:
    """At most so many groups: those that moved the most credits, in the report's order."""
    weightiest = nlargest(most, report.groups, key=lambda usage: (abs(usage.net), usage.jobs))
    kept = {id(usage) for usage in weightiest}
    return [usage for usage in report.groups if id(usage) in kept]


def folded(report: Report, most: int) -> list[Usage]:
    """At most so many rows: the largest groups, and the sum of all others where there are more."""
    if len(report.groups) <= most:
        return report.groups
    groups = largest(report, most - 1)
    kept = {id(usage) for usage in groups}
    others = [usage for usage in report.groups if id(usage) not in kept]
    return [*groups, sum_of(f"({len(others):,} others)", others)]
