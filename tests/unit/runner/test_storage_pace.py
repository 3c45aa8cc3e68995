"""How fast transfers start, at storages that are simulated: no clock, no socket."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from batchsync.runner.pace import MOST_RATE
from batchsync.runner.storage_pace import StoragePace

TOOK = 0.05  # seconds, an answer of the storage
AT_ONCE = 8


class Bucket:
    """A storage that lets `rate` a second through, and `burst` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.tokens, self.at = rate, burst, burst, 0.0

    def __call__(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        self.tokens -= (through := self.tokens >= 1)
        return through


def bring(files: int, admits: Callable[[float], bool], retry_after: float | None = None) -> tuple[float, int]:
    """Bring `files` to a storage, eight at once, whatever it takes: how long that is, and how many it refused."""
    pace, now, refused = StoragePace(None, 0.0), 0.0, 0
    under_way: list[tuple[float, float, bool]] = []
    waiting = files
    while waiting or under_way:
        assert now < 3600
        while under_way and under_way[0][0] <= now:
            _, left, through = under_way.pop(0)
            if through:
                pace.succeeded(now, left)
            else:
                pace.limited(now, left, retry_after)
                refused, waiting = refused + 1, waiting + 1
        while waiting and len(under_way) < AT_ONCE and pace.take(now):
            under_way.append((now + TOOK, now, admits(now)))
            waiting -= 1
        now += 0.01
    return now, refused


@pytest.mark.parametrize(("rate", "burst"), [(2, 2), (2, 20), (10, 1), (10, 10), (50, 50)])
def test_a_storage_that_throttles_is_used_up_and_refuses_few(rate: float, burst: float) -> None:
    files = int(80 * rate)
    seconds, refused = bring(files, Bucket(rate, burst))
    assert seconds < 1.35 * files / rate
    assert refused < 30 + 0.15 * files


def test_nothing_is_held_back_before_a_refusal() -> None:
    seconds, refused = bring(90, lambda _: True)
    assert (refused, seconds <= 90 / AT_ONCE * (TOOK + 0.01) + 0.02) == (0, True)


def test_now_and_then_a_refusal_slows_nobody_down() -> None:
    chance = random.Random(3)
    seconds, refused = bring(5000, lambda _: chance.random() > 0.03)
    assert refused > 100
    assert seconds < 1.2 * 5000 / AT_ONCE * (TOOK + 0.01)


def test_it_asks_seldom_while_nothing_gets_through_and_soon_goes_fast_again() -> None:
    seconds, refused = bring(2000, lambda now: now > 60.0)
    assert refused < 150
    assert seconds < 60 + 2000 / AT_ONCE * (TOOK + 0.01) + 30


def test_all_wait_as_long_as_the_storage_says() -> None:
    pace = StoragePace(None, 0.0)
    pace.limited(1.0, 0.9, 7.0)
    assert pace.wait(1.0) == pytest.approx(7.0)
    assert not pace.take(7.9)
    pace.limited(1.1, 0.9, 86_400.0)
    assert pace.wait(8.0) < 1.0, "an absurd word is none"


def test_its_rate_has_an_upper_bound() -> None:
    pace = StoragePace(None, 0.0)
    pace.limited(1.0, 0.9, None)
    pace.limited(1.0, 0.9, None)
    assert pace.rate < 10
    pace.succeeded(10_000.0, 9_999.0)
    assert pace.rate == MOST_RATE


def test_a_storm_of_errors_brings_nothing_to_a_standstill() -> None:
    chance = random.Random(5)
    seconds, _ = bring(80, lambda _: chance.random() > 0.5)
    assert seconds < 80
