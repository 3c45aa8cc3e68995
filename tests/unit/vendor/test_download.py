"""Downloads from storages that refuse, stall, cut, redirect and lie."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Callable

import httpx
import pytest
from unit.vendor.conftest import Conn, Deaf, Handler, Seen, Serve, answer, pieces

from batchsync.vendor import sockets, transfer
from batchsync.vendor.http import Line
from batchsync.vendor.magichour import MagicHour
from batchsync.vendor.port import Body, Download, Next, Trouble, VendorTrouble

pytestmark = pytest.mark.usefixtures("long_bytes")
FILE = bytes(range(256)) * 1000
ETAG = '"v1"'
API = "http://127.0.0.1:1"

Vendor = Callable[..., MagicHour]


async def _get(client: MagicHour, url: str, offset: int = 0, validator: str | None = None) -> tuple[Body, bytes]:
    async with client.download(Download(url, None), offset=offset, validator=validator) as body:
        return body, b"".join([chunk async for chunk in body.chunks()])


async def _get_fails(client: MagicHour, url: str, offset: int = 0, validator: str | None = None) -> Trouble:
    with pytest.raises(VendorTrouble) as caught:
        await _get(client, url, offset, validator)
    assert "SIGNATURE" not in str(caught.value)
    return caught.value.trouble


def _honest(seen: Seen, data: bytes = FILE, etag: str = ETAG) -> bytes:
    """What a good storage answers to a request with or without a range."""
    match = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", ""))
    if not match or seen.headers.get("if-range") != etag:
        return answer(200, data, etag=etag)
    start = int(match[1])
    if start >= len(data):
        return answer(416, content_range=f"bytes */{len(data)}")
    return answer(206, data[start:], etag=etag, content_range=f"bytes {start}-{len(data) - 1}/{len(data)}")


async def _good_storage(conn: Conn) -> None:
    while True:
        await conn.send(_honest(await conn.request()))


async def test_a_whole_file(serve: Serve, vendor: Vendor) -> None:
    server = await serve(_good_storage)
    target = "/a%2Fb?X-Sig=a%2fb%3D&x=a+b"
    body, data = await _get(vendor(API), server.url + target)
    assert data == FILE
    assert (body.offset, body.total, body.validator) == (0, len(FILE), ETAG)
    assert server.seen[0].target == target
    assert "range" not in server.seen[0].headers


async def test_the_rest_of_a_file(serve: Serve, vendor: Vendor) -> None:
    server = await serve(_good_storage)
    body, data = await _get(vendor(API), server.url, 1000, ETAG)
    assert data == FILE[1000:]
    assert (body.offset, body.total, body.validator) == (1000, len(FILE), ETAG)
    assert server.seen[0].headers["range"] == "bytes=1000-"
    assert server.seen[0].headers["if-range"] == ETAG


async def test_from_the_beginning_where_the_file_is_another_now(serve: Serve, vendor: Vendor) -> None:
    server = await serve(_good_storage)
    body, data = await _get(vendor(API), server.url, 1000, '"v0"')
    assert (body.offset, data) == (0, FILE)


async def test_from_the_beginning_without_a_validator(serve: Serve, vendor: Vendor) -> None:
    server = await serve(_good_storage)
    body, data = await _get(vendor(API), server.url, 1000)
    assert (body.offset, data) == (0, FILE)
    assert "range" not in server.seen[0].headers


async def test_a_range_behind_the_end(serve: Serve, vendor: Vendor) -> None:
    server = await serve(_good_storage)
    trouble = await _get_fails(vendor(API), server.url, len(FILE), ETAG)
    assert (trouble.next, trouble.code) == (Next.GONE, "range_not_satisfiable")


DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"etag": '"a"'}, '"a"'),
        ({"etag": '"a"', "last_modified": DATE}, '"a"'),
        ({"etag": 'W/"a"'}, None),
        ({"etag": 'W/"a"', "last_modified": DATE}, DATE),
        ({"etag": "a"}, None),
        ({"etag": '"é"'}, None),
        ({"last_modified": "yesterday"}, None),
        ({}, None),
    ],
)
async def test_what_a_part_can_be_tied_to(
    headers: dict[str, str], validator: str | None, serve: Serve, vendor: Vendor
) -> None:
    server = await serve(answer(200, b"x", **headers))
    body, _ = await _get(vendor(API), server.url)
    assert body.validator == validator


def _part(start: int, end: int, total: int | str, data: bytes, etag: str = ETAG) -> bytes:
    return answer(206, data, content_range=f"bytes {start}-{end}/{total}", etag=etag)


WRONG_PARTS = {
    "earlier": _part(0, 9, 10, b"0123456789"),
    "later": _part(6, 9, 10, b"6789"),
    "short": _part(5, 8, 10, b"5678"),
    "beyond": _part(5, 10, 10, b"567890"),
    "unknown total": _part(5, 9, "*", b"56789"),
    "other length": _part(5, 9, 10, b"5678"),
    "backwards": _part(5, 4, 5, b""),
    "no range": answer(206, b"56789", etag=ETAG),
    "several": answer(206, b"--x", content_type="multipart/byteranges; boundary=x"),
    "odd units": answer(206, b"56789", content_range="lines 5-9/10"),
}


@pytest.mark.parametrize("name", WRONG_PARTS)
async def test_another_part_than_was_asked_for(name: str, serve: Serve, vendor: Vendor) -> None:
    server = await serve(WRONG_PARTS[name])
    trouble = await _get_fails(vendor(API), server.url, 5, ETAG)
    assert (trouble.next, trouble.code) == (Next.GARBAGE, "bad_range")


async def test_a_part_that_nobody_asked_for(serve: Serve, vendor: Vendor) -> None:
    server = await serve(_part(0, 9, 10, b"0123456789"))
    assert (await _get_fails(vendor(API), server.url)).code == "bad_range"


async def test_a_part_of_another_version(serve: Serve, vendor: Vendor) -> None:
    server = await serve(_part(5, 9, 10, b"56789", etag='"v2"'))
    trouble = await _get_fails(vendor(API), server.url, 5, ETAG)
    assert (trouble.next, trouble.code) == (Next.GONE, "range_not_satisfiable")


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (204, Next.GARBAGE),
        (304, Next.GARBAGE),
        (400, Next.GONE),
        (403, Next.GONE),
        (404, Next.GONE),
        (410, Next.GONE),
        (429, Next.AGAIN),
        (500, Next.AGAIN),
        (503, Next.AGAIN),
    ],
)
async def test_refused_downloads(status: int, step: Next, serve: Serve, vendor: Vendor) -> None:
    server = await serve(f"HTTP/1.1 {status} X\r\nretry-after: 4\r\ncontent-length: 0\r\n\r\n".encode())
    trouble = await _get_fails(vendor(API), server.url + "?SIGNATURE=1")
    assert (trouble.next, trouble.status) == (step, status)


async def test_a_compressed_file_is_refused(serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(200, gzip.compress(FILE), content_encoding="gzip"))
    assert (await _get_fails(vendor(API), server.url)).code == "encoded"


async def test_a_file_of_unknown_length_is_proved_only_where_its_end_is_marked(serve: Serve, vendor: Vendor) -> None:
    async def until_closed(conn: Conn) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\n\r\nabc")

    body, data = await _get(vendor(API), (await serve(until_closed)).url)
    assert (body.total, body.proved, data) == (None, False, b"abc")
    chunked = await serve(answer(200, b"3\r\nabc\r\n0\r\n\r\n", transfer_encoding="chunked"))
    body, data = await _get(vendor(API), chunked.url)
    assert (body.total, body.proved, data) == (None, True, b"abc")
    body, _ = await _get(vendor(API), (await serve(_good_storage)).url)
    assert body.proved


async def test_the_rest_of_a_file_is_proved_by_its_range(serve: Serve, vendor: Vendor) -> None:
    """Even from a storage that marks no end: the range says how long the whole is."""

    async def cut(conn: Conn) -> None:
        await conn.request()
        await conn.send(b'HTTP/1.1 206 X\r\netag: "v1"\r\ncontent-range: bytes 5-9/10\r\n\r\n567')

    trouble = await _get_fails(vendor(API), (await serve(cut)).url, 5, ETAG)
    assert (trouble.next, trouble.code) == (Next.AGAIN, "cut_body")


def _cut(kind: str, chunked: bool) -> Handler:
    async def handle(conn: Conn) -> None:
        await conn.request()
        head = b"transfer-encoding: chunked" if chunked else b"content-length: 10"
        await conn.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + (b"5\r\n01234\r\n" if chunked else b"01234"))
        if kind == "stall":
            await conn.stall()
        await asyncio.sleep(0.02)
        if kind == "reset":
            conn.reset()

    return handle


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("kind", "code"), [("close", "cut_body"), ("reset", "cut_body"), ("stall", "stalled")])
async def test_a_cut_download(kind: str, code: str, chunked: bool, serve: Serve, vendor: Vendor) -> None:
    server = await serve(_cut(kind, chunked))
    got = bytearray()

    async def receive() -> None:
        async with vendor(API).download(Download(server.url, None)) as body:
            async for chunk in body.chunks():
                got.extend(chunk)

    with pytest.raises(VendorTrouble) as caught:
        await receive()
    assert (caught.value.trouble.next, caught.value.trouble.code) == (Next.AGAIN, code)
    assert bytes(got) == b"01234"


@pytest.mark.parametrize(("size", "step", "code"), [(5, Next.AGAIN, "cut_body"), (20, Next.GARBAGE, "too_long")])
async def test_another_length_than_announced(
    size: int, step: Next, code: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a socket: the HTTP library below sees this first, today."""
    monkeypatch.setattr(sockets, "LONG_BYTES", 1 << 20)
    response = httpx.Response(200, headers={"content-length": "10"}, content=pieces(bytes(size)))
    monkeypatch.setattr(Line, "_open", lambda self, proxy: Deaf(response))
    trouble = await _get_fails(vendor(API), "https://s.example/o")
    assert (trouble.next, trouble.code) == (step, code)


async def test_a_storage_that_is_silent_from_the_start(serve: Serve, vendor: Vendor) -> None:
    async def silent(conn: Conn) -> None:
        await conn.request()
        await conn.stall()

    trouble = await _get_fails(vendor(API), (await serve(silent)).url)
    assert (trouble.next, trouble.code) == (Next.AGAIN, "stalled")


async def test_a_download_may_be_left_in_its_midst(serve: Serve, vendor: Vendor) -> None:
    server = await serve(_good_storage)
    client = vendor(API)
    for _ in range(3):
        async with client.download(Download(server.url, None)) as body:
            async for chunk in body.chunks():
                assert chunk == FILE[: len(chunk)]
                break
    assert (await _get(client, server.url))[1] == FILE


async def test_redirects_are_followed_with_the_range(serve: Serve, vendor: Vendor) -> None:
    storage = await serve(_good_storage)

    async def mover(conn: Conn) -> None:
        while True:
            seen = await conn.request()
            there = "/second" if seen.target == "/first" else storage.url + "/file"
            await conn.send(answer(302, b"moved", location=there))

    server = await serve(mover)
    body, data = await _get(vendor(API), server.url + "/first", 1000, ETAG)
    assert (body.offset, data) == (1000, FILE[1000:])
    assert [seen.target for seen in server.seen + storage.seen] == ["/first", "/second", "/file"]
    assert storage.seen[0].headers["host"] == storage.url.removeprefix("http://")


@pytest.mark.parametrize(
    "there", ["http://storage.example/?SIGNATURE=1", "ftp://127.0.0.1/", "https://u:p@s.example/"]
)
async def test_redirects_into_the_open_are_refused(there: str, serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(302, location=there))
    trouble = await _get_fails(vendor(API), server.url)
    assert (trouble.next, trouble.code) == (Next.GARBAGE, "bad_url")


async def test_redirects_without_end_are_refused(serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(302, location="/again"))
    trouble = await _get_fails(vendor(API), server.url)
    assert (trouble.next, trouble.code) == (Next.GARBAGE, "redirects")
    assert len(server.seen) == transfer.MOST_REDIRECTS + 1


async def test_a_download_url_in_the_open_is_refused(vendor: Vendor) -> None:
    trouble = await _get_fails(vendor(API), "http://storage.example/f?SIGNATURE=1")
    assert (trouble.next, trouble.code) == (Next.GARBAGE, "bad_url")
