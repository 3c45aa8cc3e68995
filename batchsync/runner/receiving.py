"""Brings a body onto the disk: a piece is written and digested in a thread while the next one arrives."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

import anyio
from anyio import to_thread

from batchsync.runner.saving import Part
from batchsync.vendor.port import Next, Trouble, VendorTrouble

PIECE_BYTES = 2 << 20  # to hand it to a thread costs little beside it, and memory has room for two of each transfer
# Until a block of this size was freed, glibc gives each chunk's memory back to the system and asks for it again.
bytearray(8 << 20)


class _Arriving:
    """What comes of a body, a piece at a time. Trouble is kept back until what came before it is taken.

    Two buffers, in turns, are used for the whole file: to ask the system for memory for each piece costs as much as
    to receive it. What was taken is good until the piece after the next is filled.
    """

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks
        self._filling, self._taken = bytearray(), bytearray()
        self._size = 0
        self.ended = False
        self.trouble: VendorTrouble | None = None

    async def fill(self) -> None:
        """Wait for a piece's worth of bytes, or for the end."""
        try:
            while self._size < PIECE_BYTES:
                chunk = await anext(self._chunks)
                self._filling[self._size : self._size + len(chunk)] = chunk
                self._size += len(chunk)
        except StopAsyncIteration:
            self.ended = True
        except VendorTrouble as trouble:
            self.ended, self.trouble = True, trouble

    def take(self) -> memoryview:
        """All that has come and was not taken."""
        data = memoryview(self._filling)[: self._size]
        self._filling, self._taken = self._taken, self._filling
        self._size = 0
        return data


async def receive(path: Path, offset: int, chunks: AsyncGenerator[bytes, None]) -> tuple[int, str]:
    """Have the whole file on the disk at `path`, its bytes from `offset` on from `chunks`; its size and SHA-256.

    Whatever ends it, what came before is kept, so that a later try can go on there. Raises VendorTrouble and OSError.
    """
    part = await to_thread.run_sync(Part, path, offset)
    try:
        async with aclosing(chunks):
            arriving = _Arriving(chunks)
            try:
                await _keep(part, arriving)
                return await to_thread.run_sync(_finish, part, arriving.take())
            finally:
                with suppress(OSError):
                    _write(part, arriving.take())
    finally:
        part.close()


async def _keep(part: Part, arriving: _Arriving) -> None:
    """Write all but the last piece. Raises VendorTrouble where the body ended before its end."""

    async def write(data: memoryview) -> None:
        with anyio.CancelScope(shield=True):  # or what comes after it would be kept without it
            await to_thread.run_sync(_write, part, data)

    try:
        await arriving.fill()
        while not arriving.ended:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write, arriving.take())
                await arriving.fill()
    except BaseExceptionGroup as group:
        arriving.take()  # a piece before it is missing
        raise group.exceptions[0] from None
    if arriving.trouble is not None:
        raise arriving.trouble


def _write(part: Part, data: memoryview) -> None:
    with data:  # the thread that ran this keeps it at hand, and a buffer that is looked at can't grow
        part.write(data)


def _finish(part: Part, data: memoryview) -> tuple[int, str]:
    _write(part, data)
    if not part.size:
        raise VendorTrouble(Trouble(Next.GARBAGE, "empty_output", "the vendor sent an empty file"))
    return part.size, part.sync()
