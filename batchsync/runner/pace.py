"""How fast requests may go to the API. Nobody knows the vendor's limits, so they are found.

**Start.** As long as the vendor has never said no (429), the rate doubles with every second or so of good answers,
and sooner where they come quickly: what is under way at the first no is refused with it, and then that is less.

**A no** begins an episode, and all requests wait: as long as `Retry-After` says, or half a second. Then one request
goes ahead to see. As long as those are refused too, the waits grow; the first that is let through ends the episode.
Refusals of requests whose turn had come before the wait belong to it, and cut nothing a second time.

**What an episode teaches** is the limit. After a long wait a long window had been used up: the limit is what was let
through since the last episode, divided by the time, the wait included. After a short one it is the rate at which the
no came, less the share of a minute that the wait was; a good half of it at most, if the wait was longer than the run.
No later episode takes more after a long wait either: perhaps another process has just used up this window.

**After it** the rate follows a cubic curve: from a little below the limit to the limit, where it is flat, and then
ever faster. It is flat for longer where a no costs more (few requests, long waits) and, unless the requests are few,
for those who have more: so two processes on an account draw nearer to each other. Who gets far beyond the limit has
learned it of other times: then the rate doubles every so often. Time in which fewer requests want to go than may lets
nothing grow.
"""

from __future__ import annotations

import math

from batchsync.model.backoff import LONGEST_RETRY_AFTER

START_RATE = 10.0
LEAST_RATE = 1 / 60
MOST_RATE = 500.0
DOUBLING_SECONDS = 1.3  # before the first no, at most
DOUBLING_ANSWERS = 12.0  # likewise, as a multiple of an answer's time: 6 % of what has left is under way then
LEAST_ANSWERS = 2.0  # from which it doubles: the first few may be quicker than the rest
BURST_SECONDS = 0.1  # of requests that may be saved up

FIRST_WAIT = 0.5  # seconds, after a no that doesn't say how long; no less than a request takes at the limit
WIDENING = 3  # of the waits in an episode, each a multiple of the one before
LONGEST_WAIT = 20.0  # between two requests that go ahead, as long as the episode isn't far longer itself
AHEAD_RATE = 0.5  # of requests that go ahead, when no answer comes to them

LONG_WAIT = 6.0  # seconds: the end of a window of a minute, not of a second
ENOUGH = 10  # requests that were let through, to divide them by the time
MEMORY_SECONDS = 60.0  # what was let through before counts half

KEPT = 0.6  # of the rate, where an episode seems to teach far less
CUT = 0.85  # of the limit: where the rate goes on after an episode
QUICKENING = 0.6  # of the curve beyond its flat part
# Seconds until the limit is reached again: the longer of two, between two bounds.
FLAT_ROOT = 8.0  # times the limit's square root
FLAT_WAITS = 10.0  # times the last wait
FLAT_SECONDS = (15.0, 75.0)  # the bounds
FLAT_MOST_ROOT = 25.0  # times the limit's square root, a further bound from above: those who have less grow sooner
FLAT_REQUESTS = 100.0  # and yet never so short that fewer requests would go meanwhile
RAISED = 1.3  # times the limit without a no: it isn't the vendor's any more
RAISED_SECONDS = 20.0  # in which the rate doubles then


class Pace:
    """A token bucket whose rate (requests per second) adapts. Pure: every method is told the time (seconds).

    `limit` is what the vendor is believed to allow; None as long as it has never said no.
    """

    def __init__(self, ceiling: float | None, now: float, learned: float | None = None) -> None:
        self.ceiling = min(ceiling or MOST_RATE, MOST_RATE)
        self.limit: float | None = None
        self.rate = self._bounded(START_RATE if ceiling is None else ceiling)
        self.tokens = 1.0
        self.paused_until = now
        self._filled_at = now
        self._idle = False
        self._slowest = 0.0  # seconds that an answer took lately
        # Since the last episode:
        self._began = now
        self._let_through = 0.0
        self._calm = 0.0  # seconds that this took, had it all gone at full rate
        self._flat = FLAT_SECONDS[0]
        # The episode that is on, or was last:
        self._on = False
        self._cut_at = now
        self._shut_until = now  # as far as the vendor's word goes
        self._refusals = 0
        if learned is not None:
            self._learn(learned, 0.0)
            self._flat = FLAT_SECONDS[0]  # it may be of another day

    # --- the bucket ---

    def wait(self, now: float) -> float:
        """Seconds until the next request may go; 0 if it may go now."""
        self._fill(now)
        pause = max(0.0, self.paused_until - now)
        return max(pause, 0.0 if self.tokens >= 1.0 else (1.0 - self.tokens) / self._flow)

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

    def pause(self, until: float) -> None:
        """Let nothing go before `until`."""
        self.paused_until = max(self.paused_until, until)
        self.tokens = min(self.tokens, 1.0)

    def _fill(self, now: float) -> None:
        since = max(self._filled_at, min(self.paused_until, now))
        room = 1.0 if self._on else max(1.0, self.rate * BURST_SECONDS)
        tokens = self.tokens + (now - since) * self._flow
        if now > since:
            self._idle = tokens >= room + 1.0
        self.tokens = min(room, tokens)
        self._filled_at = max(now, self._filled_at)

    @property
    def _flow(self) -> float:
        return min(self.rate, AHEAD_RATE) if self._on else self.rate

    # --- what answers teach ---

    def succeeded(self, now: float, left: float) -> None:
        """An answer came that was no 'too many requests', to a request that left at `left`."""
        if self._on and left >= self.paused_until:
            self._end_episode(now, left)
        elif not self._on and not self._idle and left >= self._cut_at:
            self._calm += 1 / self.rate
            if now - self._began > MEMORY_SECONDS:
                self._began, self._let_through = now - MEMORY_SECONDS / 2, self._let_through / 2
            self._let_through += 1
            self._slowest = max(now - left, 0.9 * self._slowest)
            self._grow()

    def limited(self, now: float, left: float, retry_after: float | None) -> None:
        """The vendor said 'too many requests' to a request that left at `left`: everybody waits."""
        told = retry_after if retry_after is not None and 0 < retry_after <= LONGEST_RETRY_AFTER else 0.0
        wait = told
        if not self._on and left >= self._cut_at:
            self._on, self._cut_at, self._refusals = True, now, 0
            wait = told or self._first_wait
        elif self._on and left >= self.paused_until:
            self._refusals += 1
            widened = self._first_wait * WIDENING ** min(self._refusals, 10)
            wait = max(told, min(LONGEST_WAIT, widened), (now - self._cut_at) / 4)
        else:  # its turn had come before the wait began
            self.pause(now + told)
            return
        self._shut_until = now + told
        self.tokens = 1.0
        self.pause(now + min(wait, LONGEST_RETRY_AFTER))

    @property
    def _first_wait(self) -> float:
        return FIRST_WAIT if self.limit is None else max(FIRST_WAIT, min(1 / self.limit, LONGEST_WAIT))

    def share(self, limit: float) -> None:
        """Take `limit` for the vendor's, as other processes on the account have it; the curve goes on from there."""
        if self.limit is not None:
            self.limit, self.rate = limit, self._bounded(self.rate * limit / self.limit)

    def in_use(self, now: float) -> bool:
        """Whether as many requests want to go as may go."""
        self._fill(now)
        return not self._idle

    def _end_episode(self, now: float, left: float) -> None:
        # Somewhere between the last time when it was known to be shut and now it has opened.
        waited = max(0.0, (self._shut_until + left) / 2 - self._cut_at)
        ran = self._cut_at - self._began
        if waited >= LONG_WAIT and self._let_through >= ENOUGH:
            least = 0.0 if self.limit is None else KEPT * self.rate
            limit = max(least, min(self.rate, self._let_through / (ran + waited)))
        else:
            open_for = 1 - waited / max(60.0, ran + waited)
            limit = self.rate * max(1 / 8, open_for if ran >= waited else min(open_for, KEPT))
        self._on = False
        self._began, self._let_through, self._calm = now, 0.0, 0.0
        self._learn(limit, waited)

    def _learn(self, limit: float, waited: float) -> None:
        self.limit = max(limit, LEAST_RATE)
        (least, most), root = FLAT_SECONDS, math.sqrt(self.limit)
        flat = min(max(FLAT_ROOT * root, FLAT_WAITS * waited), most, FLAT_MOST_ROOT * root)
        self._flat = max(flat, least, FLAT_REQUESTS / self.limit)
        self.rate = self._bounded(self.limit * CUT)

    def _grow(self) -> None:
        if self.limit is None:
            doubling = max(LEAST_ANSWERS / self.rate, min(DOUBLING_SECONDS, DOUBLING_ANSWERS * self._slowest))
            self.rate = self._bounded(self.rate * 2 ** (1 / self.rate / doubling))
        elif self.rate > RAISED * self.limit:
            self.rate = self._bounded(self.rate * 2 ** (1 / self.rate / RAISED_SECONDS))
        else:
            beyond = self._calm / self._flat - 1
            self.rate = self._bounded(self.limit * (1 + (QUICKENING if beyond > 0 else 1 - CUT) * beyond**3))

    def _bounded(self, rate: float) -> float:
        return min(self.ceiling, max(rate, LEAST_RATE))
