"""A file that is uploaded is the one that was planned: a changed one never arrives whole."""

from __future__ import annotations

import hashlib
import os
import random
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest

from batchsync.model.job import MediaFacts
from batchsync.runner import reading
from batchsync.runner.reading import PIECE_BYTES, Changed, Source, pieces

WHOLE = random.Random(4).randbytes(2 * PIECE_BYTES + 17)
CHANGES = {
    "grown": WHOLE + b"x",
    "shrunk": WHOLE[:-1],
    "other end": WHOLE[:-1] + b"x",
    "other start": b"x" + WHOLE[1:],
    "first piece only": WHOLE[:PIECE_BYTES],
    "emptied": b"",
    "a stump": WHOLE[:5],
}

got: list[bytes] = []


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def facts(path: Path, content: bytes = WHOLE) -> MediaFacts:
    """What the plan wrote down of a file."""
    found = path.stat()
    return MediaFacts(str(path), found.st_size, found.st_mtime_ns, sha(content))


async def read(path: Path, planned: bytes = WHOLE, known: MediaFacts | None = None) -> bytes:
    """What storage would have got, up to the error."""
    got.clear()
    with closing(Source(path, sha(planned), known)) as source:
        async with aclosing(pieces(source)) as chunks:
            async for piece in chunks:
                got.append(piece)
    return b"".join(got)


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def touch(path: Path, seconds: int) -> None:
    """Move a file's time: what changes it right after it was made may otherwise have the same."""
    then = path.stat().st_mtime_ns + seconds * 10**9
    os.utime(path, ns=(then, then))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.mp4"


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many digests were begun."""
    begun: list[int] = []

    class Counting:
        @staticmethod
        def sha256() -> Any:
            begun.append(1)
            return hashlib.sha256()

    monkeypatch.setattr(reading, "hashlib", Counting)
    return begun


@pytest.mark.parametrize("size", [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, len(WHOLE)])
@pytest.mark.parametrize("known", [True, False])
async def test_an_unchanged_file_comes_whole_in_pieces(
    path: Path, size: int, known: bool, digests: list[int]
) -> None:
    put(path, WHOLE[:size])
    assert await read(path, WHOLE[:size], facts(path, WHOLE[:size]) if known else None) == WHOLE[:size]
    assert all(0 < len(piece) <= PIECE_BYTES for piece in got)
    assert len(digests) == (not known), "one that is as it was is not digested again"


@pytest.mark.parametrize("now", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("known", [True, False])
async def test_a_changed_file_is_found_out_before_its_last_piece_leaves(path: Path, now: bytes, known: bool) -> None:
    put(path, WHOLE)
    planned = facts(path)
    put(path, now)
    touch(path, 1)
    with pytest.raises(Changed):
        await read(path, known=planned if known else None)
    assert len(b"".join(got)) < len(WHOLE), "storage never has as many bytes as it was promised"


async def test_a_file_that_was_only_touched_is_still_the_one_that_was_planned(path: Path) -> None:
    put(path, WHOLE)
    planned = facts(path)
    touch(path, 1)
    assert await read(path, known=planned) == WHOLE


async def test_what_is_known_of_another_content_says_nothing(path: Path) -> None:
    """The path was planned anew, with another content, while this job waited with the old one."""
    put(path, WHOLE[::-1])
    with pytest.raises(Changed):
        await read(path, known=facts(path, WHOLE[::-1]))


@pytest.mark.parametrize("known", [True, False])
async def test_a_file_that_is_changed_while_it_is_read_is_found_out(path: Path, known: bool) -> None:
    put(path, WHOLE)
    touch(path, -1)
    with closing(Source(path, sha(WHOLE), facts(path) if known else None)) as source:
        async with aclosing(pieces(source)) as chunks:
            sent = len(await anext(chunks))
            put(path, WHOLE[:-7] + b"changed")
            with pytest.raises(Changed):
                sent += sum([len(piece) async for piece in chunks])
    assert sent < len(WHOLE)


async def test_a_file_that_is_gone_says_so(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await read(path)


async def test_a_reader_that_stops_half_way_leaves_no_open_file(path: Path) -> None:
    """Warnings are errors here: an unclosed file would be one."""
    put(path, WHOLE)
    with closing(Source(path, "", None)) as source:
        async with aclosing(pieces(source)) as chunks:
            assert len(await anext(chunks)) == PIECE_BYTES
