"""Signals of a run: received from its first moment on, and harmless in its last ones."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import anyio

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def received() -> Iterator[AsyncIterator[int]]:
    """The signals that come, in order. One that is ignored from the start stays so: that is what nohup is for.

    asyncio's own handlers fall back to the default when its loop ends, and a signal then would end the process while
    a finished run is told of, with the code of a death. These stay, and let the last words be said.
    """
    wanted = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    loop = asyncio.get_running_loop()
    send, receive = anyio.create_memory_object_stream[int](math.inf)

    def push(number: int) -> None:
        with suppress(anyio.ClosedResourceError):  # it came in the very moment of the end
            send.send_nowait(number)

    def handle(number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(push, number)

    with send, receive:
        for number in wanted:
            signal.signal(number, handle)
        try:
            yield receive
        finally:
            for number in wanted:
                signal.signal(number, _TooLate())


class _TooLate:
    """The run is over, and only words are left: one signal has nothing to stop, a second ends even those."""

    def __init__(self) -> None:
        self._came = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self._came:
            os._exit(3)
        self._came = True
