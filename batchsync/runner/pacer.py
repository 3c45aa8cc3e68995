"""How fast requests may go to the API: starts gently, grows until the vendor says no, and then waits as told."""

from __future__ import annotations

import heapq
import itertools
from enum import IntEnum

import anyio

from batchsync.clock import Clock
from batchsync.model.backoff import LONGEST_RETRY_AFTER

START_RATE = 10.0
LEAST_RATE = 0.2
MOST_RATE = 500.0
CUT = 0.7  # what is left of the rate after the vendor said no
BURST_SECONDS = 0.25
CALM_SECONDS = 5.0  # how long after a no the rate stays as it is
PAUSE_SECONDS = 1.0  # what to wait after a no that doesn't say how long


class Priority(IntEnum):
    """Who goes first when requests are scarce: what gets jobs on goes before looking at how they do."""

    WORK = 0
    LOOK = 1


class Pace:
    """A token bucket whose rate (requests per second) adapts. Pure: every method is told the time."""

    def __init__(self, ceiling: float | None, now: float) -> None:
        self.ceiling = min(ceiling or MOST_RATE, MOST_RATE)
        self.rate = min(START_RATE, self.ceiling)
        self.tokens = 1.0
        self.paused_until = now
        self._filled_at = now
        self._cut_at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until the next request may go; 0 if it may go now."""
        self._fill(now)
        pause = max(0.0, self.paused_until - now)
        return max(pause, 0.0 if self.tokens >= 1.0 else (1.0 - self.tokens) / self.rate)

    def take(self, now: float, most: int = 1) -> int:
        """Take up to `most` requests that may go now."""
        self._fill(now)
        if now < self.paused_until:
            return 0
        taken = min(most, int(self.tokens))
        self.tokens -= taken
        return taken

    def give_back(self, count: int) -> None:
        """Return requests that were taken and not sent."""
        self.tokens += count

    def succeeded(self, now: float) -> None:
        """An answer came that was no 'too many requests': faster, doubling each second until the first no."""
        if self._cut_at is None:
            self.rate = min(self.ceiling, self.rate + 1.0)
        elif now - self._cut_at > CALM_SECONDS:
            self.rate = min(self.ceiling, self.rate + 0.5 / self.rate)

    def limited(self, now: float, retry_after: float | None) -> None:
        """The vendor said 'too many requests': slower once per episode, and everybody waits."""
        if self._cut_at is None or now >= max(self.paused_until, self._cut_at + PAUSE_SECONDS):
            self.rate = min(self.ceiling, max(LEAST_RATE, self.rate * CUT))
            self._cut_at = now
        wait = PAUSE_SECONDS if retry_after is None else min(max(retry_after, 0.0), LONGEST_RETRY_AFTER)
        self.pause(now + wait)

    def pause(self, until: float) -> None:
        """Let nothing go before `until`."""
        self.paused_until = max(self.paused_until, until)
        self.tokens = min(self.tokens, 1.0)

    def _fill(self, now: float) -> None:
        since = max(self._filled_at, self.paused_until if self.paused_until <= now else now)
        self.tokens = min(max(1.0, self.rate * BURST_SECONDS), self.tokens + max(0.0, now - since) * self.rate)
        self._filled_at = now


class Pacer:
    """Makes tasks wait for their turn at a Pace: higher priority first, then in order of arrival."""

    def __init__(self, ceiling: float | None, clock: Clock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._waiting: list[tuple[Priority, int, list[anyio.Event]]] = []
        self.pace = Pace(ceiling, clock.monotonic())

    async def take(self, priority: Priority, most: int = 1) -> int:
        """Wait until requests may go; returns how many, from 1 to `most`."""
        me = (priority, next(self._order), [anyio.Event()])
        heapq.heappush(self._waiting, me)
        self._wake_first()
        try:
            while True:
                me[2][0] = anyio.Event()
                wait = self.pace.wait(self._clock.monotonic()) if self._waiting[0] is me else None
                if wait == 0.0 and (taken := self.pace.take(self._clock.monotonic(), most)):
                    return taken
                with anyio.move_on_after(wait):
                    await me[2][0].wait()
        finally:
            self._waiting.remove(me)
            heapq.heapify(self._waiting)
            self._wake_first()

    def _wake_first(self) -> None:
        if self._waiting:
            self._waiting[0][2][0].set()

    def give_back(self, count: int) -> None:
        """Return requests that were taken and not sent."""
        self.pace.give_back(count)
        self._wake_first()

    def succeeded(self) -> None:
        """Tell of an answer that was no 'too many requests'."""
        self.pace.succeeded(self._clock.monotonic())

    def limited(self, retry_after: float | None) -> None:
        """Tell of a 'too many requests'; `retry_after` in seconds."""
        self.pace.limited(self._clock.monotonic(), retry_after)

    def pause(self, seconds: float) -> None:
        """Let nothing go for a while."""
        self.pace.pause(self._clock.monotonic() + seconds)

    @property
    def paused_for(self) -> float:
        """Seconds for which nothing may go."""
        return max(0.0, self.pace.paused_until - self._clock.monotonic())
