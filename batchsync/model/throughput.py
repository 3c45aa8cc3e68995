"""How fast jobs come to their end, and how long the rest will take. Pure."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

WINDOW_SECONDS = 600.0  # what is looked back on: long enough to even out, short enough to notice a change
ENOUGH_ENDS = 5  # from so many on, a rate means something


@dataclass(slots=True)
class Throughput:
    """Jobs that ended lately. `note` is told of their number from time to time; times in seconds of one clock."""

    _notes: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, now: float, ended: int) -> None:
        """So many jobs have ended by now, in all."""
        while len(self._notes) > 1 and self._notes[1][0] <= now - WINDOW_SECONDS:
            self._notes.popleft()  # the newest one beyond the window stays: the window begins there
        if not self._notes or ended != self._notes[-1][1]:
            self._notes.append((now, ended))

    def per_second(self, now: float) -> float | None:
        """Jobs per second, None while too few have ended."""
        if not self._notes:
            return None
        (since, before), (_, ended) = self._notes[0], self._notes[-1]
        return per_second(ended - before, now - since)


def per_second(ended: int, seconds: float) -> float | None:
    """Jobs per second from those that `ended` within `seconds`, None while that says nothing."""
    return ended / seconds if ended >= ENOUGH_ENDS and seconds > 0 else None


def seconds_left(remaining: int, rate: float | None, usual: float | None, in_flight: int) -> float | None:
    """How long `remaining` jobs will take: at the `rate` of late, else in rounds of `usual` seconds a render.

    `in_flight` is how many are rendered at once; None where nothing is measured yet.
    """
    if not remaining:
        return 0.0
    if rate is not None:
        return remaining / rate
    if usual is None or in_flight <= 0:
        return None
    return math.ceil(remaining / in_flight) * usual
