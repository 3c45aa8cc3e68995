"""The queue before the pace: work before looks, each in order of arrival, and nobody is kept waiting for ever."""

from __future__ import annotations

import anyio
import pytest

from batchsync.clock import SystemClock
from batchsync.runner.pace import BURST_SECONDS
from batchsync.runner.pacer import LOOK_EVERY, Pacer, Priority

NOW = 1000.0


class Still:
    """A clock that stands still until it is moved, and with it whoever sleeps."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


async def settle() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def pacer() -> Pacer:
    """It lets nothing go until the test says so, for its clock stands still."""
    made = Pacer(None, Still())
    made.pace.pause(NOW + 100)
    made.pace.tokens = 0.0
    return made


async def test_work_goes_before_looks_and_each_in_order_of_arrival(pacer: Pacer) -> None:
    went: list[str] = []

    async def wait(name: str, priority: Priority) -> None:
        await pacer.take(priority)
        went.append(name)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for n in range(3):
                tasks.start_soon(wait, f"look {n}", Priority.LOOK)
                await settle()
            for n in range(3):
                tasks.start_soon(wait, f"work {n}", Priority.WORK)
                await settle()
            assert went == []
            pacer.pace.paused_until = NOW
            for n in range(1, 7):
                pacer.pace.tokens = 1.0
                pacer.give_back(0)
                await settle()
                assert len(went) == n
    assert went == ["work 0", "work 1", "work 2", "look 0", "look 1", "look 2"]


async def test_one_who_gives_up_waiting_is_in_nobodys_way(pacer: Pacer) -> None:
    went: list[str] = []

    async def wait(name: str) -> None:
        await pacer.take(Priority.WORK)
        went.append(name)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            first = anyio.CancelScope()

            async def impatient() -> None:
                with first:
                    await wait("first")

            tasks.start_soon(impatient)
            await settle()
            tasks.start_soon(wait, "second")
            await settle()
            first.cancel()
            await settle()
            pacer.pace.paused_until = NOW
            pacer.pace.tokens = 1.0
            pacer.give_back(0)
    assert went == ["second"]
    assert not any(pacer._lines.values())


async def test_looks_wait_for_work_but_not_for_ever(pacer: Pacer) -> None:
    went: list[Priority] = []

    async def wait(priority: Priority) -> None:
        await pacer.take(priority)
        went.append(priority)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(3 * LOOK_EVERY):
                tasks.start_soon(wait, Priority.WORK)
            for _ in range(2):
                tasks.start_soon(wait, Priority.LOOK)
            await settle()
            pacer.pace.paused_until = NOW
            for n in range(1, 3 * LOOK_EVERY + 3):
                pacer.pace.tokens = 1.0
                pacer.give_back(0)
                await settle()
                assert len(went) == n
    looks = [n for n, priority in enumerate(went, start=1) if priority is Priority.LOOK]
    assert looks == [LOOK_EVERY, 2 * LOOK_EVERY]


async def test_several_turns_at_once_are_no_more_than_are_there() -> None:
    clock = Still()
    pacer = Pacer(100.0, clock)
    clock.at += 10
    with anyio.fail_after(10):
        assert await pacer.take(Priority.WORK, 3) == 3
        assert await pacer.take(Priority.WORK, 100) == 10 - 3
        pacer.give_back(5)
        assert await pacer.take(Priority.LOOK, 100) == 5


async def test_the_first_in_line_goes_on_as_soon_as_an_episode_ends() -> None:
    clock = Still()
    pacer = Pacer(None, clock)
    pacer.limited(clock.at, None)
    clock.at += 1.0
    went: list[int] = []

    async def wait() -> None:
        await pacer.take(Priority.WORK)
        went.append(1)

    with anyio.fail_after(1):
        async with anyio.create_task_group() as tasks:
            assert await pacer.take(Priority.WORK, 5) == 1
            left = clock.at
            tasks.start_soon(wait)
            await settle()
            clock.at += 0.3
            pacer.succeeded(left)
            clock.at += 0.3
    assert went == [1]


async def test_it_really_waits_and_really_goes_on() -> None:
    pacer = Pacer(100.0, SystemClock())
    began = anyio.current_time()
    with anyio.fail_after(10):
        for _ in range(45):
            await pacer.take(Priority.WORK)
    assert anyio.current_time() - began >= (45 - 1 - 100 * BURST_SECONDS) / 100 - 0.02


async def test_a_pause_holds_those_who_wait_already() -> None:
    pacer = Pacer(50.0, SystemClock())
    await pacer.take(Priority.WORK)
    began = anyio.current_time()
    pacer.pause(0.2)
    assert 0.1 < pacer.paused_for <= 0.2
    with anyio.fail_after(10):
        await pacer.take(Priority.WORK)
    assert anyio.current_time() - began >= 0.2
    assert pacer.paused_for == 0.0


async def test_each_who_goes_lets_the_next_one_know() -> None:
    pacer, went = Pacer(200.0, SystemClock()), []

    async def wait(n: int) -> None:
        await pacer.take(Priority.WORK)
        went.append(n)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for n in range(30):
                tasks.start_soon(wait, n)
    assert went == list(range(30))
