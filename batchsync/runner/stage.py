"""A stage: works on jobs that are handed to it, then on those in the ledger, as its slots come free."""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Generic, Protocol, TypeVar

import anyio
from anyio.abc import TaskGroup

from batchsync.errors import DiskFull, IllegalTransition, LeaseLost
from batchsync.ledger.claims import ClaimedJob
from batchsync.model.states import State
from batchsync.runner.floor import LEASE_SECONDS, Floor

log = logging.getLogger("batchsync.run")

# How often the ledger is asked though nothing rang: other processes leave work behind without ringing our bell.
LOOK_SECONDS = 5.0


class Piece(Protocol):
    """A piece of work: it knows the number of its job, and from when on it may be done (epoch seconds)."""

    @property
    def seq(self) -> int: ...

    @property
    def not_before(self) -> float: ...


Work = TypeVar("Work", bound=Piece)
Claim = Callable[[int], Awaitable[Sequence[Work]]]


def due_jobs(state: State, floor: Floor) -> Claim[ClaimedJob]:
    """The usual claim: jobs in `state` that lie in the ledger and are due, up to as many as are asked for."""

    async def claim(free: int) -> Sequence[ClaimedJob]:
        return await floor.ledger.write(
            lambda w: w.claim(floor.run_id, state, free, LEASE_SECONDS, within=LOOK_SECONDS)
        )

    return claim


class Stage(Generic[Work]):
    """Takes jobs in the state `source`, and works on at most `capacity` of them at once.

    A job comes by `hand`, with a lease that this run holds already, or from the ledger: `claim(n)` takes up to n,
    also such as are due within LOOK_SECONDS. The ledger is asked when it may have something: somebody rang, a claim
    was served in full, or LOOK_SECONDS passed.
    `work(piece)` does one and writes its outcome down.
    """

    def __init__(
        self,
        source: State,
        floor: Floor,
        capacity: int,
        claim: Claim[Work],
        work: Callable[[Work], Awaitable[None]],
        may_claim: Callable[[], bool] = lambda: True,
    ) -> None:
        self.source = source
        self.floor = floor
        self.capacity = capacity
        self.busy: set[int] = set()
        self.handed: list[tuple[float, int, Work]] = []  # a heap: from when on, the job's number, the job
        self._claim = claim
        self._work = work
        self._may_claim = may_claim
        self._ask_at = 0.0
        self._bell = anyio.Event()
        floor.stages[source] = self

    @property
    def seqs(self) -> list[int]:
        """The jobs that it holds the leases of."""
        return [*self.busy, *(seq for _, seq, _ in self.handed)]

    def hand(self, piece: Work, at: float = 0.0) -> None:
        """Give it a job whose lease this run holds, to be worked on from `at` (epoch seconds) on."""
        heapq.heappush(self.handed, (at, piece.seq, piece))
        self._bell.set()

    def retime(self, when: Callable[[Work, float], float]) -> None:
        """From now on, a handed job that was to be worked on from `at` on is so from `when(job, at)` on."""
        self.handed = [(when(piece, at), seq, piece) for at, seq, piece in self.handed]
        heapq.heapify(self.handed)
        self._bell.set()

    def forget(self, lost: Collection[Work]) -> None:
        """Drop handed jobs that others have taken over; what is being worked on finds out when it writes."""
        if lost:
            dropped = {id(piece) for piece in lost}  # not by number: it may have come anew meanwhile
            self.handed = [item for item in self.handed if id(item[2]) not in dropped]
            heapq.heapify(self.handed)

    def ring(self, at: float = 0.0) -> None:
        """The ledger may have a job for it, from `at` on."""
        self._ask_at = min(self._ask_at, at)
        self._bell.set()

    async def run(self, workers: TaskGroup) -> None:
        """Start work in `workers`, until cancelled."""
        while True:
            self._bell = anyio.Event()
            await self._ask_ledger()
            self._start_handed(workers)
            await self._rest()

    @property
    def _free(self) -> int:
        return self.capacity - len(self.busy)

    def _start_handed(self, workers: TaskGroup) -> None:
        now = self.floor.clock.now()
        while self._free > 0 and self.handed and self.handed[0][0] <= now:
            piece = heapq.heappop(self.handed)[2]
            self.busy.add(piece.seq)
            workers.start_soon(self._one, piece, name=f"{self.source} {piece.seq}")

    async def _ask_ledger(self) -> None:
        free, now = self._free, self.floor.clock.now()
        if free <= 0 or self._ask_at > now or not self._may_claim():
            return
        self._ask_at = now + LOOK_SECONDS
        # What is claimed must be in hand: a claim that nobody knows of would wait for its lease to fall.
        with anyio.CancelScope(shield=True):
            try:
                pieces = await self._claim(free)
            except DiskFull as error:
                self.floor.disk_full(error)
                return
            for piece in pieces:
                self.hand(piece, piece.not_before)
        if len(pieces) == free:
            self._ask_at = 0.0  # there may be more

    async def _rest(self) -> None:
        """Wait until something is due that there is a slot for, or somebody rings."""
        due = math.inf
        if self._free > 0:
            due = min(self.handed[0][0] if self.handed else math.inf, self._ask_at if self._may_claim() else math.inf)
        with anyio.move_on_after(min(LOOK_SECONDS, max(0.0, due - self.floor.clock.now()))):
            await self._bell.wait()

    async def _one(self, piece: Work) -> None:
        try:
            await self._work(piece)
        except (LeaseLost, IllegalTransition) as error:
            log.warning("%s: %s", self.source, error)
        except DiskFull as error:
            self.floor.disk_full(error)
        finally:
            self.busy.discard(piece.seq)
            self._bell.set()
            if not self.busy and not self.handed:
                self.floor.idle()
