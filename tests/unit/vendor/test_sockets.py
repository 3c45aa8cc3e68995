"""Encrypted connections to the storage: pieces as large as what has arrived, and each way in which they can break."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import h11
import httpx
import pytest
import trustme
from unit.vendor.conftest import IMPATIENT, Conn, Handler, Serve, answer, pieces

from batchsync.vendor.magichour import MagicHour
from batchsync.vendor.port import Download, Next, UploadSlot, VendorTrouble

pytestmark = pytest.mark.usefixtures("long_bytes")
API = "http://127.0.0.1:1"
RECORD = 16 * 1024  # the most that is encrypted at once
FILE = bytes(range(256)) * 12 * 1024

Vendor = Callable[..., MagicHour]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Somebody who says whose certificates are whose."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """The server's side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(vendor: Vendor, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """Makes clients that trust the server's certificate."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: context)
    return vendor


async def _receive(client: MagicHour, url: str, got: bytearray) -> None:
    async with client.download(Download(url, None)) as body:
        async for chunk in body.chunks():
            got += chunk


async def test_what_has_arrived_comes_in_one_piece(serve: Serve, trusted: Vendor, tls: ssl.SSLContext) -> None:
    data, sent = FILE[: 4 * RECORD], asyncio.Event()

    async def storage(conn: Conn) -> None:
        await conn.request()
        head = answer(200, content_length=str(len(data)))
        await conn.send(head)
        await conn.send(data)
        sent.set()

    server = await serve(storage, tls=tls)
    async with trusted(API).download(Download(server.url, None)) as body:
        await sent.wait()
        got = [chunk async for chunk in body.chunks()]
    assert b"".join(got) == data
    assert max(len(chunk) for chunk in got) > RECORD


async def test_a_file_comes_down_whole(serve: Serve, trusted: Vendor, tls: ssl.SSLContext, long_bytes: int) -> None:
    server = await serve(answer(200, FILE), tls=tls)
    client = trusted(API)
    for _ in range(2):
        got = bytearray()
        await _receive(client, server.url, got)
        assert got == FILE
    assert server.connections == (2 if long_bytes == 1 else 1)


@pytest.mark.parametrize("first", [1, 30, -len(FILE), 1 - len(FILE), -RECORD, -1])
async def test_where_the_parser_stops_nothing_is_lost(first: int, serve: Serve, vendor: Vendor) -> None:
    """The head and the beginning of the body come in pieces that end anywhere, also in the middle of the head."""

    async def storage(conn: Conn) -> None:
        await conn.request()
        whole = answer(200, FILE)
        await conn.send(whole[:first])
        await asyncio.sleep(0.05)  # or both pieces would be read as one
        await conn.send(whole[first:])

    server = await serve(storage)
    got = bytearray()
    await _receive(vendor(API), server.url, got)
    assert got == FILE


async def test_a_long_body_is_read_past_the_parser(
    serve: Serve, vendor: Vendor, long_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    original = h11.Connection.receive_data
    monkeypatch.setattr(
        h11.Connection, "receive_data", lambda self, data: parsed.append(len(data)) or original(self, data)
    )
    server = await serve(answer(200, FILE))
    got = bytearray()
    await _receive(vendor(API), server.url, got)
    assert got == FILE
    assert (sum(parsed) < len(FILE)) == (long_bytes == 1)


async def test_a_file_goes_up_whole(serve: Serve, trusted: Vendor, tls: ssl.SSLContext) -> None:
    server = await serve(answer(200), tls=tls)
    await trusted(API).put(UploadSlot(f"{server.url}/up", "up", 0.0), pieces(FILE, 1 << 20), len(FILE))
    assert server.seen[0].body == FILE


def _cut(*, reset: bool) -> Handler:
    """A storage that hangs up, politely or not, when half of the file is sent."""

    async def storage(conn: Conn) -> None:
        await conn.request()
        await conn.send(answer(200, FILE)[: -len(FILE) // 2])
        if reset:
            conn.reset()

    return storage


@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_says_how_much_came(reset: bool, serve: Serve, trusted: Vendor, tls: ssl.SSLContext) -> None:
    server = await serve(_cut(reset=reset), tls=tls)
    with pytest.raises(VendorTrouble) as caught:
        await _receive(trusted(API), server.url, bytearray())
    assert (caught.value.trouble.next, caught.value.trouble.code) == (Next.AGAIN, "cut_body")


async def test_a_storage_that_falls_silent(serve: Serve, trusted: Vendor, tls: ssl.SSLContext) -> None:
    async def storage(conn: Conn) -> None:
        await conn.request()
        await conn.send(answer(200, FILE)[:-1])
        await conn.stall()

    server = await serve(storage, tls=tls)
    got = bytearray()
    with pytest.raises(VendorTrouble) as caught:
        await _receive(trusted(API), server.url, got)
    assert (bytes(got), caught.value.trouble.code) == (FILE[:-1], "stalled")


async def test_a_storage_with_a_strangers_certificate(serve: Serve, vendor: Vendor, tls: ssl.SSLContext) -> None:
    server = await serve(answer(200, FILE), tls=tls)
    with pytest.raises(VendorTrouble) as caught:
        await _receive(vendor(API), server.url, bytearray())
    assert caught.value.trouble.code == "unreachable"
    assert "certificate" in caught.value.trouble.message
    assert server.seen == []


async def test_a_storage_that_never_shakes_hands(serve: Serve, vendor: Vendor) -> None:
    server = await serve(Conn.stall)
    server.scheme = "https"
    with pytest.raises(VendorTrouble) as caught:
        await _receive(vendor(API, timeouts=replace(IMPATIENT, connect=0.2)), server.url, bytearray())
    assert "in time" in caught.value.trouble.message


async def _tunnel(conn: Conn) -> None:
    """A proxy that connects to wherever it is asked to."""
    host, _, port = (await conn.request()).target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await conn.send(b"HTTP/1.1 200 X\r\n\r\n")

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with closing(sink):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()

    await asyncio.gather(pass_on(conn.reader, writer), pass_on(reader, conn.writer), return_exceptions=True)


async def test_a_file_comes_through_a_proxy(
    serve: Serve, trusted: Vendor, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, proxy = await serve(answer(200, FILE), tls=tls), await serve(_tunnel)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    got = bytearray()
    await _receive(trusted(API), storage.url, got)
    assert got == FILE
    assert [seen.method for seen in proxy.seen] == ["CONNECT"]


@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_behind_a_proxy(
    reset: bool, serve: Serve, trusted: Vendor, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = await serve(_cut(reset=reset), tls=tls), await serve(_tunnel)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(VendorTrouble) as caught:
        await _receive(trusted(API), server.url, bytearray())
    assert (caught.value.trouble.next, caught.value.trouble.code) == (Next.AGAIN, "cut_body")
