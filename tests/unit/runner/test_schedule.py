"""When a render is looked at next: by what its looks and those of others have found."""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.model.renders import USUAL_SECONDS, RenderKind
from batchsync.runner.schedule import LONGEST_STALLED_GAP_SECONDS, SCOUTS, Schedule

KIND = RenderKind("lite", 10.0)
NOON = 1_700_000_000.0


def taught(seconds: float, renders: int = 60, poll_interval: float = 5.0) -> Schedule:
    schedule = Schedule(poll_interval)
    schedule.remember([(KIND, seconds)] * renders)
    return schedule


@settings(deadline=None)
@given(st.floats(0, 4e9), st.floats(-100, 1e6), st.floats(0.05, 600), st.booleans())
def test_a_gap_is_at_least_the_interval_and_has_an_end(
    now: float, age: float, interval: float, stalled: bool
) -> None:
    gap = Schedule(interval).next_look(1, KIND, now - age, now, stalled=stalled) - now
    assert gap >= interval - 1e-3
    assert gap <= max(2 * interval, LONGEST_STALLED_GAP_SECONDS) + 1e-3


def test_a_stalled_render_is_looked_at_less_often_but_always_again() -> None:
    schedule, age = Schedule(5.0), 4000.0
    usual = schedule.next_look(1, KIND, NOON - age, NOON) - NOON
    assert usual < 60.0
    assert schedule.next_look(1, KIND, NOON - age, NOON, stalled=True) - NOON == LONGEST_STALLED_GAP_SECONDS


def test_the_first_look_is_when_the_renders_of_the_ledger_have_ended() -> None:
    first = taught(150.0).first_look(1, KIND, NOON) - NOON
    assert 140.0 < first < 155.0


def test_few_looks_come_before_long_renders_usually_end() -> None:
    schedule, looks = taught(1200.0), 1
    at = schedule.first_look(1, KIND, NOON)
    while at < NOON + 1100.0:
        at, looks = schedule.next_look(1, KIND, NOON, at), looks + 1
    assert looks <= 9
    assert at - NOON < 1215.0


def test_what_looks_find_is_learned() -> None:
    schedule = Schedule(1.0)
    for seq in range(200):
        at = schedule.first_look(seq, KIND, NOON)
        while at < NOON + 20.0:
            at = schedule.next_look(seq, KIND, NOON, at)
        schedule.ended(seq, KIND, NOON, at)
    assert Schedule(1.0).first_look(1, KIND, NOON) < NOON + 2.0
    assert 12.0 < schedule.first_look(201, KIND, NOON) - NOON < 23.0


def test_an_end_that_was_noticed_far_too_late_teaches_nothing() -> None:
    """A machine that slept, or a render of an earlier run."""
    schedule, other = Schedule(5.0), Schedule(5.0)
    for seq in range(50):
        schedule.first_look(seq, KIND, NOON)
        other.first_look(seq, KIND, NOON)
        schedule.ended(seq, KIND, NOON, NOON + 40_000.0)
        schedule.ended(1000 + seq, KIND, NOON, NOON + 3.0)
    assert schedule.first_look(100, KIND, NOON) == other.first_look(100, KIND, NOON)


def learn(schedule: Schedule, seconds: float, renders: int = 16) -> None:
    """See other renders end, the last of which is news."""
    schedule.remember([(KIND, seconds)] * (renders - 1))
    schedule.first_look(99, KIND, NOON)
    assert schedule.ended(99, KIND, NOON, NOON + 5.0)


def first_wave(seconds: float, sigma: float, renders: int) -> tuple[float, float]:
    """Follow renders that are submitted within some seconds, with nothing known before; looks a render, mean lag."""
    schedule, looks, lags, dice = Schedule(5.0), 0, [], random.Random(11)
    ends = [seconds * dice.lognormvariate(0.0, sigma) for _ in range(renders)]
    began = [NOON + 0.1 * seq for seq in range(renders)]
    due = [(schedule.first_look(seq, KIND, at), seq) for seq, at in enumerate(began)]
    heapq.heapify(due)
    while due:
        now, seq = heapq.heappop(due)
        looks += 1
        if now < began[seq] + ends[seq]:
            heapq.heappush(due, (schedule.next_look(seq, KIND, began[seq], now), seq))
            continue
        lags.append(now - began[seq] - ends[seq])
        if schedule.ended(seq, KIND, began[seq], now):
            due = [(schedule.sooner(other, KIND, began[other], at, now), other) for at, other in due]
            heapq.heapify(due)
    return looks / renders, sum(lags) / renders


@pytest.mark.parametrize(
    ("seconds", "sigma", "most_looks", "most_lag"),
    [
        (10.0, 0.1, 3.0, 4.0),
        (20.0, 0.3, 4.0, 4.0),
        (40.0, 0.0, 5.0, 8.0),
        (40.0, 0.3, 7.0, 6.0),
        (60.0, 0.3, 8.0, 7.0),
        (1200.0, 0.1, 45.0, 20.0),
    ],
)
def test_the_first_wave_of_all_does_not_wait_long_for_what_was_believed(
    seconds: float, sigma: float, most_looks: float, most_lag: float
) -> None:
    looks, lag = first_wave(seconds, sigma, 60)
    assert looks <= most_looks
    assert lag <= most_lag


def test_a_look_that_comes_sooner_is_not_too_close_to_the_one_before() -> None:
    schedule, now = Schedule(5.0), NOON + 31.0
    for scout in range(2, 2 + SCOUTS):
        schedule.first_look(scout, KIND, NOON)
    at = schedule.next_look(1, KIND, NOON, NOON + 30.0)
    assert at > NOON + 60.0
    learn(schedule, 32.0)
    assert NOON + 35.0 <= schedule.sooner(1, KIND, NOON, at, now) < NOON + 40.0


def test_a_look_that_should_have_been_comes_now_and_one_that_waits_for_something_else_when_it_was_to_come() -> None:
    schedule, now = Schedule(5.0), NOON + 50.0
    at = schedule.next_look(1, KIND, NOON, NOON + 30.0)
    assert schedule.sooner(1, KIND, NOON, at, now) == at, "nothing was learned"
    learn(schedule, 32.0)
    assert schedule.sooner(1, KIND, NOON, at + 1.0, now) == at + 1.0
    assert schedule.sooner(2, KIND, NOON, at, now) == at
    assert schedule.sooner(1, KIND, NOON, at, now) == now


def test_short_renders_are_not_believed_to_last_until_they_were_noticed() -> None:
    """Or each run would look later than the one before."""
    assert taught(5.4).first_look(1, KIND, NOON) - NOON < 5.2
    assert taught(0.5, poll_interval=0.2).first_look(1, KIND, NOON) - NOON < 0.5


def test_a_clock_that_was_set_back_looks_at_the_usual_pace() -> None:
    assert 1005.0 <= Schedule(5.0).next_look(1, KIND, 2000.0, 1000.0) < 1006.0


def test_the_same_looks_always_lead_to_the_same_schedule() -> None:
    one, two = taught(USUAL_SECONDS), taught(USUAL_SECONDS)
    assert [one.next_look(1, KIND, NOON, NOON + age) for age in range(0, 900, 50)] == [
        two.next_look(1, KIND, NOON, NOON + age) for age in range(0, 900, 50)
    ]
