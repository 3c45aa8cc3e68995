"""The files of a sandbox: uploads as they arrive, under names that are whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

SAMPLE = Path(__file__).with_name("sample.mp4")
PART = ".part-"


class Incoming:
    """A file that is being received. Chunks go to the page cache, which is quicker than a hop to a thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / f"{PART}{secrets.token_hex(8)}"
        self._file = self._path.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        """SHA-256 of what has arrived, in hex."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.size += self._file.write(chunk)

    def keep(self, name: str) -> None:
        """The file is whole: give it its name."""
        self._file.close()
        os.replace(self._path, self._directory / name)

    def discard(self) -> None:
        """Forget it; nothing happens to a file that was kept."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()


class Store:
    """A directory of uploaded files."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        for left in directory.glob(f"{PART}*"):  # of a process that was killed in mid-upload
            left.unlink()

    def receive(self) -> Incoming:
        return Incoming(self._directory)

    def path(self, name: str | None) -> Path:
        """Where a stored file is; None means the built-in sample."""
        return SAMPLE if name is None else self._directory / name
