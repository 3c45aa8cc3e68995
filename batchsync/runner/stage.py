"""A stage: takes jobs from the ledger as its slots come free, and works on each in a task of its own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

import anyio
from anyio.abc import TaskGroup

from batchsync.errors import DiskFull, IllegalTransition, LeaseLost
from batchsync.model.states import State
from batchsync.runner.floor import Floor

log = logging.getLogger("batchsync.run")

BLOCKED_REST_SECONDS = 0.25
LONGEST_REST_SECONDS = 5.0  # other processes leave work behind without ringing our bell


class Numbered(Protocol):
    """A piece of work: it knows the number of its job."""

    @property
    def seq(self) -> int: ...


Work = TypeVar("Work", bound=Numbered)


class Stage(Generic[Work]):
    """Claims work from `source` states while it may, and does it, at most `capacity` pieces at once.

    `claim(n)` takes up to n pieces from the ledger; `work(piece)` does one and writes its outcome down.
    """

    def __init__(
        self,
        name: str,
        floor: Floor,
        sources: Sequence[State],
        capacity: int,
        claim: Callable[[int], Awaitable[Sequence[Work]]],
        work: Callable[[Work], Awaitable[None]],
        may_start: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self.floor = floor
        self.sources = sources
        self.capacity = capacity
        self.busy: set[int] = set()
        self._claim = claim
        self._work = work
        self._may_start = may_start
        self._bell = anyio.Event()
        floor.on_change(self.ring)

    def ring(self) -> None:
        """There may be work."""
        self._bell.set()

    async def run(self, workers: TaskGroup) -> None:
        """Claim and start work in `workers`, until cancelled."""
        while True:
            self._bell = anyio.Event()
            free = self.capacity - len(self.busy)
            taken = 0
            if free > 0 and self._may_start():
                # What is claimed must be started: a claim that nobody knows of would wait for its lease to fall.
                with anyio.CancelScope(shield=True):
                    for piece in await self._take(free):
                        taken += 1
                        self.busy.add(piece.seq)
                        workers.start_soon(self._one, piece, name=f"{self.name} {piece.seq}")
            if not taken:
                await self._rest()

    async def _take(self, free: int) -> Sequence[Work]:
        try:
            return await self._claim(free)
        except DiskFull as error:
            self.floor.disk_full(error)
            return ()

    async def _rest(self) -> None:
        """Wait until a slot is free, a job got on, or the next job is due."""
        wait = LONGEST_REST_SECONDS
        if len(self.busy) < self.capacity and self._may_start():
            due = await self.floor.ledger.read(lambda v: v.next_due(self.floor.run_id, self.sources))
            now = self.floor.clock.now()
            if due is not None:
                # What is due and was not given is blocked by a limit; its end rings, or is seen soon enough.
                wait = min(wait, max(due - now, BLOCKED_REST_SECONDS))
        with anyio.move_on_after(wait):
            await self._bell.wait()

    async def _one(self, piece: Work) -> None:
        try:
            await self._work(piece)
        except (LeaseLost, IllegalTransition) as error:
            log.warning("%s: %s", self.name, error)
        except DiskFull as error:
            self.floor.disk_full(error)
        finally:
            self.busy.discard(piece.seq)
            self.floor.capped = False  # credits may have come free: the next claim will tell
            self.floor.changed()
