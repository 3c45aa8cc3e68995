"""What credits cost in dollars: the vendor's published prices, dated. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from batchsync.errors import SettingError

PACIFIC = ZoneInfo("America/Los_Angeles")  # in which the vendor's month begins

# (credits in the month up to which the band reaches, what is left of the price there)
Bands = tuple[tuple[int | None, Decimal], ...]


@dataclass(frozen=True, slots=True)
class PriceTable:
    """What the vendor's pages said at `as_of`; it holds from `valid_from` on (both YYYY-MM).

    `usage` is dollars per credit in the first band of a calendar month, `plans` are (dollars, credits) a month.
    """

    valid_from: str
    as_of: str
    usage: Mapping[str, Decimal]
    bands: Bands
    plans: Mapping[str, tuple[int, int]]


# The oldest first. Prices that change get a table of their own here; months before that keep theirs.
TABLES = (
    PriceTable(
        valid_from="2026-01",
        as_of="2026-07",
        usage={"creator": Decimal("0.0012"), "pro": Decimal("0.00195"), "business": Decimal("0.0025")},
        bands=(
            (100_000, Decimal("1")),
            (1_000_000, Decimal("0.9")),
            (5_000_000, Decimal("0.8")),
            (10_000_000, Decimal("0.7")),
            (50_000_000, Decimal("0.6")),
            (None, Decimal("0.5")),
        ),
        plans={"creator": (19, 12_000), "pro": (39, 25_000), "business": (99, 70_000)},
    ),
)
USAGE = frozenset(TABLES[-1].usage)  # the tiers that have a price

WEIGHT = 10_000  # of a credit at the full price: what is left of it in a band is then a whole number, too

_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
_MICRO = Decimal("0.000001")
_HINT = "usage:creator|pro|business, plan:creator|pro|business, or dollars per credit such as 0.0015"


def table_of(month: str) -> PriceTable:
    """The prices that held in a month (YYYY-MM); the oldest known ones before that."""
    return next((table for table in reversed(TABLES) if table.valid_from <= month), TABLES[0])


def month_start(now: float) -> float:
    """When the vendor's month began in which `now` is (epoch seconds): at midnight in Los Angeles."""
    local = datetime.fromtimestamp(now, PACIFIC)
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp()


def month_starts(first: float, last: float) -> list[float]:
    """The beginnings of the vendor's months from the one of `first` to the one of `last`, all in epoch seconds."""
    starts = [month_start(first)]
    while starts[-1] < month_start(last):
        starts.append(month_start(starts[-1] + 32 * 86400))
    return starts


@dataclass(frozen=True, slots=True)
class Price:
    """A price: `dollars` for `credits`, and bands of (up to how many credits in a month, factor) on it.

    `as_of` is when it was taken from the vendor's pages (YYYY-MM), None for a price that a user gave.
    """

    text: str
    dollars: Decimal
    credits: int = 1
    bands: Bands = ((None, Decimal(1)),)
    as_of: str | None = None

    @classmethod
    def parse(cls, text: str, table: PriceTable = TABLES[-1]) -> Price:
        """Read `usage:<tier>`, `plan:<tier>` or dollars per credit. Raises SettingError."""
        kind, colon, tier = text.strip().partition(":")
        if colon and kind == "usage" and tier in table.usage:
            return cls(text.strip(), table.usage[tier], bands=table.bands, as_of=table.as_of)
        if colon and kind == "plan" and tier in table.plans:
            dollars, credits = table.plans[tier]
            return cls(text.strip(), Decimal(dollars), credits, as_of=table.as_of)
        if not colon and _NUMBER.fullmatch(kind) and len(kind) <= 20:
            return cls(kind, Decimal(kind))
        raise SettingError(f"--price {text!r} is not a price", hint=_HINT)

    def at(self, now: float) -> Price:
        """This price as the vendor's table had it in the month of `now` (epoch seconds)."""
        month = f"{datetime.fromtimestamp(now, PACIFIC):%Y-%m}"
        return self if self.as_of is None else Price.parse(self.text, table_of(month))

    @property
    def weighted_bands(self) -> tuple[tuple[int | None, int], ...]:
        """The bands with whole numbers instead of factors: what a credit in each of them weighs."""
        return tuple((end, int(factor * WEIGHT)) for end, factor in self.bands)

    @property
    def rate(self) -> Fraction:
        """Dollars per weight."""
        return Fraction(self.dollars) / self.credits / WEIGHT

    def usd(self, credits: int, used_before_this_month: int = 0) -> Decimal:
        """Dollars for `credits` after `used_before_this_month` others in the same month, to the millionth."""
        used = max(0, used_before_this_month)
        due = self._weighted(used + credits) - self._weighted(used)
        return (due * self.dollars / self.credits).quantize(_MICRO, ROUND_HALF_EVEN)

    def _weighted(self, credits: int) -> Decimal:
        """The first `credits` of a month, each counted at its band's factor."""
        total, start = Decimal(0), 0
        for end, factor in self.bands:
            if end is None or credits <= end:
                return total + (credits - start) * factor
            total += (end - start) * factor
            start = end
        return total
