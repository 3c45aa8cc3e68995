"""Credit usage, grouped and summed. Totals are the sums of their groups, to the credit and to the cent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from math import fsum
from operator import attrgetter
from zoneinfo import ZoneInfo

from batchsync.errors import SettingError
from batchsync.ledger.usage import EntrySums, JobSums, Period
from batchsync.ledger.views import Views
from batchsync.planning.pricing import Price
from batchsync.report import money

BY = ("run", "manifest", "day", "month", "mode", "job")
UNTAGGED = "(untagged)"
_NO_KEY = {"run": "(no run)", "manifest": "(no manifest)"}
NOT_SUBMITTED = "(not submitted)"


@dataclass(slots=True)
class Usage:
    """Credits and jobs of one group, or of everything.

    `charged` is what the vendor took, its later corrections (`adjusted`) included; `refunded` what it gave back.
    `settled` is the net without projects that it still renders, `wasted` the net that bought no file, `unknown` what
    lost submissions may have cost beyond that. `clips_estimated` and `clips_settled` compare the rendered jobs, and
    `spent` is what the group's jobs have cost since they exist. `cents` are dollars, rounded so that they add up.
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
    usd: Decimal | None = None
    cents: Decimal | None = None

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

    def usd_of(self, credits: float | None) -> float | None:
        """Dollars for `credits` at the group's own average price; None where that isn't known."""
        if credits is None or self.usd is None or not self.net:
            return None
        return credits * float(self.usd) / self.net


_SUMMED = tuple(
    name for name in Usage.__dataclass_fields__ if name not in ("key", "seconds", "usd", "cents")
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
    builder = _Builder(by, zone)
    for jobs in views.job_sums(by, period):
        builder.count(jobs)
    if price is None:
        for entries in views.entry_sums(by, period):
            builder.add(entries)
        return builder.report()
    for month in money.months(views, price, period):
        weights: defaultdict[str | None, int] = defaultdict(int)
        for entries in views.entry_sums(by, month.period, month.tariff):
            weights[builder.add(entries)] += entries.weight
        builder.pay(list(weights), month.micros(list(weights.values())))
    return builder.report(priced=True)


class _Builder:
    """Groups as they come together."""

    def __init__(self, by: str, zone: ZoneInfo) -> None:
        self.by = by
        self.groups: dict[str | None, Usage] = {}
        self.micros: defaultdict[str | None, int] = defaultdict(int)
        self._dates = {"day": "%Y-%m-%d", "month": "%Y-%m"}.get(by)
        self._zone = zone
        self._none = UNTAGGED if by.startswith("tag:") else _NO_KEY.get(by, NOT_SUBMITTED)

    def _key(self, key: str | None, at: float | None) -> str | None:
        if self._dates is None or at is None:
            return key or None  # an empty tag is none
        return datetime.fromtimestamp(at, self._zone).strftime(self._dates)

    def _group(self, key: str | None) -> Usage:
        found = self.groups.get(key)
        if found is None:
            found = self.groups[key] = Usage(self._none if key is None else key)
        return found

    def count(self, sums: JobSums) -> None:
        usage = self._group(self._key(sums.key, sums.at))
        usage.jobs += sums.jobs
        usage.complete += sums.complete
        usage.failed += sums.failed
        usage.canceled += sums.canceled
        usage.held += sums.held
        usage.estimated += sums.estimated
        usage.unknown += sums.unknown
        usage.seconds += sums.seconds
        usage.clips_estimated += sums.clips_estimated
        usage.clips_settled += sums.clips_settled
        usage.spent += sums.spent

    def add(self, sums: EntrySums) -> str | None:
        """Count credits in; returns the key of their group."""
        key = self._key(sums.key, sums.at)
        usage = self._group(key)
        charged = sums.charges + sums.settles
        usage.charged += charged
        usage.adjusted += sums.settles
        usage.refunded -= sums.refunds
        usage.settled += charged + sums.refunds - sums.open
        usage.wasted += sums.wasted
        return key

    def pay(self, keys: list[str | None], micros: list[int]) -> None:
        """Count money in, in millionths of a dollar."""
        for key, part in zip(keys, micros, strict=True):
            self.micros[key] += part

    def report(self, *, priced: bool = False) -> Report:
        keys = sorted(self.groups, key=lambda key: (key is None, key or ""))
        groups = [self.groups[key] for key in keys]
        report = Report(self.by, sum_of("total", groups), groups)
        if priced:
            parts = [self.micros[key] for key in keys]
            total, cents = money.cents(parts)
            rows = zip([*groups, report.totals], [*parts, sum(parts)], [*cents, total], strict=True)
            for usage, part, rounded in rows:
                usage.usd, usage.cents = part * money.MICRO, Decimal(rounded) / 100
        return report


def sum_of(key: str, groups: Sequence[Usage]) -> Usage:
    """The sum of groups as a group."""
    total = Usage(key, seconds=fsum(group.seconds for group in groups))
    for name in _SUMMED:
        setattr(total, name, sum(map(attrgetter(name), groups)))
    if groups and all(group.usd is not None for group in groups):
        total.usd = sum((group.usd for group in groups if group.usd is not None), Decimal(0))
        total.cents = sum((group.cents for group in groups if group.cents is not None), Decimal(0))
    return total


def largest(report: Report, most: int) -> list[Usage]:
    """At most so many groups: those that moved the most credits, in the report's order."""
    weight = sorted(report.groups, key=lambda usage: (abs(usage.net), usage.jobs), reverse=True)
    kept = {id(usage) for usage in weight[:most]}
    return [usage for usage in report.groups if id(usage) in kept]


def folded(report: Report, most: int) -> list[Usage]:
    """At most so many rows: the largest groups, and the sum of all others where there are more."""
    if len(report.groups) <= most:
        return report.groups
    groups = largest(report, most - 1)
    kept = {id(usage) for usage in groups}
    others = [usage for usage in report.groups if id(usage) not in kept]
    return [*groups, sum_of(f"({len(others):,} others)", others)]
