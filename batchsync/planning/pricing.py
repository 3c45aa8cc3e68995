"""What credits cost in dollars: the vendor's published prices, dated. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

from batchsync.errors import SettingError

PRICES_AS_OF = "2026-07"

# Usage-based: dollars per credit for the first 100,000 credits of a calendar month (Pacific time).
USAGE = {"creator": Decimal("0.0012"), "pro": Decimal("0.00195"), "business": Decimal("0.0025")}

# (credits in the month up to which the band reaches, what is left of that price)
BANDS: tuple[tuple[int | None, Decimal], ...] = (
    (100_000, Decimal("1")),
    (1_000_000, Decimal("0.9")),
    (5_000_000, Decimal("0.8")),
    (10_000_000, Decimal("0.7")),
    (50_000_000, Decimal("0.6")),
    (None, Decimal("0.5")),
)

# Subscriptions: (dollars, credits) a month.
PLANS = {"creator": (19, 12_000), "pro": (39, 25_000), "business": (99, 70_000)}

_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
_MICRO = Decimal("0.000001")
_HINT = "usage:creator|pro|business, plan:creator|pro|business, or dollars per credit such as 0.0015"


def month_start(now: float) -> float:
    """When the vendor's month began in which `now` is (epoch seconds): at midnight in Los Angeles."""
    local = datetime.fromtimestamp(now, ZoneInfo("America/Los_Angeles"))
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp()


@dataclass(frozen=True, slots=True)
class Price:
    """A price: `dollars` for `credits`, and bands of (up to how many credits in a month, factor) on it."""

    text: str
    dollars: Decimal
    credits: int = 1
    bands: tuple[tuple[int | None, Decimal], ...] = ((None, Decimal(1)),)

    @classmethod
    def parse(cls, text: str) -> Price:
        """Read `usage:<tier>`, `plan:<tier>` or dollars per credit. Raises SettingError."""
        kind, colon, tier = text.strip().partition(":")
        if colon and kind == "usage" and tier in USAGE:
            return cls(text.strip(), USAGE[tier], bands=BANDS)
        if colon and kind == "plan" and tier in PLANS:
            dollars, credits = PLANS[tier]
            return cls(text.strip(), Decimal(dollars), credits)
        if not colon and _NUMBER.fullmatch(kind) and len(kind) <= 20:
            return cls(kind, Decimal(kind))
        raise SettingError(f"--price {text!r} is not a price", hint=_HINT)

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
