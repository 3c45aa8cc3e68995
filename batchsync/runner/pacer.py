"""The queue before the pace: requests take their turns, and work goes before looks when turns are scarce."""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum

import anyio

from batchsync.clock import Clock
from batchsync.runner.pace import Pace

LOOK_EVERY = 10  # the least share of looks while work is waiting: one in so many


class Priority(IntEnum):
    """Who goes first when requests are scarce: what gets jobs on goes before looking at how they do."""

    WORK = 0
    LOOK = 1


class Pacer:
    """Makes tasks wait for their turn at a Pace: higher priority first, then in order of arrival."""

    def __init__(
        self, ceiling: float | None, clock: Clock, learned: float | None = None, *, kind: type[Pace] = Pace
    ) -> None:
        self._clock = clock
        self._lines: dict[Priority, OrderedDict[object, anyio.Event]] = {kind: OrderedDict() for kind in Priority}
        self._since_look = 0
        self.pace = kind(ceiling, clock.monotonic(), learned)

    async def take(self, priority: Priority, most: int = 1) -> int:
        """Wait until requests may go; returns how many, from 1 to `most`."""
        line, me = self._lines[priority], object()
        line[me] = anyio.Event()
        try:
            while True:
                wait = None
                if next(iter(self._next_line())) is me:
                    wait = self.pace.wait(self._clock.monotonic())
                    if wait == 0.0 and (taken := self.pace.take(self._clock.monotonic(), most)):
                        self._since_look = 0 if priority is Priority.LOOK else self._since_look + taken
                        return taken
                line[me] = anyio.Event()
                with anyio.move_on_after(wait):
                    await line[me].wait()
        finally:
            del line[me]
            self._wake_first()

    def _next_line(self) -> OrderedDict[object, anyio.Event]:
        """Those of whom the first goes next: looks wait for work, but not for ever."""
        work, looks = self._lines[Priority.WORK], self._lines[Priority.LOOK]
        return looks if not work or (looks and self._since_look >= LOOK_EVERY - 1) else work

    def _wake_first(self) -> None:
        if line := self._next_line():
            next(iter(line.values())).set()

    def give_back(self, count: int) -> None:
        """Return requests that were taken and not sent."""
        self.pace.give_back(count)
        self._wake_first()

    def succeeded(self, left: float) -> None:
        """Tell of an answer that was no 'too many requests', to a request that left at `left` (monotonic seconds)."""
        self.pace.succeeded(self._clock.monotonic(), left)
        self._wake_first()

    def limited(self, left: float, retry_after: float | None) -> None:
        """Tell of a 'too many requests'; `left` as for `succeeded`, `retry_after` in seconds."""
        self.pace.limited(self._clock.monotonic(), left, retry_after)

    def pause(self, seconds: float) -> None:
        """Let nothing go for a while."""
        self.pace.pause(self._clock.monotonic() + seconds)

    @property
    def held_up_by(self) -> float | None:
        """The vendor's limit in requests per second, where one is known and more would go but for it."""
        return self.pace.limit if self.pace.in_use(self._clock.monotonic()) else None

    @property
    def paused_for(self) -> float:
        """Seconds for which nothing may go."""
        return max(0.0, self.pace.paused_until - self._clock.monotonic())
