"""Reads a local file in pieces while it checks that it is still the file that was planned."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from anyio import to_thread

from batchsync.model.job import MediaFacts

PIECE_BYTES = 2 << 20


class Changed(Exception):
    """The file is no longer the one that was planned."""


class Source:
    """An open file that should have the content of `digest` (SHA-256). Blocking; belongs in a thread.

    One that is as old and as long as when its digest was taken (`known`) isn't read again for it: then it must only
    stay as it is. Raises OSError, or Changed from the `read` that would give the last bytes of another content.
    """

    def __init__(self, path: Path, digest: str, known: MediaFacts | None) -> None:
        self._file = path.open("rb", buffering=0)
        self._digest = digest
        self._stamp = self._look()
        self.size = self._stamp[0]
        taken = known is not None and known.digest == digest and self._stamp == (known.size, known.mtime_ns)
        self._seen = None if taken else hashlib.sha256()
        self._left = self.size
        self.finished = False

    def _look(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    def read(self) -> bytes:
        """The next piece. The last one is given only once the whole is known to be right; then it is `finished`."""
        data = self._file.read(min(PIECE_BYTES, self._left))
        self._left -= len(data)
        if self._seen is not None:
            self._seen.update(data)
        if not self._left or not data:
            self._check()
            self.finished = True
        return data

    def _check(self) -> None:
        right = self._look() == self._stamp if self._seen is None else self._seen.hexdigest() == self._digest
        if self._left or not right:
            raise Changed("the file has changed since it was planned")

    def close(self) -> None:
        self._file.close()


async def pieces(source: Source) -> AsyncGenerator[bytes, None]:
    """The source's bytes, each piece read in a thread. Raises as it does, and never gives a complete wrong file."""
    while not source.finished:
        yield await to_thread.run_sync(source.read)
