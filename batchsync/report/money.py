"""What a report's credits cost: each at the vendor's price of its moment, in parts that add up to the whole.

The vendor's bands go by its own month (Pacific time). Credits are priced in the order in which they moved, so that
each has one price, whatever a report is grouped by and wherever its period begins. Other use of the account would
bring the cheaper bands sooner; it isn't known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from batchsync.ledger.usage import Period, Tariff
from batchsync.ledger.views import Views
from batchsync.planning.pricing import Price, month_starts

MICRO = Decimal("0.000001")
MICROS_PER_CENT = 10_000


@dataclass(frozen=True, slots=True)
class Month:
    """What a period has of one of the vendor's months, its price, and how the ledger shall weigh its credits."""

    period: Period
    price: Price
    tariff: Tariff

    def micros(self, weights: Sequence[int]) -> list[int]:
        """What groups of weighted credits cost, in millionths of a dollar; together, what their sum costs."""
        millionths = self.price.rate * 1_000_000
        numerators = [weight * millionths.numerator for weight in weights]
        return divide(round(sum(weights) * millionths), numerators, millionths.denominator)


def months(views: Views, price: Price, period: Period) -> list[Month]:
    """The vendor's months in which credits moved within a period."""
    moved = views.moved_between(period)
    if moved is None:
        return []
    starts = month_starts(*moved)
    found = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        since = start if period.since is None else max(start, period.since)
        then = price.at(start)
        found.append(Month(Period(since, end or period.until), then, Tariff(start, then.weighted_bands)))
    return found


def divide(whole: int, numerators: Sequence[int], denominator: int) -> list[int]:
    """Fractions as whole numbers that add up to `whole`, their rounded sum: the largest remainders are rounded up."""
    floors = [divmod(numerator, denominator) for numerator in numerators]
    parts = [floor for floor, _ in floors]
    missing = whole - sum(parts)
    for place in sorted(range(len(parts)), key=lambda n: -floors[n][1])[:missing]:
        parts[place] += 1
    return parts


def cents(parts: Sequence[int]) -> tuple[int, list[int]]:
    """Millionths of a dollar in cents: their sum, rounded, and parts that add up to exactly that."""
    total = int((Decimal(sum(parts)) / MICROS_PER_CENT).to_integral_value())
    return total, divide(total, parts, MICROS_PER_CENT)


def worth(views: Views, price: Price, manifest_id: int | None = None) -> Decimal:
    """Dollars that a manifest's jobs as it stands now (all jobs, if None) have cost, as the report has it."""
    found = months(views, price, Period())
    weights = [views.weighted_credits(month.period, month.tariff, manifest_id) for month in found]
    return sum(month.micros([weight])[0] for month, weight in zip(found, weights, strict=True)) * MICRO
