"""A submission over real sockets: promise 1, one row of it after another."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest
from unit.vendor.conftest import KEY, REQUEST, Conn, Handler, Serve, answer

from batchsync.model.job import Mode
from batchsync.vendor import http, magichour
from batchsync.vendor.magichour import MagicHour
from batchsync.vendor.port import Created, Next, NotCreated, SubmitRequest, Unknown

Vendor = Callable[[str], MagicHour]
CREATED = {"id": "p1", "credits_charged": 75, "estimated_frame_cost": 75}


# --- What is sent -------------------------------------------------------------------------------------------


async def test_the_body_is_the_vendors(serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(200, CREATED))
    client = vendor(server.url)
    assert await client.submit(REQUEST) == Created("p1", 75, 200)
    full = SubmitRequest("É · x\ud800", "https://youtu.be/x", "a.mp3", 0.5, 10, Mode.PRO, 24.0, video_is_youtube=True)
    await client.submit(full)
    first, second = (seen.json() for seen in server.seen)
    assert first == {
        "name": "Spring promo",
        "start_seconds": 0,
        "end_seconds": 2.5,
        "assets": {
            "audio_file_path": "api-assets/a.mp3",
            "video_source": "file",
            "video_file_path": "api-assets/v.mp4",
        },
        "style": {"generation_mode": "lite"},
    }
    assert b'"start_seconds": 0,' in server.seen[0].body
    assert second["assets"] == {
        "audio_file_path": "a.mp3",
        "video_source": "youtube",
        "youtube_url": "https://youtu.be/x",
    }
    assert (second["max_fps_limit"], second["style"]) == (24, {"generation_mode": "pro"})
    assert server.seen[0].method == "POST"
    assert server.seen[0].target == "/v1/lip-sync"
    assert server.seen[0].headers["content-type"] == "application/json"


async def test_every_submission_has_its_own_connection(serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(200, CREATED))
    client = vendor(server.url)
    for _ in range(5):
        await client.submit(REQUEST)
    assert server.connections == 5


async def test_servers_that_close_idle_connections_lose_no_answer(serve: Serve, vendor: Vendor) -> None:
    turn = 0

    async def closing(conn: Conn) -> None:
        """Promises to keep the connection, and closes it at once, in a moment, or with a reset."""
        nonlocal turn
        turn += 1
        mine = turn % 3
        await conn.request()
        await conn.send(answer(200, CREATED, connection="keep-alive"))
        if mine == 1:
            await asyncio.sleep(0.003)
        elif mine == 2:
            await conn.reader.read()
            conn.reset()

    server = await serve(closing)
    client = vendor(server.url)
    outcomes: list[Any] = []

    async def submit_some() -> None:
        for _ in range(40):
            outcomes.append(await client.submit(REQUEST))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(submit_some)
    assert {type(outcome) for outcome in outcomes} == {Created}
    assert len(outcomes) == len(server.seen) == 400


# --- Nothing left -------------------------------------------------------------------------------------------


async def test_a_closed_port_is_not_created(vendor: Vendor) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        got = await vendor(f"http://127.0.0.1:{sock.getsockname()[1]}").submit(REQUEST)
    assert isinstance(got, NotCreated)
    assert (got.trouble.next, got.trouble.code) == (Next.AGAIN, "unreachable")


async def test_a_port_that_takes_no_connections_is_not_created(vendor: Callable[..., MagicHour]) -> None:
    with socket.socket() as sock, socket.socket() as first, socket.socket() as second:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)  # nobody accepts, and there is room for one or two in the queue
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        got = await vendor(url, timeouts=http.Timeouts(connect=0.3)).submit(REQUEST)
    assert isinstance(got, NotCreated)
    assert got.trouble.code == "unreachable"


async def test_a_failed_handshake_is_not_created(serve: Serve, vendor: Vendor) -> None:
    async def no_tls(conn: Conn) -> None:
        await conn.reader.read(1)
        await conn.send(b"HTTP/1.1 400 This is no TLS\r\n\r\n")

    server = await serve(no_tls)
    got = await vendor(server.url.replace("http:", "https:")).submit(REQUEST)
    assert isinstance(got, NotCreated)
    assert got.trouble.code == "unreachable"
    assert KEY not in got.trouble.message


# --- Answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 302, 400, 402, 404, 409, 429, 500, 502, 503, 504])
async def test_an_id_means_created(status: int, serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(status, CREATED, location="https://elsewhere.example/"))
    assert await vendor(server.url).submit(REQUEST) == Created("p1", 75, status)


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (400, Next.REFUSED),
        (401, Next.FATAL),
        (402, Next.BROKE),
        (403, Next.REFUSED),
        (404, Next.REFUSED),
        (422, Next.REFUSED),
        (429, Next.PACED),
        (500, Next.AGAIN),
        (502, Next.AGAIN),
        (503, Next.AGAIN),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"message": "no"}'])
async def test_refusals_are_not_created(status: int, step: Next, body: bytes, serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(status, body, retry_after="9"))
    got = await vendor(server.url).submit(REQUEST)
    assert isinstance(got, NotCreated)
    assert (got.trouble.next, got.trouble.status, got.trouble.retry_after) == (step, status, 9.0)


def _cut_answer(status: int) -> bytes:
    whole = answer(status, CREATED)
    return whole[:-5]


UNCLEAR_ANSWERS = {
    "empty 200": (answer(200), "garbage"),
    "200 without id": (answer(200, {"credits_charged": 75}), "garbage"),
    "html 200": (answer(200, b"<html>"), "garbage"),
    "bad id": (answer(200, {"id": "../x"}), "garbage"),
    "list": (answer(200, [CREATED]), "garbage"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", "garbage"),
    "cut gzip": (answer(200, gzip.compress(json.dumps(CREATED).encode())[:-9], content_encoding="gzip"), "garbage"),
    "no gzip": (answer(503, b"{}", content_encoding="gzip"), "garbage"),
    "brotli": (answer(200, json.dumps(CREATED).encode(), content_encoding="br"), "garbage"),
    "twice gzip": (answer(200, json.dumps(CREATED).encode(), content_encoding="gzip, gzip"), "garbage"),
    "302": (answer(302, location="https://elsewhere.example/"), "http_302"),
    "302 to nowhere": (answer(302, location="https://x:bad/"), "http_302"),
    "408": (answer(408), "http_408"),
    "409": (answer(409), "http_409"),
    "504": (answer(504, {"message": "late"}), "http_504"),
    "520": (answer(520), "http_520"),
    "no http": (b"SSH-2.0-OpenSSH\r\n\r\n", "cut"),
    "bad framing": (answer(200, b"zz\r\n", transfer_encoding="chunked"), "cut"),
}


@pytest.mark.parametrize("name", UNCLEAR_ANSWERS)
async def test_unclear_answers_are_unknown(name: str, serve: Serve, vendor: Vendor) -> None:
    data, code = UNCLEAR_ANSWERS[name]
    server = await serve(data)
    got = await vendor(server.url).submit(REQUEST)
    assert isinstance(got, Unknown)
    assert got.code == code
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("pack", "encoding"), [(gzip.compress, "gzip"), (gzip.compress, "x-gzip"), (zlib.compress, "deflate")]
)
async def test_a_compressed_answer_counts_as_what_is_in_it(
    serve: Serve, vendor: Vendor, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    """Nobody asked for it, but a proxy on the way may do it all the same."""
    server = await serve(answer(200, pack(json.dumps(CREATED).encode()), content_encoding=encoding))
    assert await vendor(server.url).submit(REQUEST) == Created("p1", 75, 200)
    server = await serve(answer(503, pack(b"{}"), content_encoding=encoding))
    assert isinstance(await vendor(server.url).submit(REQUEST), NotCreated)


async def test_a_compressed_answer_is_unpacked_only_as_far_as_any_answer_may_go(serve: Serve, vendor: Vendor) -> None:
    bomb = gzip.compress(b" " * 500_000_000, compresslevel=1)
    server = await serve(answer(200, bomb, content_encoding="gzip"))
    tracemalloc.start()
    try:
        got = await vendor(server.url).submit(REQUEST)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()
    assert isinstance(got, Unknown)
    assert got.code == "garbage"


async def test_an_answer_without_end_is_unknown(
    serve: Serve, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LARGEST_ANSWER", 1000)
    server = await serve(answer(500, b'{"id": "p1", "message": "' + b"x" * 2000 + b'"}'))
    got = await vendor(server.url).submit(REQUEST)
    assert isinstance(got, Unknown)
    assert (got.code, got.status) == ("garbage", 500)


# --- Connections that break ---------------------------------------------------------------------------------


async def _close_at_once(conn: Conn) -> None:
    await conn.request()


async def _reset_at_once(conn: Conn) -> None:
    await conn.request()
    conn.reset()


async def _reset_before_reading(conn: Conn) -> None:
    await conn.reader.read(1)
    conn.reset()


async def _stall(conn: Conn) -> None:
    await conn.request()
    await conn.stall()


async def _stall_in_headers(conn: Conn) -> None:
    await conn.request()
    await conn.send(b"HTTP/1.1 200 OK\r\ncontent-le")
    await conn.stall()


async def _stall_in_body(conn: Conn) -> None:
    await conn.request()
    await conn.send(_cut_answer(200))
    await conn.stall()


async def _cut_in_body(conn: Conn) -> None:
    await conn.request()
    await conn.send(_cut_answer(200))


async def _cut_in_refusal(conn: Conn) -> None:
    await conn.request()
    await conn.send(answer(500, {"message": "sorry", "id": "p1"})[:-8])


async def _reset_in_body(conn: Conn) -> None:
    await conn.request()
    await conn.send(_cut_answer(200))
    await asyncio.sleep(0.02)
    conn.reset()


async def _interim_answers_without_end(conn: Conn) -> None:
    await conn.request()
    while True:
        await conn.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0.01)


BREAKS: dict[Handler, str] = {
    _close_at_once: "cut",
    _reset_at_once: "cut",
    _reset_before_reading: "cut",
    _stall: "read_timeout",
    _stall_in_headers: "read_timeout",
    _stall_in_body: "read_timeout",
    _cut_in_body: "cut",
    _cut_in_refusal: "cut",
    _reset_in_body: "cut",
    _interim_answers_without_end: "read_timeout",
}


@pytest.mark.parametrize("handler", BREAKS)
async def test_broken_connections_are_unknown(
    handler: Handler, serve: Serve, vendor: Callable[..., MagicHour]
) -> None:
    server = await serve(handler)
    client = vendor(server.url, timeouts=http.Timeouts(connect=2, paid_read=0.2, whole=0.6))
    got = await client.submit(REQUEST)
    assert isinstance(got, Unknown)
    assert got.code == BREAKS[handler]
    assert KEY not in got.message
    assert server.connections == 1


async def test_a_fault_of_the_program_after_sending_is_unknown(
    serve: Serve, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("x")

    monkeypatch.setattr(magichour, "receive", broken)
    server = await serve(answer(200, CREATED))
    got = await vendor(server.url).submit(REQUEST)
    assert isinstance(got, Unknown)
    assert got.code == "unexpected"


async def test_a_cancellation_goes_through(serve: Serve, vendor: Callable[..., MagicHour]) -> None:
    arrived = anyio.Event()

    async def handler(conn: Conn) -> None:
        await conn.request()
        arrived.set()
        await conn.stall()

    server = await serve(handler)
    client = vendor(server.url, timeouts=http.Timeouts())
    outcomes: list[Any] = []

    async def submit() -> None:
        outcomes.append(await client.submit(REQUEST))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(submit)
            await arrived.wait()
            group.cancel_scope.cancel()
    assert outcomes == []


async def test_a_number_that_json_does_not_know_is_never_sent(serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(200, CREATED))
    with pytest.raises((ValueError, OverflowError)):
        await vendor(server.url).submit(replace(REQUEST, end_seconds=float("nan")))
    assert server.connections == 0
