"""Credits in dollars, as the vendor's pages have it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.errors import SettingError
from batchsync.planning import Price


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
