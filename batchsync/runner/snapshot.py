"""How a run stands at a moment: what progress, status and the closing summary show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from batchsync.ledger.flight import Flight
from batchsync.model.credits import Totals
from batchsync.model.states import Shown
from batchsync.runner.options import Stopped

_GROUNDED = Flight()
_ENDED = (Shown.COMPLETE, Shown.FAILED, Shown.CANCELED, Shown.HELD)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a run stands: jobs by shown state, credits, seconds since its start, and what it waits for (or None).

    `cap` is the most credits that it may spend, `rate` the jobs per second that ended of late, `left` the seconds
    that the rest will take; each None where there is none, or none that means something yet.
    """

    run_id: str
    counts: dict[Shown, int]
    credits: Totals
    elapsed: float
    stopped: Stopped | None = None
    waiting: str | None = None
    cap: int | None = None
    rate: float | None = None
    left: float | None = None
    flight: Flight = _GROUNDED

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """How many jobs are at their end, good or bad."""
        return sum(self.counts[state] for state in _ENDED)

    @property
    def speed(self) -> dict[str, float | None]:
        """How fast it goes and how long it takes, for machines."""
        return {
            "jobs_per_minute": None if self.rate is None else round(self.rate * 60, 2),
            "seconds_left": None if self.left is None else round(self.left),
        }

    @property
    def exit_code(self) -> int:
        """0 all complete, 1 some ended badly, 3 stopped early with unfinished jobs left."""
        if self.stopped is not None:
            return 3
        return 0 if self.counts[Shown.COMPLETE] == self.total else 1


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who wants to know how a run stands: `show` is called at most every `seconds`."""

    show: Callable[[Snapshot], None]
    seconds: float
