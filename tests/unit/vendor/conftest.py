"""Small servers on loopback that misbehave on purpose, and clients with little patience for them."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from batchsync.model.job import Mode
from batchsync.vendor import sockets
from batchsync.vendor.http import Timeouts
from batchsync.vendor.magichour import MagicHour
from batchsync.vendor.port import SubmitRequest

KEY = "mhk-0123456789abcdef"
REQUEST = SubmitRequest("Spring promo", "api-assets/v.mp4", "api-assets/a.mp3", 0.0, 2.5, Mode.LITE)
IMPATIENT = Timeouts(connect=2.0, read=0.25, paid_read=0.25, whole=5.0, stall=0.25, stored=0.25)


def answer(status: int, body: bytes | str | dict[str, Any] | list[Any] = b"", **headers: str) -> bytes:
    """An HTTP answer as bytes; `_` in header names stands for `-`."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if "content_length" not in headers and "transfer_encoding" not in headers:
        lines.append(f"content-length: {len(raw)}")
    return "\r\n".join([*lines, "", ""]).encode() + raw


@dataclass
class Seen:
    """A request as it came over the wire. Header names are lower-case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Conn:
    """One connection, from the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: RawServer

    async def request(self, *, body: bool = True) -> Seen:
        """The next request; raises IncompleteReadError where the client has hung up."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        seen = Seen(method, target, {name.lower(): value for name, value in pairs})
        self.server.seen.append(seen)
        if body:
            seen.body = await self.reader.readexactly(int(seen.headers.get("content-length", 0)))
        return seen

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def stall(self) -> None:
        await asyncio.Event().wait()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def pieces(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    """`data` as a reader of files would give it."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Deaf(httpx.AsyncBaseTransport):
    """Answers without reading the request, and without minding what its own headers say."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._response


@pytest.fixture(params=[sockets.LONG_BYTES, 1], ids=["short", "long"])
def long_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How much of a body has to be left for it to be read past the parser; 1: all but the first chunk."""
    monkeypatch.setattr(sockets, "LONG_BYTES", request.param)
    return int(request.param)


Handler = Callable[[Conn], Awaitable[None]]


@dataclass
class RawServer:
    """What it saw: every request, and how many connections."""

    port: int = 0
    scheme: str = "http"
    connections: int = 0
    seen: list[Seen] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


def always(data: bytes) -> Handler:
    """Answers every request of a connection with the same bytes."""

    async def handle(conn: Conn) -> None:
        while True:
            await conn.request()
            await conn.send(data)

    return handle


Serve = Callable[..., Awaitable[RawServer]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def serve(anyio_backend: str) -> AsyncIterator[Serve]:
    """Starts servers on loopback: by a handler of connections, or by the bytes of the only answer; `tls` encrypts."""
    tasks: set[asyncio.Task[None]] = set()
    listening: list[tuple[RawServer, asyncio.Server]] = []

    async def start(handler: Handler | bytes, tls: ssl.SSLContext | None = None) -> RawServer:
        handle = always(handler) if isinstance(handler, bytes) else handler
        raw = RawServer(scheme="https" if tls else "http")

        async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            raw.connections += 1
            tasks.add(asyncio.current_task())  # type: ignore[arg-type]
            try:
                await handle(Conn(reader, writer, raw))
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            except asyncio.CancelledError:
                pass  # the end of the test
            except BaseException as error:
                raw.errors.append(error)
            finally:
                writer.close()

        listener = await asyncio.start_server(serve_one, "127.0.0.1", 0, backlog=512, ssl=tls)
        raw.port = listener.sockets[0].getsockname()[1]
        listening.append((raw, listener))
        return raw

    yield start
    for _, listener in listening:
        listener.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [error for raw, _ in listening for error in raw.errors] == []


_certificates = functools.cache(httpx.create_ssl_context)


@pytest.fixture
async def vendor(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., MagicHour]]:
    """Makes clients with little patience, and closes them. All share one set of certificates: loading takes long."""
    monkeypatch.setattr(httpx, "create_ssl_context", _certificates)
    made: list[MagicHour] = []

    def make(url: str, **options: Any) -> MagicHour:
        made.append(MagicHour(url, KEY, **{"timeouts": IMPATIENT, **options}))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()
