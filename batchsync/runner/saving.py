"""Puts a finished file in its place: inside the output directory, whole, and never over somebody else's."""

from __future__ import annotations

import errno
import hashlib
import os
from functools import lru_cache
from pathlib import Path, PurePosixPath

from batchsync.errors import LeaseLost, OutputError

_READ_BYTES = 1 << 20
_WRITE_BACK_BYTES = 8 << 20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def numbered(output: str, ordinal: int) -> str:
    """The name of a job's `ordinal`-th file, from 0: `a.mp4`, `a-2.mp4`, `a-3.mp4`."""
    wanted = PurePosixPath(output)
    return str(wanted.with_name(f"{wanted.stem}-{ordinal + 1}{wanted.suffix}")) if ordinal else output


def target(output_dir: str, output: str) -> Path:
    """The final path of an output, its folder created. Raises OutputError."""
    wanted = Path(output)
    if wanted.is_absolute() or ".." in wanted.parts:
        raise OutputError(f"the output {output!r} leads out of the output directory")
    folder = _folder(output_dir, wanted.parent)
    if not folder.is_dir():  # somebody has removed it meanwhile
        _folder.cache_clear()
        folder = _folder(output_dir, wanted.parent)
    return folder / wanted.name


@lru_cache
def _folder(output_dir: str, below: Path) -> Path:
    """A folder in the output directory, created. Looked at once: to follow all its links takes many calls."""
    path = Path(output_dir, below)
    try:
        base = Path(output_dir).resolve()
        path = base / below
        inside = path.resolve().is_relative_to(base)  # before a folder is made, and after
        if inside:
            path.mkdir(parents=True, exist_ok=True)
            inside = path.resolve().is_relative_to(base)
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle, before Python 3.13
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        reason = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        raise OutputError(f"the folder {path} can't be made: {reason}") from None
    if not inside:
        raise OutputError(f"the folder {str(below)!r} leads out of the output directory, through a link")
    return path


def part_of(path: Path, token: str) -> Path:
    """The temporary name of a file that is still arriving, beside its final one."""
    return path.with_name(f".{path.name[:180]}.{token}.part")


class Part:
    """A file that is arriving: bytes go in, a size and a SHA-256 come out. Blocking; belongs in threads.

    What is appended is to be digested too, in the same order; the same bytes may be both at once.
    """

    def __init__(self, path: Path, offset: int, *, alone: bool = False) -> None:
        """`alone`: nothing stands there yet. Raises LeaseLost otherwise, as another process has begun it."""
        beginning = 0 if offset else os.O_EXCL if alone else os.O_TRUNC
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | beginning, 0o644)
        except FileExistsError:
            raise LeaseLost(f"{path} is another process's by now") from None
        self._file = os.fdopen(handle, "r+b")
        self._digest = hashlib.sha256()
        self.size = 0
        while self.size < offset:
            piece = self._file.read(min(_READ_BYTES, offset - self.size))
            if not piece:
                break
            self._digest.update(piece)
            self.size += len(piece)
        self._sent_off = self.size

    def digest(self, data: bytes) -> None:
        """Count `data` into the SHA-256."""
        self._digest.update(data)

    def append(self, data: bytes) -> None:
        """Write `data` behind what is there."""
        self._file.write(data)
        self.size += len(data)
        if self.size - self._sent_off >= _WRITE_BACK_BYTES:
            self._send_off()

    def _send_off(self) -> None:
        """Have the system bring it to the disk while more arrives, and forget what is there already.

        At the end it would take as long again, and to fill memory anew is slower than to use the same again.
        """
        if hasattr(os, "posix_fadvise"):
            start = max(0, self._sent_off - _WRITE_BACK_BYTES)
            os.posix_fadvise(self._file.fileno(), start, self.size - start, os.POSIX_FADV_DONTNEED)
        self._sent_off = self.size

    def sync(self) -> str:
        """Have everything on the disk; returns the SHA-256 in hex."""
        self._file.flush()
        self._file.truncate(self.size)
        os.fsync(self._file.fileno())
        return self._digest.hexdigest()

    def close(self) -> None:
        """Keep what has arrived, whole or not."""
        self._file.close()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_in_place(part: Path, final: Path, size: int) -> None:
    """Give a whole file of `size` bytes its final name. Raises OutputError if something stands there.

    Raises LeaseLost if it isn't what was received: another process has begun it anew.
    """
    if part.stat().st_size != size:
        raise LeaseLost(f"{part} is another process's by now")
    try:
        os.link(part, final, follow_symlinks=False)
    except FileExistsError:
        raise _in_the_way(final) from None
    except OSError:
        # A file system without hard links: the check and the rename are two steps there.
        if os.path.lexists(final):
            raise _in_the_way(final) from None
        part.rename(final)
    else:
        part.unlink()
    _sync_folder(final.parent)


def _in_the_way(final: Path) -> OutputError:
    return OutputError(f"{final} is in the way: this job did not write it", hint="move it, then `batchsync retry`")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some file systems can't sync a folder, and then nothing more can be done
    finally:
        os.close(handle)
