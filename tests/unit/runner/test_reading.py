"""A file that is uploaded is the one that was planned: a changed one never arrives whole."""

from __future__ import annotations

import hashlib
import random
from contextlib import aclosing
from pathlib import Path

import pytest

from batchsync.runner.reading import PIECE_BYTES, Changed, read_checked

WHOLE = random.Random(4).randbytes(2 * PIECE_BYTES + 17)


async def read(path: Path, planned: bytes = WHOLE) -> bytes:
    """What storage would have got, up to the error."""
    got.clear()
    async with aclosing(read_checked(path, len(planned), hashlib.sha256(planned).hexdigest())) as pieces:
        async for piece in pieces:
            got.append(piece)
    return b"".join(got)


got: list[bytes] = []


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.mp4"


@pytest.mark.parametrize("size", [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, len(WHOLE)])
async def test_an_unchanged_file_comes_whole_in_small_pieces(path: Path, size: int) -> None:
    put(path, WHOLE[:size])
    assert await read(path, WHOLE[:size]) == WHOLE[:size]
    assert all(0 < len(piece) <= PIECE_BYTES for piece in got)


@pytest.mark.parametrize(
    "now",
    [WHOLE + b"x", WHOLE[:-1], WHOLE[:-1] + b"x", b"x" + WHOLE[1:], WHOLE[:PIECE_BYTES], b"", WHOLE[:5]],
    ids=["grown", "shrunk", "other end", "other start", "first piece only", "emptied", "a stump"],
)
async def test_a_changed_file_is_found_out_before_its_last_piece_leaves(path: Path, now: bytes) -> None:
    put(path, now)
    with pytest.raises(Changed):
        await read(path)
    assert len(b"".join(got)) < len(WHOLE), "storage never has as many bytes as it was promised"


async def test_a_file_that_is_changed_while_it_is_read_is_found_out(path: Path) -> None:
    put(path, WHOLE)
    digest = hashlib.sha256(WHOLE).hexdigest()
    async with aclosing(read_checked(path, len(WHOLE), digest)) as pieces:
        sent = len(await anext(pieces))
        put(path, WHOLE[:-7] + b"changed")
        with pytest.raises(Changed):
            sent += sum([len(piece) async for piece in pieces])
    assert sent < len(WHOLE)


async def test_a_file_that_is_gone_says_so(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await read(path)


async def test_a_reader_that_stops_half_way_leaves_no_open_file(path: Path) -> None:
    """Warnings are errors here: an unclosed file would be one."""
    put(path, WHOLE)
    async with aclosing(read_checked(path, len(WHOLE), "")) as pieces:
        assert len(await anext(pieces)) == PIECE_BYTES
