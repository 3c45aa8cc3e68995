"""Credits in dollars, as the vendor's pages have it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.errors import SettingError
from batchsync.planning import Price, pricing
from batchsync.planning.pricing import PriceTable, month_starts, table_of


def test_the_vendors_own_example() -> None:
    assert Price.parse("usage:creator").usd(150_000) == Decimal("174.00")


@pytest.mark.parametrize(
    ("text", "credits", "used", "usd"),
    [
        ("usage:creator", 0, 0, "0"),
        ("usage:creator", 100_000, 0, "120"),
        ("usage:creator", 1, 100_000, "0.00108"),
        ("usage:creator", 1, 99_999, "0.0012"),
        ("usage:pro", 1_000_000, 0, "1774.5"),
        ("usage:business", 5_000_000, 0, "10275"),
        ("usage:business", 10_000_000, 0, "19025"),
        ("usage:business", 50_000_000, 0, "79025"),
        ("usage:business", 60_000_000, 0, "91525"),
        ("usage:creator", 150_000, 50_000_000, "90"),
        ("plan:creator", 12_000, 0, "19"),
        ("plan:pro", 25_000, 10**9, "39"),
        ("plan:business", 7_000, 0, "9.9"),
        ("plan:creator", 1, 0, "0.001583"),
        ("0.0015", 1000, 10**9, "1.5"),
        (".5", 3, 0, "1.5"),
        ("0", 3, 0, "0"),
    ],
)
def test_prices(text: str, credits: int, used: int, usd: str) -> None:
    assert Price.parse(text).usd(credits, used) == Decimal(usd)


@pytest.mark.parametrize(
    "text",
    ["", "usage", "usage:", "usage:free", "plan:Pro", "gold:pro", "-1", "$1", "1,5", "nan", "1e5", "1" * 30, "١"],
)
def test_what_is_no_price_says_what_is(text: str) -> None:
    with pytest.raises(SettingError) as caught:
        Price.parse(text)
    assert "usage:creator|pro|business" in (caught.value.hint or "")


@given(st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 10**8))
def test_a_month_costs_the_same_however_it_is_cut(first: int, second: int, used: int) -> None:
    price = Price.parse("usage:pro")
    whole = price.usd(first + second, used)
    assert abs(price.usd(first, used) + price.usd(second, used + first) - whole) <= Decimal("0.000002")
    assert price.usd(-first, used + first) == -price.usd(first, used)


def utc(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


def test_the_vendors_months_begin_at_midnight_in_california_summer_and_winter() -> None:
    assert month_starts(utc("2026-10-15"), utc("2026-12-01 07:59")) == [
        utc("2026-10-01 07:00"),
        utc("2026-11-01 07:00"),
    ]
    assert month_starts(utc("2026-12-01 07:59"), utc("2027-01-01 08:00")) == [
        utc("2026-11-01 07:00"),
        utc("2026-12-01 08:00"),
        utc("2027-01-01 08:00"),
    ]
    assert month_starts(5.0, 5.0) == month_starts(5.0, 4.0)


def test_a_month_has_the_prices_that_held_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    old = pricing.TABLES[-1]
    new = PriceTable("2027-02", "2027-02", {"creator": Decimal("0.002")}, ((None, Decimal(1)),), {})
    monkeypatch.setattr(pricing, "TABLES", (old, new))
    assert (table_of("2027-01"), table_of("2027-02"), table_of("2031-12")) == (old, new, new)
    assert table_of("2020-01") is old, "before the first table, the first is the best guess"
    price = Price.parse("usage:creator", old)
    assert price.at(utc("2027-02-01 07:59")).usd(10) == Decimal("0.012")
    assert price.at(utc("2027-02-01 08:00")).usd(10) == Decimal("0.02")
    assert Price.parse("0.5").at(utc("2027-03-01")) == Price.parse("0.5"), "a user's own price has no table"


@given(st.integers(0, 10**8), st.sampled_from(["usage:creator", "usage:business", "plan:pro", "0.0015"]))
def test_weights_are_prices(credits: int, text: str) -> None:
    price, weight, start = Price.parse(text), 0, 0
    for end, of_one in price.weighted_bands:
        within = min(credits, end if end is not None else credits) - start
        weight += max(0, within) * of_one
        start = end or credits
    assert abs(Decimal(float(weight * price.rate)) - price.usd(credits)) < Decimal("0.0001")
