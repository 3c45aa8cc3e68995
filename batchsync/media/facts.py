"""Facts about local files: what they are, size, content digest, duration, frame rate; each file is read once."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from batchsync.media.formats import HEAD_BYTES, kind_of, recognise
from batchsync.media.probe import probe
from batchsync.media.probed import Probed
from batchsync.model.formats import UNKNOWN
from batchsync.model.job import MediaFacts

READERS = min(8, (os.cpu_count() or 1) + 2)

Known = Callable[[str, int, int], MediaFacts | None]
Progress = Callable[[int, int], None]


class UnusableFile(Exception):
    """A file that can't be an input, and why, in words for people."""


@dataclass(frozen=True, slots=True)
class _Seen:
    path: str
    size: int
    mtime_ns: int


def facts(path: str, known: Known) -> MediaFacts:
    """The facts of one file. `known(absolute path, size, mtime_ns)` returns what is remembered, or None.

    Raises UnusableFile.
    """
    seen = _look(path)
    return _read(seen, known(seen.path, seen.size, seen.mtime_ns))


def gather(
    paths: Iterable[str], known: Known, on_progress: Progress | None = None
) -> tuple[dict[str, MediaFacts], list[tuple[str, str]]]:
    """The facts of many files, and (path, what is wrong) for those that can't be used; both by the paths given.

    Files are read in parallel; `known` and `on_progress(files done, files in all)` are called in this thread only.
    """
    wanted = list(dict.fromkeys(paths))
    found: dict[str, MediaFacts] = {}
    wrong: dict[str, str] = {}
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="media")
    try:
        looks = list(pool.map(_look_or_why, wanted))
        reads = {}
        for path, seen in zip(wanted, looks, strict=True):
            if isinstance(seen, str):
                wrong[path] = seen
            else:
                reads[pool.submit(_read, seen, known(seen.path, seen.size, seen.mtime_ns))] = path
        for done, future in enumerate(as_completed(reads), start=len(wrong) + 1):
            path = reads[future]
            try:
                found[path] = future.result()
            except UnusableFile as error:
                wrong[path] = str(error)
            if on_progress is not None:
                on_progress(done, len(wanted))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)  # an interrupt shall not wait for large files
        raise
    pool.shutdown()
    return {path: found[path] for path in wanted if path in found}, [(p, wrong[p]) for p in wanted if p in wrong]


def _look_or_why(path: str) -> _Seen | str:
    try:
        return _look(path)
    except UnusableFile as error:
        return str(error)


def _look(path: str) -> _Seen:
    try:
        path = os.path.abspath(path)
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unusable(error) from None
    if stat.S_ISDIR(found.st_mode):
        raise UnusableFile("is a folder, not a file")
    if not stat.S_ISREG(found.st_mode):
        raise UnusableFile("is not a regular file")
    if found.st_size == 0:
        raise UnusableFile("is an empty file")
    return _Seen(path, found.st_size, found.st_mtime_ns)


def _read(seen: _Seen, remembered: MediaFacts | None) -> MediaFacts:
    settled = remembered is not None and (remembered.duration is not None or remembered.kind == "other")
    if remembered is not None and settled and remembered.format is not None:
        return remembered
    head, digest = _content(seen, remembered)
    name = recognise(head)
    probed = _probed(seen.path, name)
    # What is remembered without a length is probed again: it may be possible now what was not then.
    return MediaFacts(
        seen.path, seen.size, seen.mtime_ns, digest, probed.duration, probed.fps, name, probed.kind or kind_of(name)
    )


def _probed(path: str, name: str) -> Probed:
    if kind_of(name) == "other":
        return Probed()  # a decoder would take a picture for a very short video
    found = probe(path)
    if name == UNKNOWN and found.kind == "broken":
        return Probed()  # nobody says that it is media at all
    return found


def _content(seen: _Seen, remembered: MediaFacts | None) -> tuple[bytes, str]:
    """The first bytes of a file, and its digest."""
    try:
        with open(seen.path, "rb") as stream:
            head = stream.read(HEAD_BYTES)
            if remembered is not None:
                return head, remembered.digest
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            after = os.fstat(stream.fileno())
    except (OSError, ValueError) as error:
        raise _unusable(error) from None
    if (after.st_size, after.st_mtime_ns) != (seen.size, seen.mtime_ns):
        raise UnusableFile("was changed while it was read; try again when it is finished")
    return head, digest


def _unusable(error: OSError | ValueError) -> UnusableFile:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UnusableFile("there is no such file")
    if isinstance(error, PermissionError):
        return UnusableFile("may not be read: permission denied")
    if isinstance(error, OSError):
        return UnusableFile(f"can't be read: {error.strerror or error}")
    return UnusableFile("is not a path that a file can have")
