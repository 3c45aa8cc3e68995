"""Upload URLs, asked for together: whoever wants one while a request is under way shares the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import anyio

from batchsync.runner.floor import LINK_TRIAL_SECONDS, Floor
from batchsync.vendor.port import Next, UploadSlot, VendorTrouble

MOST_IN_ONE = 100

Kind = Literal["video", "audio"]
Item = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Given:
    """An upload URL, and when it was given (epoch seconds)."""

    slot: UploadSlot
    at: float

    def has_expired(self, now: float) -> bool:
        """Whether only a fresh one is worth a try. Just given, it is tried whatever the two clocks say.

        One that was good by our clock when it was given has run out when our clock says so.
        """
        was_good = self.at < self.slot.expires_at
        return self.slot.expires_at <= now and (was_good or now - self.at > LINK_TRIAL_SECONDS)


@dataclass(slots=True, eq=False)
class _Wish:
    item: Item
    answer: Given | VendorTrouble | None = None


class Slots:
    """Where to put files, for all jobs of a run."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._wishes: list[_Wish] = []
        self._asking = anyio.Lock()

    async def get(self, items: Sequence[Item]) -> list[Given]:
        """One upload URL for each (kind, extension), in the same order. Raises VendorTrouble."""
        mine = [_Wish(item) for item in items]
        self._wishes += mine
        try:
            async with self._asking:
                while any(wish.answer is None for wish in mine):
                    await self._ask()
        finally:
            self._wishes = [wish for wish in self._wishes if wish not in mine]
        given = []
        for wish in mine:
            if isinstance(wish.answer, VendorTrouble):
                raise wish.answer
            assert wish.answer is not None
            given.append(wish.answer)
        return given

    async def _ask(self, part: Sequence[_Wish] = ()) -> None:
        """Ask for `part`, or else for what is wished for by the time that the request may leave."""
        batch = list(part)

        async def call() -> list[UploadSlot]:
            batch[:] = batch or self._wishes[:MOST_IN_ONE]
            return await self._floor.vendor.upload_slots([wish.item for wish in batch])

        try:
            slots = await self._floor.ask(call)
        except VendorTrouble as failure:
            if failure.trouble.next is Next.REFUSED and len(batch) > 1:
                # For the sake of one of them, or because they are too many: each half has its own answer.
                half = len(batch) // 2
                await self._ask(batch[:half])
                await self._ask(batch[half:])
                return
            for wish in batch:
                wish.answer = failure
        else:
            for wish, slot in zip(batch, slots, strict=True):
                wish.answer = Given(slot, self._floor.clock.now())
        self._wishes = [wish for wish in self._wishes if wish.answer is None]
