"""The pace of requests: never above its ceiling, cut once for each episode, as quick as unannounced limits let it."""

from __future__ import annotations

import math
from collections import deque

import pytest
from bench.limits import Case, Fixed, Free, Sliding, cases, judged, simulate
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from batchsync.model.backoff import LONGEST_RETRY_AFTER
from batchsync.runner.pace import (
    BURST_SECONDS,
    CUT,
    FIRST_WAIT,
    KEPT,
    LEAST_RATE,
    LONGEST_WAIT,
    MOST_RATE,
    START_RATE,
    WIDENING,
    Pace,
)

NOW = 1000.0


def run(pace: Pace, now: float, seconds: float, answer: float = 0.05) -> float:
    """Send as fast as it lets us, and have every answer be a good one; returns the time at the end."""
    end = now + seconds
    while now < end:
        now += max(pace.wait(now), 1e-6)
        if pace.take(now):
            pace.succeeded(now + answer, now)
    return now + answer


def refuse(pace: Pace, now: float, wish: float | None = None) -> float:
    """A request is refused, and the next one is let through; returns the time after it."""
    pace.limited(now, now, wish)
    now += pace.wait(now)
    assert pace.take(now, 100) == 1, "one goes ahead"
    pace.succeeded(now, now)
    return now


# --- bounds ---


@pytest.mark.parametrize("ceiling", [0.5, 3.0, 10.0, 80.0, 300.0])
def test_no_window_holds_more_than_the_ceiling_and_a_burst(ceiling: float) -> None:
    pace = Pace(ceiling, NOW)
    went = []
    for n in range(3000):
        now = NOW + n * 0.01
        for _ in range(pace.take(now, 1000)):
            went.append(now)
            pace.succeeded(now, now)
    burst = max(1.0, ceiling * BURST_SECONDS)
    for seconds in (0.1, 1.0, 7.0):
        first = 0
        for last, end in enumerate(went):
            while went[first] < end - seconds:
                first += 1
            assert last - first + 1 <= ceiling * seconds + burst + 1e-6
    assert len(went) >= 0.95 * ceiling * 30 - 1, "and it is used"


class AnyPace(RuleBasedStateMachine):
    """Whatever is told to a pace, it keeps its bounds."""

    @initialize(ceiling=st.none() | st.floats(LEAST_RATE, 1000.0), learned=st.none() | st.floats(0.001, 1000.0))
    def begin(self, ceiling: float | None, learned: float | None) -> None:
        self.now = NOW
        self.pace = Pace(ceiling, NOW, learned)
        self.allowance = 1.0
        self.told = NOW

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        most = max(1.0, self.pace.ceiling * BURST_SECONDS)
        self.allowance = min(most, self.allowance + seconds * self.pace.ceiling)

    @rule(most=st.integers(0, 50))
    def take(self, most: int) -> None:
        waits = self.pace.wait(self.now)
        taken = self.pace.take(self.now, most)
        assert 0 <= taken <= most
        assert not (taken and waits), "what has to wait doesn't go"
        assert taken <= self.allowance + 1e-6 or taken == 1, "but for the one that goes ahead"
        self.allowance = max(0.0, self.allowance - taken)
        if self.now < self.told:
            assert taken == 0, "nothing goes before the time that was told"

    @rule(times=st.integers(1, 50), ago=st.floats(0, 20))
    def succeeded(self, times: int, ago: float) -> None:
        for _ in range(times):
            self.pace.succeeded(self.now, self.now - ago)

    @rule(wish=st.none() | st.floats(-10, 1e6), ago=st.floats(0, 20))
    def limited(self, wish: float | None, ago: float) -> None:
        before = self.pace.rate
        self.pace.limited(self.now, self.now - ago, wish)
        assert self.pace.rate <= before
        if wish is not None and wish <= LONGEST_RETRY_AFTER:
            self.told = max(self.told, self.now + wish)

    @rule(seconds=st.floats(0, 60))
    def pause(self, seconds: float) -> None:
        self.pace.pause(self.now + seconds)
        self.told = max(self.told, self.now + seconds)

    @rule(limit=st.floats(LEAST_RATE, 1000.0))
    def share(self, limit: float) -> None:
        self.pace.share(limit)

    @invariant()
    def the_rate_keeps_its_bounds(self) -> None:
        if hasattr(self, "pace"):
            assert min(LEAST_RATE, self.pace.ceiling) <= self.pace.rate <= self.pace.ceiling <= MOST_RATE
            assert self.pace.wait(self.now) <= LONGEST_RETRY_AFTER + 1 / LEAST_RATE
            assert math.isfinite(self.pace.tokens)


def test_whatever_is_told_to_a_pace_it_keeps_its_bounds() -> None:
    run_state_machine_as_test(AnyPace)


@given(st.floats(0.5, 400), st.floats(0, 5))
def test_a_wait_is_as_long_as_it_says(rate: float, later: float) -> None:
    pace = Pace(rate, NOW)
    pace.take(NOW + later, 1000)
    wait = pace.wait(NOW + later)
    assert wait <= 1 / pace.rate
    assert pace.take(NOW + later + wait + 1e-6, 1) == 1


# --- the start ---


def test_it_starts_gently_at_its_ceiling_or_near_what_was_learned() -> None:
    assert Pace(None, NOW).rate == START_RATE
    assert Pace(3.0, NOW).rate == 3.0
    assert Pace(80.0, NOW).rate == 80.0, "who gives a rate has said what is wanted"
    assert Pace(1e9, NOW).ceiling == MOST_RATE
    assert Pace(None, NOW).take(NOW, 100) == 1, "no burst before anything is known"
    assert Pace(None, NOW, 40.0).rate == 40.0 * CUT
    assert Pace(80.0, NOW, 40.0).rate == 40.0 * CUT
    assert Pace(8.0, NOW, 40.0).rate == 8.0


def test_without_a_limit_it_is_fast_within_three_seconds() -> None:
    pace = Pace(None, NOW)
    run(pace, NOW, 3.0)
    assert pace.rate >= 300
    assert pace.limit is None, "only a no teaches a limit"


@pytest.mark.parametrize("answer", [0.005, 0.02, 0.1])
def test_the_quicker_answers_come_the_sooner_it_is_fast_and_no_more_is_under_way(answer: float) -> None:
    pace, now, gone, answers = Pace(None, NOW), NOW, 0, deque[float]()
    while pace.rate < 400:
        now += max(pace.wait(now), 1e-6)
        while answers and answers[0] + answer <= now:
            left = answers.popleft()
            pace.succeeded(left + answer, left)
        if pace.take(now):
            gone += 1
            answers.append(now)
    assert now - NOW < 0.4 + 65 * answer
    assert len(answers) < gone / 12


def test_requests_that_nobody_wants_to_send_let_nothing_grow() -> None:
    pace = Pace(None, NOW)
    for n in range(1000):  # four a second, where ten may go
        now = NOW + n * 0.25
        assert pace.take(now) == 1
        pace.succeeded(now, now)
    assert pace.rate < 1.5 * START_RATE, "the first ones are no more than the first ones"
    assert not pace.in_use(NOW + 1000)


# --- an episode ---


def test_a_no_cuts_once_for_all_requests_that_were_under_way() -> None:
    pace = Pace(None, NOW)
    now = run(pace, NOW, 2.0)
    before = pace.rate
    for n in range(20):
        pace.limited(now + n * 0.01, now - 0.1, None)
    assert pace.wait(now) == pytest.approx(FIRST_WAIT)
    after = refuse_ends(pace, now)
    assert pace.limit == pytest.approx(before, rel=0.05)
    assert pace.rate == pytest.approx(pace.limit * CUT)
    pace.limited(after, now - 0.1, None)
    assert pace.rate == pytest.approx(pace.limit * CUT), "nor does one whose answer came even later"
    assert pace.wait(after + 0.2) < 0.1, "or make anybody wait"


def refuse_ends(pace: Pace, now: float) -> float:
    later = now + pace.wait(now)
    assert pace.take(later, 50) == 1
    pace.succeeded(later, later)
    return later


def test_one_goes_ahead_and_the_rest_wait_for_its_answer() -> None:
    pace = Pace(100.0, NOW)
    now = run(pace, NOW, 2.0)
    pace.limited(now, now, 3.0)
    assert pace.take(now + 2.99, 5) == 0
    assert pace.take(now + 3.0, 5) == 1
    pace.give_back(10)
    assert pace.take(now + 3.5, 5) == 1, "instead of the one that was taken and not sent"
    assert pace.take(now + 4.0, 5) == 0
    assert pace.take(now + 5.6, 5) == 1, "its answer may be lost"
    pace.succeeded(now + 5.7, now + 3.0)
    assert pace.take(now + 5.8, 50) > 1


def test_waits_grow_as_long_as_those_that_go_ahead_are_refused() -> None:
    pace = Pace(100.0, NOW)
    now, waits = NOW, []
    for _ in range(12):
        pace.limited(now, now, None)
        waits.append(pace.wait(now))
        now += waits[-1]
    assert waits[:4] == [FIRST_WAIT * WIDENING**n for n in range(4)]
    assert waits[4:8] == [LONGEST_WAIT] * 4
    assert LONGEST_WAIT < waits[-1] <= (now - NOW) / 4, "and those of a window of hours grow on"


def test_a_wait_is_no_shorter_than_the_time_of_a_request() -> None:
    for limit, wait in ((20.0, FIRST_WAIT), (0.5, 2.0), (LEAST_RATE, LONGEST_WAIT)):
        pace = Pace(None, NOW, limit)
        pace.limited(NOW, NOW, None)
        assert pace.wait(NOW) == pytest.approx(wait)


@pytest.mark.parametrize(
    ("wish", "wait"),
    [(None, 0.5), (0.0, 0.5), (-5.0, 0.5), (0.2, 0.2), (20.0, 20.0), (LONGEST_RETRY_AFTER, 900.0), (86400.0, 0.5)],
)
def test_the_wait_that_the_vendor_asks_for_is_kept_unless_it_is_absurd(wish: float | None, wait: float) -> None:
    pace = Pace(None, NOW)
    pace.limited(NOW, NOW, wish)
    assert pace.wait(NOW) == pytest.approx(wait)
    assert pace.take(NOW + wait - 0.01, 5) == 0
    assert pace.take(NOW + wait, 5) == 1


def test_a_shorter_wait_never_ends_a_longer_one() -> None:
    pace = Pace(None, NOW)
    pace.limited(NOW, NOW, 30.0)
    pace.limited(NOW, NOW, 1.0)
    pace.pause(NOW + 2.0)
    assert pace.take(NOW + 29.0, 1) == 0


def test_a_pause_saves_nothing_up() -> None:
    pace = Pace(100.0, NOW)
    assert pace.wait(NOW + 10) == 0.0, "a burst is saved up"
    pace.pause(NOW + 60)
    assert pace.take(NOW + 60, 1000) == 1


def test_what_was_taken_and_not_sent_goes_back_but_never_beyond_a_burst() -> None:
    pace = Pace(100.0, NOW)
    taken = pace.take(NOW + 10, 1000)
    assert taken == int(100 * BURST_SECONDS)
    assert pace.take(NOW + 10, 1) == 0
    pace.give_back(3)
    assert pace.take(NOW + 10, 1000) == 3
    pace.give_back(10_000)
    assert pace.take(NOW + 10, 1000) == taken


# --- what it teaches ---


def test_a_long_wait_teaches_what_was_let_through_in_all_the_time() -> None:
    pace, now, went = Pace(None, NOW), NOW, 0
    while now < NOW + 2.0:
        now += max(pace.wait(now), 1e-6)
        if pace.take(now):
            went += 1
            pace.succeeded(now, now)
    refuse(pace, now, 58.0)
    assert pace.limit == pytest.approx(went / 60, rel=0.03), "however fast it had become"


def test_a_short_wait_teaches_the_rate_at_which_it_came() -> None:
    pace = Pace(20.0, NOW)
    now = run(pace, NOW, 15.0)
    now = refuse(pace, now, 1.0)
    assert pace.limit == pytest.approx(20.0, rel=0.03)
    refuse(pace, now + 0.1, 0.5)
    assert pace.limit == pytest.approx(20.0 * CUT * KEPT, rel=0.03), "but one that came at once, far less"


def test_one_window_that_others_have_used_up_takes_no_more_than_a_share_of_the_limit() -> None:
    pace = Pace(20.0, NOW, 20.0)
    now = run(pace, NOW, 2.0)
    before = pace.rate
    refuse(pace, now, 58.0)
    assert pace.limit == pytest.approx(before * KEPT), "though it was let through half a request a second"


def test_those_who_have_less_grow_sooner() -> None:
    grown = []
    for rate in (5.0, 20.0):
        pace = Pace(rate, NOW)
        now = refuse(pace, run(pace, NOW, 60.0), 20.0)
        limit, pace.ceiling = pace.limit or 0.0, MOST_RATE
        run(pace, now, 60.0)
        grown.append(pace.rate / limit)
    assert grown[0] > 1.02 > 1.005 > grown[1]


def test_it_grows_slowly_to_the_limit_and_fast_far_beyond_it() -> None:
    pace = Pace(20.0, NOW)
    now = refuse(pace, run(pace, NOW, 60.0), 0.5)
    limit, pace.ceiling, rates = pace.limit or 0.0, MOST_RATE, []
    for _ in range(12):
        now = run(pace, now, 10.0)
        rates.append(pace.rate / limit)
    assert rates == sorted(rates)
    assert 0.98 < rates[2] < 1.02, "after half a minute"
    assert rates[4] < 1.3, "and twenty seconds later"
    assert 3 < rates[9] < 5, "but a limit that isn't there any more is left behind: it doubles every 20 s"


def test_what_was_learned_of_another_day_is_doubted_sooner() -> None:
    pace = Pace(None, NOW, 1.0)
    now = run(pace, NOW, 12.0)
    assert CUT < pace.rate < 1.01, "it starts near what was found out"
    run(pace, now, 110.0)
    assert pace.rate > 15, "an account that may go twenty times as fast today is not kept waiting for long"


def test_a_share_moves_the_curve_and_nothing_else() -> None:
    pace = Pace(None, NOW)
    pace.share(5.0)
    assert (pace.limit, pace.rate) == (None, START_RATE), "one that was never held up has nothing to share"
    pace = Pace(None, NOW, 20.0)
    pace.share(10.0)
    assert (pace.limit, pace.rate) == (10.0, 10.0 * CUT)


# --- against limits that nobody announced (all of them: tests/bench/limits.py) ---

KINDS = [
    "fixed 5/s whole",
    "fixed 20/s none",
    "sliding 20/s exact",
    "fixed 300/min whole",
    "fixed 600/min none",
    "sliding 600/min date",
    "fixed 600/min day",
    "bucket 10/s burst 50 zero",
    "change fixed 10->20/s whole",
    "change fixed 20->10/s none",
    "change sliding 1200->600/min whole",
    "two fixed 10/s none ledger",
    "two fixed 600/min whole later ledger",
    "ceiling 2 fixed 600/min whole",
]


@pytest.mark.parametrize("name", KINDS)
def test_it_uses_what_is_allowed_and_is_seldom_refused(name: str) -> None:
    (case,) = [case for case in cases() if case.name == name]
    text, good = judged(case, 13 * 60.0, seed=1)
    assert good, text


def test_a_short_run_is_seldom_refused_either_though_what_is_under_way_at_its_first_no_weighs_more() -> None:
    case = Case("short", [(0.0, Sliding(60, 60.0), 1.0)], "whole")
    text, good = judged(case, 5 * 60.0, seed=1)
    assert good, text


def test_a_ceiling_holds_whatever_the_limit_is() -> None:
    for limit in (Free(), Fixed(600, 60.0), Sliding(10, 1.0)):
        (client,) = simulate(Case("ceiling", [(0.0, limit, 8.0)], "none", ceiling=8.0), 120.0, 1)
        sent = sorted([*client.went, *client.refused])
        assert all(late - early > 0.9 for early, late in zip(sent, sent[10:], strict=False))
