"""Requests to the storage, in their turns: what is refused for its pace alone is asked for again, more slowly."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from batchsync.clock import Clock
from batchsync.runner.pacer import Pacer, Priority
from batchsync.runner.storage_pace import StoragePace
from batchsync.runner.telling import told
from batchsync.vendor.port import Next, Trouble, VendorTrouble

log = logging.getLogger("batchsync.run")

MOST_TURNS = 3  # in a row, before a transfer that was refused for its pace is put off
LONG_PAUSE_SECONDS = 5.0  # told to people, and no time to keep a transfer's place in

T = TypeVar("T")


class Storage:
    """The storage as `what` ("uploads") finds it."""

    def __init__(self, what: str, clock: Clock) -> None:
        self.pacer = Pacer(None, clock, kind=StoragePace)
        self._what = what
        self._clock = clock

    async def opens(self) -> None:
        """Wait until it takes requests, as far as is known now."""
        if pause := self.pacer.paused_for:
            await anyio.sleep(pause)

    async def ask(self, call: Callable[[], Awaitable[T]], ready: Callable[[], Awaitable[None]] | None = None) -> T:
        """Make one request in its turn, `ready` just before. Raises VendorTrouble."""
        turns = 0
        while True:
            await self.pacer.take(Priority.WORK)
            turns += 1
            if ready is not None:
                await ready()
            left = self._clock.monotonic()
            try:
                answer = await call()
            except VendorTrouble as failure:
                self._learn(failure.trouble, left)
                if turns >= MOST_TURNS or not failure.trouble.throttled:
                    raise
                if self.pacer.paused_for >= LONG_PAUSE_SECONDS:
                    raise
            else:
                self.pacer.succeeded(left)
                return answer

    def _learn(self, trouble: Trouble, left: float) -> None:
        before = self.pacer.paused_for
        if trouble.throttled:
            self.pacer.limited(left, trouble.retry_after)
        elif trouble.status is not None and trouble.next is not Next.AGAIN:
            self.pacer.succeeded(left)
        seconds = self.pacer.paused_for
        if before < LONG_PAUSE_SECONDS <= seconds:
            extra = told("rate_limited", seconds=round(seconds, 1))
            log.warning("the storage asks for a rest: %s wait for %.0f s", self._what, seconds, extra=extra)
