"""Stages: what is handed goes first and when it is due, the ledger is asked only when it may have something."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from ledger.book import Hands, open_blank
from unit.runner.test_floor import make_floor

from batchsync.errors import DiskFull, LeaseLost
from batchsync.model.states import State
from batchsync.runner.floor import Floor
from batchsync.runner.options import Stopped
from batchsync.runner.stage import LOOK_SECONDS, Stage


@dataclass(frozen=True)
class Piece:
    seq: int
    not_before: float = 0.0


@pytest.fixture
def floor(path: Path, clock: Hands) -> Iterator[Floor]:
    with open_blank(path, clock) as opened:
        yield make_floor(opened, clock)


class Line:
    """A stage over a pretended ledger: `there` is what it has, `claims` how many each claim asked for."""

    def __init__(self, floor: Floor, capacity: int, there: int = 0) -> None:
        self.there, self.claims, self.done = there, [], []  # type: ignore[var-annotated]
        self.may_claim, self.fail = True, None
        self.go = anyio.Event()
        self.stage = Stage(State.PLANNED, floor, capacity, self.claim, self.work, lambda: self.may_claim)

    async def claim(self, free: int) -> list[Piece]:
        self.claims.append(free)
        taken = min(free, self.there)
        self.there -= taken
        return [Piece(self.there + n) for n in range(taken)]

    async def work(self, piece: Piece) -> None:
        await self.go.wait()
        if self.fail is not None:
            raise self.fail
        self.done.append(piece.seq)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.stage.run, tasks)
            with anyio.fail_after(20):
                yield
            tasks.cancel_scope.cancel()


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await anyio.lowlevel.checkpoint()


async def settled() -> None:
    """Everybody who can do something without time passing has done it."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


async def test_it_claims_until_a_claim_is_not_served_in_full_and_then_only_when_it_is_rung(floor: Floor) -> None:
    line = Line(floor, 4, there=6)
    line.go.set()
    async with line.running():
        await until(lambda: len(line.done) == 6)
        await settled()
        asked = len(line.claims)
        assert line.claims[0] == 4
        assert asked <= 3, "slots that come free are no reason to ask a ledger that had nothing left"
        line.there = 1
        await settled()
        assert len(line.claims) == asked
        line.stage.ring()
        await until(lambda: len(line.done) == 7)


async def test_it_works_on_no_more_than_its_capacity(floor: Floor) -> None:
    line = Line(floor, 3, there=5)
    async with line.running():
        await until(lambda: len(line.stage.busy) == 3)
        line.stage.hand(Piece(100))
        await settled()
        assert len(line.stage.busy) == 3
        line.go.set()
        await until(lambda: len(line.done) == 6)


async def test_what_is_handed_waits_for_its_time_and_the_earliest_goes_first(floor: Floor, clock: Hands) -> None:
    line = Line(floor, 1)
    line.go.set()
    async with line.running():
        for seq, at in ((1, clock.at + 60), (2, clock.at + 30), (3, 0.0)):
            line.stage.hand(Piece(seq), at)
        await until(lambda: line.done == [3])
        await settled()
        assert line.done == [3]
        assert sorted(line.stage.seqs) == [1, 2]
        clock.at += 60
        line.stage.ring()
        await until(lambda: line.done == [3, 2, 1])


async def test_what_is_handed_may_be_put_off_or_forward(floor: Floor, clock: Hands) -> None:
    line, now = Line(floor, 1), clock.at
    line.go.set()
    async with line.running():
        for seq in (1, 2, 3):
            line.stage.hand(Piece(seq), now + 60 * seq)
        await settled()
        line.stage.retime(lambda piece, at: {1: at + 600, 2: now, 3: now - 1}[piece.seq])
        await until(lambda: line.done == [3, 2])
        assert [(at, seq) for at, seq, _ in line.stage.handed] == [(now + 660, 1)]


async def test_it_asks_the_ledger_now_and_then_though_nobody_rings(floor: Floor, clock: Hands) -> None:
    """Other processes leave work behind."""
    line = Line(floor, 1)
    line.go.set()
    async with line.running():
        await until(lambda: len(line.claims) == 1)
        line.there = 1
        clock.at += LOOK_SECONDS
        line.stage.hand(Piece(9), clock.at + 1000)  # wakes it, and is no reason to ask
        await until(lambda: len(line.done) == 1)


async def test_it_claims_nothing_while_it_may_not(floor: Floor) -> None:
    line = Line(floor, 1, there=1)
    line.may_claim = False
    line.go.set()
    async with line.running():
        line.stage.ring()
        await settled()
        assert line.claims == []
        line.may_claim = True
        floor.changed()
        await until(lambda: len(line.done) == 1)


async def test_what_others_have_taken_over_is_dropped(floor: Floor, clock: Hands) -> None:
    line = Line(floor, 1)
    pieces = [Piece(seq) for seq in range(5)]
    for piece in pieces:
        line.stage.hand(piece, clock.at + 5 - piece.seq)
    line.stage.hand(Piece(1), clock.at + 9)
    line.stage.forget([pieces[1], pieces[3]])
    assert sorted(line.stage.seqs) == [0, 1, 2, 4], "what has come anew meanwhile is another piece"
    assert line.stage.handed[0][1] == 4


@pytest.mark.parametrize("error", [LeaseLost("gone"), DiskFull("no room")])
async def test_a_lost_lease_or_a_full_disk_ends_one_piece_of_work_and_not_the_stage(
    floor: Floor, error: Exception
) -> None:
    line = Line(floor, 1, there=1)
    line.fail = error  # type: ignore[assignment]
    line.go.set()
    async with line.running():
        await until(lambda: bool(line.claims) and not line.stage.busy)
        assert (floor.stopped is Stopped.DISK_FULL) == isinstance(error, DiskFull)
        line.fail = None
        line.stage.hand(Piece(7))
        await until(lambda: line.done == [7])
