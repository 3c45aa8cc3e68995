"""When to look at a render next: one schedule for all renders of a run. Pure: every method is told the time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from batchsync.ledger.claims import ClaimedJob
from batchsync.model.credits import clip_seconds
from batchsync.model.renders import RenderKind
from batchsync.runner.render_times import RenderTimes

STALLED_GROWTH = 0.15  # the gap between looks at a stalled render, as a share of its age
LONGEST_STALLED_GAP_SECONDS = 300.0
NOTICED_LATE = 0.05  # the share of a render's time in the ledger that may be the lag until its end was noticed
SCOUTS = 8  # so many renders are looked at more often for the others' sake, until as many ends are known
SCOUT_GROWTH = 0.3  # the gap between looks at a scout, as a share of its age
MOST_NEWS = 64  # once so many ends are known, more of them change no plan much
SLACK_SECONDS = 5.0  # a look that is later than this, and than its own gap, can't tell when the render ended


@dataclass(frozen=True, slots=True)
class _Seen:
    """The age at which a render was last known to run, and the one at which the next look is due."""

    age: float
    due: float


class Schedule:
    """Says when to look at which render, and learns from what the looks find. Times are epoch seconds.

    What it knows of single renders may be lost: one that it never heard of is looked at too, and only teaches less.
    """

    def __init__(self, poll_interval: float) -> None:
        self.times = RenderTimes(poll_interval)
        self._seen: dict[int, _Seen] = {}
        self._scouts: set[int] = set()
        self._ends = 0  # how many were learned of

    def remember(self, past: Iterable[tuple[RenderKind, float]]) -> None:
        """Learn from renders of earlier runs, the oldest first: of each, the seconds until its end was noticed."""
        for kind, seconds in past:
            # The look before wasn't closer than the poll interval, however short the render.
            since = max(0.0, seconds - max(seconds * NOTICED_LATE, self.times.least_gap))
            self.times.went_on(kind, 0.0, since)
            self.times.ended(kind, since, seconds)
            self._ends += 1

    def knows(self, seq: int) -> bool:
        """Whether a render was submitted or looked at by this run."""
        return seq in self._seen

    def first_look(self, seq: int, kind: RenderKind, submitted_at: float) -> float:
        """When to look at a render that was submitted just now."""
        return submitted_at + self._next_age(seq, kind, 0.0)

    def next_look(
        self, seq: int, kind: RenderKind, submitted_at: float, now: float, *, stalled: bool = False
    ) -> float:
        """When to look again at a render that runs; a `stalled` one less and less often, but always again."""
        age = max(0.0, now - submitted_at)
        since = self._seen[seq].age if seq in self._seen else 0.0
        if age > since:
            self.times.went_on(kind, since, age)
        gap = self._next_age(seq, kind, age) - age
        if stalled:
            gap = max(gap, min(age * STALLED_GROWTH, LONGEST_STALLED_GAP_SECONDS))
        return now + gap

    def sooner(self, seq: int, kind: RenderKind, submitted_at: float, at: float, now: float) -> float:
        """When to look at a render that was to be looked at `at`: earlier, if what is known by now says so."""
        seen = self._seen.get(seq)
        if seen is None or not math.isclose(at, submitted_at + seen.due, rel_tol=0.0, abs_tol=0.001):
            return at  # it waits for something else: it is stalled, or its last look failed
        due = self._scouted(seq, seen.age, self.times.planned_age(kind, seen.age))
        if due >= seen.due:
            return at
        # A look that comes far too late for what is known now will teach nothing: its end may have been any time.
        self._seen[seq] = _Seen(seen.age, due)
        return max(now, submitted_at + due)

    def ended(self, seq: int, kind: RenderKind, submitted_at: float, now: float) -> bool:
        """A render was found complete: learn when it may have ended, if it was watched at all.

        Returns whether that changes the plans much: then it pays to ask of all others whether to look `sooner`.
        """
        seen, age = self._seen.pop(seq, None), now - submitted_at
        if seen is None or not seen.age <= age <= seen.due + max(seen.due - seen.age, SLACK_SECONDS):
            return False
        self.times.ended(kind, seen.age, age)
        self._ends += 1
        news = self._ends <= MOST_NEWS and self._ends.bit_count() == 1  # 1, 2, 4, 8 ...: twice as much is known
        if news:
            self.times.plan_anew()
        return news

    def _next_age(self, seq: int, kind: RenderKind, age: float) -> float:
        due = self._scouted(seq, age, self.times.next_age(kind, age))
        self._seen[seq] = _Seen(age, due)
        return due

    def _scouted(self, seq: int, age: float, due: float) -> float:
        """The age at which a look is `due`; at a scout, soon enough to tell of the others while little is known."""
        if self._ends >= SCOUTS:
            return due
        if len(self._scouts) < SCOUTS:
            self._scouts.add(seq)
        if seq not in self._scouts:
            return due
        return min(due, age + max(self.times.least_gap, age * SCOUT_GROWTH))


def kind_of(job: ClaimedJob) -> RenderKind:
    """What is known beforehand of a job's render."""
    return RenderKind(job.generation_mode, clip_seconds(job.start_seconds, job.end_seconds))
