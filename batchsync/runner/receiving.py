"""Brings a body onto the disk: a piece is written and digested, in a thread each, while the next one arrives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, closing, suppress
from pathlib import Path
from sys import getsizeof

import anyio
from anyio import to_thread

from batchsync.runner.saving import Part
from batchsync.vendor.port import Next, Trouble, VendorTrouble

PIECE_BYTES = 2 << 20
# glibc gives each chunk's memory back to the system, and asks for it anew, until a block as large was freed once.
bytearray(2 << 20)


class _Arriving:
    """What comes of a body, a piece at a time. Trouble is kept back until what came before it is taken."""

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks
        self._piece: list[bytes] = []
        self.ended = False
        self.trouble: VendorTrouble | None = None

    async def fill(self) -> None:
        """Wait for a piece's worth of bytes, or for the end."""
        size = 0
        try:
            while size < PIECE_BYTES:
                self._piece.append(await anext(self._chunks))
                size += getsizeof(self._piece[-1])  # a body may come a byte at a time
        except StopAsyncIteration:
            self.ended = True
        except VendorTrouble as trouble:
            self.ended, self.trouble = True, trouble

    def take(self) -> list[bytes]:
        """All that has come and was not taken."""
        piece, self._piece = self._piece, []
        return piece


async def receive(
    path: Path, offset: int, chunks: AsyncGenerator[bytes, None], announce: Callable[[], Awaitable[None]]
) -> tuple[int, str]:
    """Have the whole file on the disk at `path`, its bytes from `offset` on from `chunks`; its size and SHA-256.

    Whatever ends it, what came before is kept, so that a later try can go on there; a new beginning is announced
    before. A file that comes in one piece is on the disk whole or not at all, and unannounced. Raises VendorTrouble
    and OSError, LeaseLost if another process has begun it too.
    """
    async with aclosing(chunks):
        arriving = _Arriving(chunks)
        await arriving.fill()
        if not offset:
            if arriving.ended and arriving.trouble is None:
                return await to_thread.run_sync(_whole, path, arriving.take())
            await announce()
        part = await to_thread.run_sync(Part, path, offset)
        try:
            await _keep(part, arriving)
            return await to_thread.run_sync(_finish, part, arriving.take())
        finally:
            with suppress(OSError):
                _each(part.append, arriving.take())
            part.close()


async def _keep(part: Part, arriving: _Arriving) -> None:
    """Write all but the last piece. Raises VendorTrouble where the body ended before its end."""

    async def run(what: Callable[[bytes], None], piece: list[bytes]) -> None:
        with anyio.CancelScope(shield=True):  # or what comes after it would be kept without it
            await to_thread.run_sync(_each, what, piece)

    try:
        while not arriving.ended:
            piece = arriving.take()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, part.append, piece)
                tasks.start_soon(run, part.digest, piece)
                await arriving.fill()
            piece.clear()  # a thread keeps at hand what it was given, until it runs something else
    except BaseExceptionGroup as group:
        arriving.take()  # a piece before it is missing
        raise group.exceptions[0] from None
    if arriving.trouble is not None:
        raise arriving.trouble


def _whole(path: Path, piece: list[bytes]) -> tuple[int, str]:
    with closing(Part(path, 0, alone=True)) as part:
        return _finish(part, piece)


def _each(what: Callable[[bytes], None], piece: list[bytes]) -> None:
    for chunk in piece:
        what(chunk)


def _finish(part: Part, piece: list[bytes]) -> tuple[int, str]:
    _each(part.append, piece)
    _each(part.digest, piece)
    piece.clear()
    if not part.size:
        raise VendorTrouble(Trouble(Next.GARBAGE, "empty_output", "the vendor sent an empty file"))
    return part.size, part.sync()
