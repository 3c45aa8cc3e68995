"""Uploads to storages that refuse, stall, hang up and answer too early."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import anyio
import httpx
import pytest
from unit.vendor.conftest import Conn, Deaf, Serve, answer, pieces

from batchsync.clock import SystemClock
from batchsync.vendor import http, transfer
from batchsync.vendor.magichour import MagicHour
from batchsync.vendor.port import Next, Trouble, UploadSlot, VendorTrouble

FILE = bytes(range(256)) * 1000
API = "http://127.0.0.1:1"

Vendor = Callable[..., MagicHour]


async def _put(client: MagicHour, url: str, data: bytes = FILE, size: int | None = None) -> None:
    slot = UploadSlot(url, "api-assets/f", 0.0)
    await client.put(slot, pieces(data), len(data) if size is None else size)


async def _put_fails(client: MagicHour, url: str, data: bytes = FILE, size: int | None = None) -> Trouble:
    with pytest.raises(VendorTrouble) as caught:
        await _put(client, url, data, size)
    assert "SIGNATURE" not in str(caught.value)
    return caught.value.trouble


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_an_upload_is_sent_with_its_length(status: int, serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(status) if status != 204 else b"HTTP/1.1 204 X\r\n\r\n")
    target = "/a%2Fb/c+d?X-Sig=a%2fb%3D&x=a+b~'!()*&e=%E2%82%AC"
    await _put(vendor(API), server.url + target)
    (seen,) = server.seen
    assert (seen.method, seen.target, seen.body) == ("PUT", target, FILE)
    assert seen.headers["content-length"] == str(len(FILE))
    assert "transfer-encoding" not in seen.headers
    assert "content-type" not in seen.headers
    assert "authorization" not in seen.headers


async def test_an_empty_upload_has_a_length_too(serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(200))
    await _put(vendor(API), server.url, b"")
    assert server.seen[0].headers["content-length"] == "0"


async def test_uploads_one_after_another_share_a_connection(serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(200))
    client = vendor(API)
    for _ in range(3):
        await _put(client, server.url)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (307, Next.GARBAGE),
        (400, Next.GONE),
        (403, Next.GONE),
        (404, Next.GONE),
        (411, Next.REFUSED),
        (413, Next.REFUSED),
        (429, Next.AGAIN),
        (500, Next.AGAIN),
        (503, Next.AGAIN),
    ],
)
async def test_refused_uploads(status: int, step: Next, serve: Serve, vendor: Vendor) -> None:
    words = b"<Error><StringToSign>SIGNATURE</StringToSign></Error>"
    server = await serve(answer(status, words, retry_after="4", location="https://elsewhere.example/"))
    trouble = await _put_fails(vendor(API), server.url + "?SIGNATURE=1")
    assert (trouble.next, trouble.status, trouble.retry_after) == (step, status, 4.0)


async def test_an_upload_url_in_the_open_is_refused(vendor: Vendor) -> None:
    trouble = await _put_fails(vendor(API), "http://storage.example/f?SIGNATURE=1")
    assert (trouble.next, trouble.code) == (Next.GARBAGE, "bad_url")


async def test_an_unreachable_storage(vendor: Vendor) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        trouble = await _put_fails(vendor(API), f"http://127.0.0.1:{sock.getsockname()[1]}/?SIGNATURE=1")
    assert (trouble.next, trouble.code) == (Next.AGAIN, "unreachable")


async def test_a_storage_that_stops_reading(serve: Serve, vendor: Vendor) -> None:
    async def deaf(conn: Conn) -> None:
        await conn.request(body=False)
        await conn.stall()

    server = await serve(deaf)
    big = bytes(64 * 1024 * 1024)  # more than all the buffers on the way
    trouble = await _put_fails(vendor(API), server.url, big)
    assert (trouble.next, trouble.code) == (Next.AGAIN, "stalled")


async def test_a_storage_that_never_answers(serve: Serve, vendor: Vendor) -> None:
    async def silent(conn: Conn) -> None:
        await conn.request()
        await conn.stall()

    server = await serve(silent)
    trouble = await _put_fails(vendor(API), server.url)
    assert (trouble.next, trouble.code) == (Next.AGAIN, "stalled")


async def test_a_slow_line_is_no_stall(serve: Serve, vendor: Vendor) -> None:
    async def slow(conn: Conn) -> None:
        seen = await conn.request(body=False)
        left = int(seen.headers["content-length"])
        while left:
            left -= len(await conn.reader.read(64 * 1024))
            await asyncio.sleep(0.005)
        await conn.send(answer(200))

    server = await serve(slow)
    timeouts = http.Timeouts(connect=2, stall=0.5, stored=2)
    client = vendor(API, timeouts=timeouts)
    big = bytes(12 * 1024 * 1024)
    with anyio.fail_after(15):
        started = anyio.current_time()
        await client.put(UploadSlot(server.url, "f", 0.0), pieces(big, len(big)), len(big))
    assert anyio.current_time() - started > timeouts.stall  # else the test shows nothing


@pytest.mark.parametrize("kind", ["close", "reset"])
async def test_a_storage_that_hangs_up(kind: str, serve: Serve, vendor: Vendor) -> None:
    async def rude(conn: Conn) -> None:
        await conn.request(body=False)
        if kind == "reset":
            conn.reset()

    server = await serve(rude)
    trouble = await _put_fails(vendor(API), server.url, bytes(16 * 1024 * 1024))
    assert (trouble.next, trouble.code) == (Next.AGAIN, "cut")


async def test_an_early_success_is_no_upload() -> None:
    """Without a socket: there it is the system's to say whether the answer or the cut is seen first."""
    slot = UploadSlot("https://s.example/u?SIGNATURE=1", "f", 0.0)
    with pytest.raises(VendorTrouble) as caught:
        async with httpx.AsyncClient(transport=Deaf(httpx.Response(200))) as client:
            await transfer.send(
                client, slot, pieces(FILE), len(FILE), timeouts=http.DEFAULT_TIMEOUTS, clock=SystemClock()
            )
    assert (caught.value.trouble.next, caught.value.trouble.code) == (Next.AGAIN, "cut")


@pytest.mark.parametrize("size", [len(FILE) - 1, len(FILE) + 1])
async def test_a_file_that_changes_while_it_is_sent(size: int, serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(200))
    trouble = await _put_fails(vendor(API), server.url, FILE, size)
    assert (trouble.next, trouble.code) == (Next.REFUSED, "file_changed")


async def test_the_readers_own_errors_come_through(serve: Serve, vendor: Vendor) -> None:
    async def unreadable() -> AsyncIterator[bytes]:
        yield b"abc"
        raise PermissionError("disk")

    server = await serve(answer(200))
    with pytest.raises(PermissionError, match="disk"):
        await vendor(API).put(UploadSlot(server.url, "f", 0.0), unreadable(), 10)
