"""Reads a local file in pieces while it checks that it is still the file that was planned."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread

PIECE_BYTES = 1 << 20


class Changed(Exception):
    """The file is no longer the one that was planned."""


async def read_checked(path: Path, size: int, digest: str) -> AsyncGenerator[bytes, None]:
    """Yield the file's bytes; raises Changed instead of the last piece if they are not those of `digest` (SHA-256).

    The last piece is held back until the whole is known to be right: storage never gets a complete wrong file.
    """
    file: BinaryIO = await to_thread.run_sync(path.open, "rb")
    try:
        seen = hashlib.sha256()
        held, done = b"", 0

        def piece() -> bytes:
            data = file.read(PIECE_BYTES)
            seen.update(data)
            return data

        while data := await to_thread.run_sync(piece):
            done += len(data)
            if held:
                yield held
            held = data
        if done != size or seen.hexdigest() != digest:
            raise Changed("the file has changed since it was planned")
        yield held
    finally:
        file.close()
