"""A body becomes a file: whole with its digest, or cut where it can be gone on with."""

from __future__ import annotations

import errno
import hashlib
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from batchsync.errors import LeaseLost
from batchsync.runner import saving
from batchsync.runner.receiving import PIECE_BYTES, receive
from batchsync.vendor.port import Next, Trouble, VendorTrouble

DICE = random.Random(3)
WHOLE = DICE.randbytes(5 * PIECE_BYTES + 12_345)
CUT = VendorTrouble(Trouble(Next.AGAIN, "cut_body", "cut"))


async def body(
    data: bytes = WHOLE, end: Exception | None = None, chunk: int | None = None
) -> AsyncGenerator[bytes, None]:
    """`data` in chunks of a length, or of all lengths, and then `end`."""
    at = 0
    while at < len(data):
        size = chunk or DICE.randrange(1, 300_000)
        yield data[at : at + size]
        at += size
    if end is not None:
        raise end


async def silence() -> None:
    """An announcement that nobody hears."""


def content(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize("size", [1, 1000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, len(WHOLE)])
@pytest.mark.parametrize("chunk", [None, 65_536, 2 * PIECE_BYTES + 5])
async def test_a_body_is_on_the_disk_with_its_size_and_digest(tmp_path: Path, size: int, chunk: int | None) -> None:
    data = WHOLE[:size]
    found = await receive(tmp_path / "a.part", 0, body(data, chunk=chunk), silence)
    assert found == (size, hashlib.sha256(data).hexdigest())
    assert content(tmp_path / "a.part") == data


@pytest.mark.parametrize("cut", [0, 5, PIECE_BYTES, 2 * PIECE_BYTES + 77])
async def test_what_came_before_a_cut_is_kept_and_gone_on_with(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.part"
    with pytest.raises(VendorTrouble, match="cut"):
        await receive(path, 0, body(WHOLE[:cut], CUT), silence)
    assert content(path) == WHOLE[:cut]
    assert await receive(path, cut, body(WHOLE[cut:]), silence) == (len(WHOLE), hashlib.sha256(WHOLE).hexdigest())
    assert content(path) == WHOLE


@pytest.mark.parametrize("size", [1000, PIECE_BYTES, 2 * PIECE_BYTES])
async def test_what_takes_its_time_is_announced_before_it_is_on_the_disk(tmp_path: Path, size: int) -> None:
    path, there = tmp_path / "a.part", []

    async def announce() -> None:
        there.append(path.exists())

    with pytest.raises(VendorTrouble, match="cut"):
        await receive(path, 0, body(WHOLE[:size], CUT), announce)
    assert there == [False]


async def test_what_comes_in_one_piece_is_not_announced_and_never_over_what_another_has_begun(tmp_path: Path) -> None:
    async def announce() -> None:
        raise AssertionError("it is whole already")

    path = tmp_path / "a.part"
    await receive(path, 0, body(WHOLE[:1000]), announce)
    with pytest.raises(LeaseLost, match="another process"):
        await receive(path, 0, body(WHOLE[:500]), announce)
    assert content(path) == WHOLE[:1000]


async def test_an_empty_body_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(VendorTrouble, match="empty_output"):
        await receive(tmp_path / "a.part", 0, body(b""), silence)


async def test_what_came_before_a_run_was_stopped_is_kept(tmp_path: Path) -> None:
    came = 3 * PIECE_BYTES + 500

    async def stalls() -> AsyncGenerator[bytes, None]:
        async for chunk in body(WHOLE[:came], chunk=100_000):
            yield chunk
        stopping.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as stopping:
        await receive(tmp_path / "a.part", 0, stalls(), silence)
    assert content(tmp_path / "a.part") == WHOLE[:came]


async def test_a_disk_that_is_full_says_so_and_nothing_is_kept_behind_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, full = saving.Part.append, [OSError(errno.ENOSPC, "No space left on device")]
    fits = PIECE_BYTES + 65_536

    def fails_once(part: saving.Part, data: bytes) -> None:
        if part.size == fits and full:
            raise full.pop()
        append(part, data)

    monkeypatch.setattr(saving.Part, "append", fails_once)
    with pytest.raises(OSError, match="No space left"):
        await receive(tmp_path / "a.part", 0, body(chunk=65_536), silence)
    assert content(tmp_path / "a.part") == WHOLE[:fits]
