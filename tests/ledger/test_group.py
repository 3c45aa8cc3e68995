"""Group commit: many writes of a moment share one commit, and each learns only of its own fate."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from ledger.book import Hands, add, blank, columns, dump, jobs, query, start_run
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError

from batchsync.errors import DiskFull, IllegalTransition
from batchsync.ledger.ledger import GroupCommit, Ledger, Writes
from batchsync.model.states import State

RUN = "run-a"


@asynccontextmanager
async def serving(ledger: Ledger) -> AsyncIterator[GroupCommit]:
    group = GroupCommit(ledger, RUN)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(group.serve)
            try:
                yield group
            finally:
                group.close()


@pytest.fixture
def commits(ledger: Ledger) -> list[int]:
    """Grows by one with each commit of the writing connection."""
    seen: list[int] = []
    event.listen(ledger._writer, "commit", lambda _: seen.append(1))
    return seen


@pytest.fixture
def started(ledger: Ledger) -> Ledger:
    add(ledger, jobs(300))
    start_run(ledger, RUN)
    ledger.write(lambda w: w.claim(RUN, State.PLANNED, 300, 60.0), RUN)
    return ledger


def ready(seq: int) -> Callable[[Writes], int]:
    def write(w: Writes) -> int:
        w.assets_ready(seq, RUN, f"v{seq}", "a", None)
        return seq

    return write


async def test_many_writes_share_few_commits(started: Ledger, path: Path, commits: list[int]) -> None:
    commits.clear()
    got: list[int] = []

    async def one(seq: int) -> None:
        got.append(await group.write(ready(seq)))

    async with serving(started) as group, anyio.create_task_group() as tasks:
        for seq in range(1, 301):
            tasks.start_soon(one, seq)
    assert sorted(got) == list(range(1, 301))
    assert len(commits) <= 4
    assert query(path, "SELECT count(*) FROM jobs WHERE state = 'uploaded'") == [(300,)]


async def test_a_write_is_on_the_disk_when_it_returns(started: Ledger, path: Path) -> None:
    async with serving(started) as group:
        await group.write(ready(7))
        assert columns(path, 7, "state, video_asset") == ("uploaded", "v7")


async def test_a_write_that_fails_is_undone_alone_and_tells_only_its_own_caller(started: Ledger, path: Path) -> None:
    fates: dict[int, str] = {}

    def half_done(w: Writes) -> int:
        w.assets_ready(2, RUN, "v2", "a", None)
        w.output_saved(2, RUN, [])  # not in this state
        return 2

    async def one(seq: int, work: Callable[[Writes], int]) -> None:
        try:
            fates[seq] = f"wrote {await group.write(work)}"
        except IllegalTransition as error:
            fates[seq] = error.code

    before = [row for row in dump(path)["events"] if row[1] == 2]
    async with serving(started) as group, anyio.create_task_group() as tasks:
        for seq, work in ((1, ready(1)), (2, half_done), (3, ready(3))):
            tasks.start_soon(one, seq, work)
    assert fates == {1: "wrote 1", 2: "illegal_transition", 3: "wrote 3"}
    states = query(path, "SELECT state FROM jobs WHERE seq <= 3 ORDER BY seq")
    assert states == [("uploaded",), ("planned",), ("uploaded",)]
    assert [row for row in dump(path)["events"] if row[1] == 2] == before


async def test_a_write_that_nobody_waits_for_any_more_still_lands(started: Ledger, path: Path) -> None:
    group = GroupCommit(started, RUN)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(group.write, ready(1))
            await anyio.wait_all_tasks_blocked()
            waiting.cancel_scope.cancel()
        group.close()
        await group.serve()
    assert columns(path, 1, "state") == ("uploaded",)


async def test_closing_commits_what_still_waits(started: Ledger, path: Path) -> None:
    group = GroupCommit(started, RUN)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for seq in range(1, 21):
                tasks.start_soon(group.write, ready(seq))
            await anyio.wait_all_tasks_blocked()
            group.close()
            await group.serve()
    assert query(path, "SELECT count(*) FROM jobs WHERE state = 'uploaded'") == [(20,)]


async def test_serving_goes_on_under_a_cancellation_until_it_is_closed(started: Ledger, path: Path) -> None:
    group = GroupCommit(started, RUN)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(group.serve)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await group.write(ready(5))
            group.close()
    assert columns(path, 5, "state") == ("uploaded",)


@pytest.mark.parametrize(
    ("words", "kind"), [("database or disk is full", DiskFull), ("the wheels came off", OperationalError)]
)
async def test_trouble_with_the_database_reaches_everybody_and_nothing_counts(
    started: Ledger, path: Path, words: str, kind: type[Exception]
) -> None:
    before = dump(path)
    fates: list[type[BaseException]] = []

    def breaks(w: Writes) -> int:
        raise OperationalError("INSERT", {}, Exception(words))

    async def one(work: Callable[[Writes], int]) -> None:
        try:
            await group.write(work)
        except (DiskFull, DBAPIError) as error:
            fates.append(type(error))

    async with serving(started) as group, anyio.create_task_group() as tasks:
        for work in (ready(1), breaks, ready(2)):
            tasks.start_soon(one, work)
    assert fates == [kind] * 3
    assert dump(path) == before


async def test_a_lock_of_another_program_is_waited_for_beside_the_event_loop(started: Ledger, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    async with serving(started) as group, anyio.create_task_group() as tasks:
        other.execute("BEGIN IMMEDIATE")
        tasks.start_soon(group.write, ready(1))
        await anyio.wait_all_tasks_blocked()
        assert columns(path, 1, "state") == ("planned",)
        other.execute("COMMIT")
    other.close()
    assert columns(path, 1, "state") == ("uploaded",)


async def test_writes_go_on_after_trouble(started: Ledger, path: Path) -> None:
    def breaks(w: Writes) -> int:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    async with serving(started) as group:
        with pytest.raises(DiskFull):
            await group.write(breaks)
        assert await group.write(ready(1)) == 1


async def test_reads_see_what_was_written(started: Ledger) -> None:
    async with serving(started) as group:
        await group.write(ready(1))
        assert (await group.read(lambda v: v.job("job-000"))).state == "pending"
        assert await group.read(lambda v: v.any_in(RUN, [State.UPLOADED]))


def test_a_write_of_many_keeps_their_order(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    path.write_bytes(blank())
    with Ledger(str(path), clock=Hands()) as ledger:
        add(ledger, jobs(3))
        start_run(ledger, RUN)
        ledger.write(lambda w: w.claim(RUN, State.PLANNED, 3, 60.0), RUN)
        results = ledger.write_all([ready(3), ready(1), ready(3), ready(2)], RUN)
    assert [results[0], results[1], results[3]] == [3, 1, 2]
    assert isinstance(results[2], IllegalTransition)
