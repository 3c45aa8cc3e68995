"""Upload URLs are asked for together, and what one of them is refused for is no harm to the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from ledger.book import NOON, Hands

from batchsync.runner.floor import LINK_TRIAL_SECONDS
from batchsync.runner.slots import MOST_IN_ONE, Given, Item, Slots
from batchsync.vendor.port import Next, Trouble, UploadSlot, VendorTrouble

MP4: Item = ("video", "mp4")
BAD: Item = ("video", "odd")


class Desk:
    """Gives URLs numbered in the order in which they are asked for; `gate` holds requests up."""

    def __init__(self, most: int = 10**6, trouble: Trouble | None = None) -> None:
        self.asked: list[list[Item]] = []
        self.most, self.trouble = most, trouble
        self.gate = anyio.Event()
        self.gate.set()

    async def upload_slots(self, items: Sequence[Item]) -> list[UploadSlot]:
        self.asked.append(list(items))
        await self.gate.wait()
        if self.trouble is not None:
            raise VendorTrouble(self.trouble)
        if BAD in items or len(items) > self.most:
            raise VendorTrouble(Trouble(Next.REFUSED, "invalid", "no"))
        return [UploadSlot(f"https://s/{len(self.asked)}/{n}", "f", NOON) for n in range(len(items))]


def slots_at(desk: Desk) -> Slots:
    async def ask(call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()

    return Slots(SimpleNamespace(ask=ask, vendor=desk, clock=Hands()))  # type: ignore[arg-type]


async def wish(slots: Slots, items: Sequence[Item], into: list[Any]) -> None:
    try:
        into += await slots.get(items)
    except VendorTrouble as failure:
        into.append(failure.trouble)


async def test_what_is_wanted_while_a_request_is_under_way_shares_the_next() -> None:
    desk, got = Desk(), []
    desk.gate = anyio.Event()
    slots = slots_at(desk)
    async with anyio.create_task_group() as tasks:
        for _ in range(150):
            tasks.start_soon(wish, slots, [MP4, ("audio", "mp3")], got)
        await anyio.wait_all_tasks_blocked()
        desk.gate.set()
    assert [len(items) for items in desk.asked] == [MOST_IN_ONE] * 3
    assert len({given.slot.url for given in got}) == 300, "nobody has the URL of another"


async def test_one_that_is_refused_is_refused_alone() -> None:
    desk, good, bad = Desk(), [], []
    slots = slots_at(desk)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wish, slots, [MP4] * 16, good)
        tasks.start_soon(wish, slots, [BAD], bad)
        tasks.start_soon(wish, slots, [MP4] * 16, good)
    assert len(good) == 32
    assert bad == [Trouble(Next.REFUSED, "invalid", "no")]
    assert len(desk.asked) < 14


async def test_a_vendor_that_takes_fewer_at_once_is_asked_for_fewer() -> None:
    desk, got = Desk(most=10), []
    await wish(slots_at(desk), [MP4] * 30, got)
    assert len({given.slot.url for given in got}) == 30


async def test_trouble_is_everybodys_who_waited_and_the_next_are_asked_for_anew() -> None:
    desk, got = Desk(trouble=Trouble(Next.AGAIN, "down", "no answer")), []
    slots = slots_at(desk)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(wish, slots, [MP4], got)
    assert [trouble.code for trouble in got] == ["down"] * 4
    assert len(desk.asked) <= 2
    desk.trouble = None
    assert len(await slots.get([MP4])) == 1


async def test_one_that_is_given_up_while_it_asks_leaves_the_others_theirs() -> None:
    desk, got = Desk(), []
    desk.gate = anyio.Event()
    slots = slots_at(desk)
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as given_up:
        given_up.start_soon(wish, slots, [MP4], got)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(wish, slots, [MP4, MP4], got)
        await anyio.wait_all_tasks_blocked()
        given_up.cancel_scope.cancel()
        desk.gate.set()
    assert len(got) == 2
    assert [len(items) for items in desk.asked] == [1, 2]


@pytest.mark.parametrize(
    ("age", "expired"), [(0.0, False), (LINK_TRIAL_SECONDS, False), (LINK_TRIAL_SECONDS + 1, True)]
)
def test_a_url_that_was_just_given_is_tried_whatever_the_clocks_say(age: float, expired: bool) -> None:
    assert Given(UploadSlot("https://s/1", "f", NOON), NOON).has_expired(NOON + age) is expired
    assert not Given(UploadSlot("https://s/1", "f", NOON + 1000), NOON).has_expired(NOON + age)


def test_a_url_that_was_good_by_our_clock_when_it_was_given_has_run_out_when_our_clock_says_so() -> None:
    given = Given(UploadSlot("https://s/1", "f", NOON + 12), NOON)
    assert [given.has_expired(NOON + age) for age in (0.0, 11.0, 12.0, 30.0)] == [False, False, True, True]
