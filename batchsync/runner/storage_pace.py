"""How fast transfers may start at a storage: as fast as they like, until it refuses many of them for their pace.

A storage allows thousands a second, and whoever starts slowly there loses minutes. So nothing is held back at first.
Where more than a few of the last seconds' answers are refusals (429, 503), the rate falls to what was let through
meanwhile; from there it grows, slowly at first and then ever faster. One refusal among many answers slows nobody.
"""

from __future__ import annotations

import math
from collections import deque

from batchsync.model.backoff import LONGEST_RETRY_AFTER
from batchsync.runner.pace import BURST_SECONDS, MOST_RATE, START_RATE, Pace

WINDOW_SECONDS = 5.0  # of answers that count
BORNE = 0.1  # of the answers that may be refusals without a cut; one may in any case
GROWTH_SECONDS = 10.0  # after a cut, until the rate is e times as high; twice as long is e**4 times
ENOUGH_RATE = 2.0  # below which no cut leads: a storm of errors, which no pace ends, would seem to ask for ever less


class StoragePace(Pace):
    """A token bucket that is wide open until the storage says no; else as a Pace."""

    def __init__(self, ceiling: float | None, now: float, learned: float | None = None) -> None:
        super().__init__(ceiling or MOST_RATE, now, learned)
        self.tokens = max(1.0, self.rate * BURST_SECONDS)
        self._from = now
        self._answers: deque[tuple[float, bool]] = deque()  # when, and whether it was let through
        self._passed = 0  # of these, those that were
        self._cut_rate: float | None = None

    def succeeded(self, now: float, left: float) -> None:
        """An answer came that was no refusal, to a transfer that left at `left`."""
        self._note(now, passed=True)
        if self._cut_rate is not None and now > self._cut_at:
            calm = min((now - self._cut_at) / GROWTH_SECONDS, 10.0)
            self.rate = self._bounded(self._cut_rate * math.exp(calm * calm))

    def limited(self, now: float, left: float, retry_after: float | None) -> None:
        """The storage refused a transfer that left at `left`, for its pace or because it is overloaded."""
        self._note(now, passed=False)
        if retry_after is not None and 0 < retry_after <= LONGEST_RETRY_AFTER:
            self.pause(now + retry_after)
        refused = len(self._answers) - self._passed
        if left < self._cut_at or refused <= max(1, BORNE * len(self._answers)):
            return
        through = self._passed / min(WINDOW_SECONDS, max(1.0, now - self._from))
        least = max(ENOUGH_RATE, min(self.rate, START_RATE) / 2)  # a few refusals alone say little
        self.rate = self._cut_rate = min(self.rate, max(through, least))
        self.tokens = 0.0
        self._cut_at = max(now, self.paused_until)

    def _note(self, now: float, *, passed: bool) -> None:
        self._answers.append((now, passed))
        self._passed += passed
        while self._answers[0][0] < now - WINDOW_SECONDS:
            self._passed -= self._answers.popleft()[1]
