"""When a render is looked at next: never more often than was asked for, never much later than it is done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchsync.runner.schedule import GROWTH, LONGEST_GAP_SECONDS, LONGEST_STALLED_GAP_SECONDS, next_look

moments = st.floats(0, 4e9)
ages = st.floats(-100, 1e6)
intervals = st.floats(0.05, 600)


@given(moments, ages, intervals)
def test_a_gap_is_at_least_the_interval_and_at_most_half_a_minute_or_the_interval(
    now: float, age: float, interval: float
) -> None:
    gap = next_look(now - age, now, interval) - now
    assert gap >= interval - 1e-3
    assert gap <= max(interval, LONGEST_GAP_SECONDS) + 1e-3


@given(moments, ages, intervals)
def test_the_gap_grows_with_the_age_of_the_render(now: float, age: float, interval: float) -> None:
    sooner, later = (next_look(now - a, now, interval) for a in (age, age + 50))
    assert later >= sooner


def test_a_clock_that_was_set_back_looks_at_the_usual_pace() -> None:
    assert next_look(2000.0, 1000.0, 5.0) == 1005.0


def test_a_usual_render_takes_few_looks_and_is_found_soon() -> None:
    """The vendor's own client needs 458 looks for a render of 229 s."""
    now, looks = 0.0, 0
    while now < 229.0:
        now, looks = next_look(0.0, now, 5.0), looks + 1
    assert looks <= 25
    assert now - 229.0 <= 229.0 * GROWTH + 5.0


@given(moments, ages, intervals)
def test_a_stalled_render_is_looked_at_less_often_but_always_again(now: float, age: float, interval: float) -> None:
    usual = next_look(now - age, now, interval)
    slow = next_look(now - age, now, interval, stalled=True)
    assert usual <= slow <= now + max(interval, LONGEST_STALLED_GAP_SECONDS) + 1e-3
