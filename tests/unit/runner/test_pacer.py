"""The pace of requests: never above the ceiling, slower when told so, quicker again, and fair to those who wait."""

from __future__ import annotations

import math

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from batchsync.clock import SystemClock
from batchsync.model.backoff import LONGEST_RETRY_AFTER
from batchsync.runner.pacer import (
    BURST_SECONDS,
    CALM_SECONDS,
    CUT,
    LEAST_RATE,
    MOST_RATE,
    START_RATE,
    Pace,
    Pacer,
    Priority,
)

NOW = 1000.0


# --- the calculator ---


@pytest.mark.parametrize("ceiling", [0.5, 3.0, 10.0, 80.0, 300.0])
def test_no_window_holds_more_than_the_ceiling_and_a_burst(ceiling: float) -> None:
    pace = Pace(ceiling, NOW)
    went = []
    for n in range(3000):
        now = NOW + n * 0.01
        for _ in range(pace.take(now, 1000)):
            went.append(now)
            pace.succeeded(now)
    burst = max(1.0, ceiling * BURST_SECONDS)
    for seconds in (0.1, 1.0, 7.0):
        first = 0
        for last, end in enumerate(went):
            while went[first] < end - seconds:
                first += 1
            assert last - first + 1 <= ceiling * seconds + burst + 1e-6
    assert len(went) >= 0.9 * ceiling * 30 - 60, "and it is used"


class AnyPace(RuleBasedStateMachine):
    """Whatever is told to a pace, it keeps its bounds."""

    @initialize(ceiling=st.none() | st.floats(LEAST_RATE, 1000.0))
    def begin(self, ceiling: float | None) -> None:
        self.now = NOW
        self.pace = Pace(ceiling, NOW)
        self.allowance = 1.0
        self.told = NOW

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.allowance = min(
            max(1.0, self.pace.ceiling * BURST_SECONDS), self.allowance + seconds * self.pace.ceiling
        )

    @rule(most=st.integers(0, 50))
    def take(self, most: int) -> None:
        waits = self.pace.wait(self.now)
        taken = self.pace.take(self.now, most)
        assert 0 <= taken <= most
        assert not (taken and waits), "what has to wait doesn't go"
        assert taken <= self.allowance + 1e-6
        self.allowance -= taken
        if self.now < self.told:
            assert taken == 0, "nothing goes before the time that was told"

    @rule(times=st.integers(1, 50))
    def succeeded(self, times: int) -> None:
        before = self.pace.rate
        for _ in range(times):
            self.pace.succeeded(self.now)
        assert self.pace.rate >= before

    @rule(wish=st.none() | st.floats(0, 1e6))
    def limited(self, wish: float | None) -> None:
        before = self.pace.rate
        self.pace.limited(self.now, wish)
        assert self.pace.rate <= before
        self.told = max(self.told, self.now + min(1.0 if wish is None else wish, LONGEST_RETRY_AFTER))

    @rule(seconds=st.floats(0, 60))
    def pause(self, seconds: float) -> None:
        self.pace.pause(self.now + seconds)
        self.told = max(self.told, self.now + seconds)

    @invariant()
    def the_rate_keeps_its_bounds(self) -> None:
        if hasattr(self, "pace"):
            assert LEAST_RATE <= self.pace.rate <= self.pace.ceiling <= MOST_RATE
            assert self.pace.wait(self.now) <= LONGEST_RETRY_AFTER + 1 / LEAST_RATE
            assert math.isfinite(self.pace.tokens)


def test_whatever_is_told_to_a_pace_it_keeps_its_bounds() -> None:
    run_state_machine_as_test(AnyPace)


def test_a_no_never_makes_it_quicker() -> None:
    pace = Pace(0.1, NOW)
    pace.limited(NOW, None)
    assert pace.rate <= 0.1


def test_it_starts_gently_and_never_above_its_ceiling() -> None:
    assert Pace(None, NOW).rate == START_RATE
    assert Pace(3.0, NOW).rate == 3.0
    assert Pace(1e9, NOW).ceiling == MOST_RATE
    assert Pace(None, NOW).take(NOW, 100) == 1, "no burst before anything is known"


def test_it_grows_until_the_first_no_and_is_cut_once_for_each_episode() -> None:
    pace = Pace(None, NOW)
    for _ in range(90):
        pace.succeeded(NOW)
    assert pace.rate == 100.0
    for n in range(20):  # all of these were under way when the first no came
        pace.limited(NOW + n * 0.01, None)
    assert pace.rate == pytest.approx(100.0 * CUT)
    pace.limited(NOW + 1.5, None)
    assert pace.rate == pytest.approx(100.0 * CUT * CUT)


def test_answers_to_a_long_pause_are_one_episode_with_it() -> None:
    pace = Pace(None, NOW)
    pace.limited(NOW, 60.0)
    pace.limited(NOW + 30.0, None)
    assert pace.rate == pytest.approx(START_RATE * CUT)
    pace.limited(NOW + 61.0, None)
    assert pace.rate == pytest.approx(START_RATE * CUT * CUT)


def test_it_never_stops_altogether() -> None:
    pace = Pace(None, NOW)
    for n in range(100):
        pace.limited(NOW + 10 * n, 0.0)
    assert pace.rate == LEAST_RATE
    later = NOW + 2000
    assert pace.take(later, 5) == 1


@pytest.mark.parametrize(
    ("wish", "wait"), [(None, 1.0), (0.0, 0.0), (-5.0, 0.0), (20.0, 20.0), (1e9, LONGEST_RETRY_AFTER)]
)
def test_the_wait_that_the_vendor_asks_for_is_kept_unless_it_is_absurd(wish: float | None, wait: float) -> None:
    pace = Pace(None, NOW)
    pace.limited(NOW, wish)
    assert pace.wait(NOW) == pytest.approx(wait, abs=0.2)
    if wait:
        assert pace.take(NOW + wait - 0.01, 5) == 0
    assert pace.take(NOW + wait, 5) == 1


def test_a_shorter_wait_never_ends_a_longer_one() -> None:
    pace = Pace(None, NOW)
    pace.limited(NOW, 30.0)
    pace.limited(NOW, 1.0)
    pace.pause(NOW + 2.0)
    assert pace.take(NOW + 29.0, 1) == 0


def test_a_pause_saves_nothing_up() -> None:
    pace = Pace(100.0, NOW)
    for _ in range(200):
        pace.succeeded(NOW)
    assert pace.wait(NOW + 10) == 0.0, "a burst is saved up"
    pace.pause(NOW + 60)
    assert pace.take(NOW + 60, 1000) == 1


def test_after_a_no_it_grows_again_but_only_when_it_has_been_calm() -> None:
    pace = Pace(None, NOW)
    pace.limited(NOW, None)
    cut = pace.rate
    for _ in range(100):
        pace.succeeded(NOW + CALM_SECONDS - 0.1)
    assert pace.rate == cut
    seconds, now = 0, NOW + CALM_SECONDS
    while pace.rate < START_RATE:
        now += 1 / pace.rate
        pace.succeeded(now)
        seconds += 1
        assert seconds < 1000
    assert now - NOW < 30, "back where it was within half a minute"


def test_what_was_taken_and_not_sent_goes_back_but_never_beyond_a_burst() -> None:
    pace = Pace(100.0, NOW)
    for _ in range(200):
        pace.succeeded(NOW)
    taken = pace.take(NOW + 10, 1000)
    assert taken == int(100 * BURST_SECONDS)
    assert pace.take(NOW + 10, 1) == 0
    pace.give_back(3)
    assert pace.take(NOW + 10, 1000) == 3
    pace.give_back(10_000)
    assert pace.take(NOW + 10, 1000) == taken


@given(st.floats(0.5, 400), st.floats(0, 5))
def test_a_wait_is_as_long_as_it_says(rate: float, later: float) -> None:
    pace = Pace(rate, NOW)
    pace.take(NOW + later, 1000)
    wait = pace.wait(NOW + later)
    assert wait <= 1 / pace.rate
    assert pace.take(NOW + later + wait + 1e-6, 1) == 1


# --- the queue before it ---


class Still:
    """A clock that stands still until it is moved, and with it whoever sleeps."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


async def settle() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def pacer() -> Pacer:
    """It lets nothing go until the test says so, for its clock stands still."""
    made = Pacer(None, Still())
    made.pace.pause(NOW + 100)
    made.pace.tokens = 0.0
    return made


async def test_work_goes_before_looks_and_each_in_order_of_arrival(pacer: Pacer) -> None:
    went: list[str] = []

    async def wait(name: str, priority: Priority) -> None:
        await pacer.take(priority)
        went.append(name)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for n in range(3):
                tasks.start_soon(wait, f"look {n}", Priority.LOOK)
                await settle()
            for n in range(3):
                tasks.start_soon(wait, f"work {n}", Priority.WORK)
                await settle()
            assert went == []
            pacer.pace.paused_until = NOW
            for n in range(1, 7):
                pacer.pace.tokens = 1.0
                pacer.give_back(0)
                await settle()
                assert len(went) == n
    assert went == ["work 0", "work 1", "work 2", "look 0", "look 1", "look 2"]


async def test_one_who_gives_up_waiting_is_in_nobodys_way(pacer: Pacer) -> None:
    went: list[str] = []

    async def wait(name: str) -> None:
        await pacer.take(Priority.WORK)
        went.append(name)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            first = anyio.CancelScope()

            async def impatient() -> None:
                with first:
                    await wait("first")

            tasks.start_soon(impatient)
            await settle()
            tasks.start_soon(wait, "second")
            await settle()
            first.cancel()
            await settle()
            pacer.pace.paused_until = NOW
            pacer.pace.tokens = 1.0
            pacer.give_back(0)
    assert went == ["second"]
    assert pacer._waiting == []


async def test_several_turns_at_once_are_no_more_than_are_there() -> None:
    clock = Still()
    pacer = Pacer(40.0, clock)
    for _ in range(100):
        pacer.succeeded()
    clock.at += 10
    with anyio.fail_after(10):
        assert await pacer.take(Priority.WORK, 3) == 3
        assert await pacer.take(Priority.WORK, 100) == 10 - 3
        pacer.give_back(5)
        assert await pacer.take(Priority.LOOK, 100) == 5


async def test_it_really_waits_and_really_goes_on() -> None:
    pacer = Pacer(100.0, SystemClock())
    for _ in range(100):
        pacer.succeeded()
    began = anyio.current_time()
    with anyio.fail_after(10):
        for _ in range(45):
            await pacer.take(Priority.WORK)
    assert anyio.current_time() - began >= (45 - 1 - 100 * BURST_SECONDS) / 100 - 0.02


async def test_a_pause_holds_those_who_wait_already() -> None:
    pacer = Pacer(50.0, SystemClock())
    await pacer.take(Priority.WORK)
    began = anyio.current_time()
    pacer.pause(0.2)
    assert 0.1 < pacer.paused_for <= 0.2
    with anyio.fail_after(10):
        await pacer.take(Priority.WORK)
    assert anyio.current_time() - began >= 0.2
    assert pacer.paused_for == 0.0


async def test_each_who_goes_lets_the_next_one_know() -> None:
    pacer, went = Pacer(200.0, SystemClock()), []

    async def wait(n: int) -> None:
        await pacer.take(Priority.WORK)
        went.append(n)

    for _ in range(200):
        pacer.succeeded()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for n in range(30):
                tasks.start_soon(wait, n)
    assert went == list(range(30))
