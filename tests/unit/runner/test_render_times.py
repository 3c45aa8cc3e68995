"""What is learned of render times, and the looks that follow: few, soon after the end, and never too close."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.model.renders import USUAL_SECONDS, RenderKind
from batchsync.runner.render_times import LONGEST_GAP_SECONDS, LONGEST_SECONDS, RenderTimes

LITE = RenderKind("lite", 10.0)
PRO = RenderKind("pro", 10.0)
LONG = RenderKind("lite", 300.0)


def follow(times: RenderTimes, seconds: float, kind: RenderKind = LITE) -> tuple[int, float]:
    """Look at a render that takes `seconds`, and learn from it; the looks it took, and the lag."""
    since, looks = 0.0, 1
    while (age := times.next_age(kind, since)) < seconds:
        times.went_on(kind, since, age)
        since, looks = age, looks + 1
    times.ended(kind, since, age)
    return looks, age - seconds


def mean(times: RenderTimes, renders: Iterable[float], kind: RenderKind = LITE) -> tuple[float, float]:
    """Follow renders one after the other; looks per render and mean lag."""
    found = [follow(times, seconds, kind) for seconds in renders]
    return sum(looks for looks, _ in found) / len(found), sum(lag for _, lag in found) / len(found)


def spread(count: int, median: float = USUAL_SECONDS, sigma: float = 0.3, seed: int = 11) -> list[float]:
    dice = random.Random(seed)
    return [median * dice.lognormvariate(0.0, sigma) for _ in range(count)]


def learned(*renders: float, poll_interval: float = 5.0) -> RenderTimes:
    times = RenderTimes(poll_interval)
    mean(times, renders)
    return times


@settings(deadline=None)
@given(
    st.floats(0.05, 600),
    st.lists(st.tuples(st.sampled_from([LITE, PRO, LONG]), st.floats(0.0, 1e5)), max_size=6),
    st.lists(st.floats(0.0, 1e5), min_size=1, max_size=6),
)
def test_looks_are_never_closer_than_the_poll_interval(
    interval: float, seen: list[tuple[RenderKind, float]], ages: list[float]
) -> None:
    times = RenderTimes(interval)
    for kind, seconds in seen:
        times.went_on(kind, 0.0, 0.9 * seconds)
        times.ended(kind, 0.9 * seconds, seconds)
    for age in ages:
        assert times.next_age(LITE, age) >= age + interval


@pytest.mark.parametrize("age", [0.0, 10.0, 30.0, 100.0, USUAL_SECONDS, 500.0, 1200.0, 3000.0, 7100.0])
def test_before_any_was_seen_no_gap_is_long(age: float) -> None:
    gap = RenderTimes(5.0).next_age(LITE, age) - age
    assert 5.0 <= gap <= (90.0 if age < 0.5 * USUAL_SECONDS else 61.0)


def test_the_first_look_of_all_is_soon_in_case_that_all_goes_fast() -> None:
    assert RenderTimes(5.0).next_age(LITE, 0.0) < 6.0
    assert RenderTimes(0.2).next_age(LITE, 0.0) < 0.5


def test_a_first_wave_that_is_not_done_at_once_is_still_looked_at_soon() -> None:
    """Whoever lets looks be a second apart: many renders of one moment are one sign that they are slow, not many."""
    times = RenderTimes(1.0)
    first = times.next_age(LITE, 0.0)
    for _ in range(300):
        times.went_on(LITE, 0.0, first)
        again = times.next_age(LITE, first)
    assert again < 2.5 * first < 3.0


def test_the_usual_kind_takes_few_looks_and_is_noticed_soon_with_nothing_learned_before() -> None:
    nights = [mean(RenderTimes(5.0), spread(300, seed=seed)) for seed in range(11, 16)]
    assert sum(looks for looks, _ in nights) / 5 <= 12
    assert sum(lag for _, lag in nights) / 5 <= 7.0


@pytest.mark.parametrize(
    ("poll_interval", "median", "most_looks", "most_lag"),
    [(5.0, 2.0, 1.0, 4.0), (0.2, 2.0, 4.5, 0.5), (5.0, 40.0, 6.0, 4.0), (5.0, 1200.0, 30.0, 17.0)],
)
def test_other_times_are_learned_within_some_tens_of_renders(
    poll_interval: float, median: float, most_looks: float, most_lag: float
) -> None:
    times = learned(*spread(60, median), poll_interval=poll_interval)
    looks, lag = mean(times, spread(100, median))
    assert looks <= most_looks
    assert lag <= most_lag


def test_times_that_are_always_the_same_are_found_by_a_few_looks_around_them() -> None:
    looks, lag = mean(learned(*[USUAL_SECONDS] * 100), [USUAL_SECONDS] * 100)
    assert looks <= 8
    assert lag <= 5.0


@pytest.mark.parametrize("times_slower", [3.0, 1 / 3])
def test_a_change_is_learned_within_some_tens_of_renders(times_slower: float) -> None:
    times = learned(*spread(200))
    mean(times, spread(60, USUAL_SECONDS * times_slower))
    looks, lag = mean(times, spread(100, USUAL_SECONDS * times_slower))
    assert looks <= 27
    assert lag <= 13.0


def test_renders_that_go_on_tell_of_a_slow_down_before_any_has_ended() -> None:
    times = learned(*spread(200))
    age = 1.5 * USUAL_SECONDS
    before = times.next_age(LITE, age) - age
    for _ in range(100):  # they are in flight together, and none has ended where nine of ten should have
        times.went_on(LITE, 0.0, 2.5 * USUAL_SECONDS)
        times.next_age(LITE, 2.5 * USUAL_SECONDS)
    assert times.next_age(LITE, age) - age > 1.3 * before


def test_a_first_wave_that_goes_on_for_long_is_one_sign_of_slow_renders_not_many() -> None:
    """What is believed is doubted at the ages that were found wrong, and less at those that nobody came to."""
    times = RenderTimes(5.0)
    for _ in range(120):
        times.went_on(LITE, 0.0, 800.0)
        gap = times.next_age(LITE, 1000.0) - 1000.0
    assert 15.0 < gap < 60.0


def test_when_many_have_ended_fast_those_that_go_on_a_little_longer_are_looked_at_often() -> None:
    """Though nobody believed that renders end at their age, and none was seen to."""
    times = RenderTimes(5.0)
    for _ in range(8):
        times.went_on(LITE, 0.0, 35.0)
        times.ended(LITE, 35.0, 40.0)
    assert times.next_age(LITE, 45.0) - 45.0 < 12.0
    assert times.next_age(LITE, 120.0) - 120.0 > 20.0


def test_asking_again_makes_no_plan_anew_until_much_was_learned() -> None:
    times = RenderTimes(5.0)
    before = times.next_age(LITE, 30.0)
    for _ in range(100):
        times.ended(LITE, 35.0, 40.0)
        assert times.planned_age(LITE, 30.0) == before
    times.plan_anew()
    assert times.planned_age(LITE, 30.0) < 45.0 < before


def test_a_kind_that_was_never_seen_is_like_the_others_until_it_was() -> None:
    times = learned(*spread(100, 40.0))
    assert times.next_age(PRO, 0.0) == pytest.approx(times.next_age(LITE, 0.0), rel=0.3)
    mean(times, spread(60, 600.0), PRO)
    assert times.next_age(PRO, 0.0) > 2 * times.next_age(LITE, 0.0)


def test_long_clips_and_short_ones_are_told_apart() -> None:
    times = RenderTimes(5.0)
    for short, long in zip(spread(60, 40.0), spread(60, 900.0), strict=True):
        follow(times, short, LITE)
        follow(times, long, LONG)
    assert times.next_age(LONG, 0.0) > 2 * times.next_age(LITE, 0.0)


def test_what_is_older_than_all_that_is_learned_of_is_looked_at_all_the_same() -> None:
    for age in (LONGEST_SECONDS, 10 * LONGEST_SECONDS):
        assert RenderTimes(5.0).next_age(LITE, age) == age + LONGEST_GAP_SECONDS
