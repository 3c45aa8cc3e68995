"""Connections to the storage that hand over all that has arrived, in large pieces, straight from the socket.

An event loop's own streams give at most 256 KiB at a time, 16 KiB of an encrypted one, and what each of these costs
is most of what a transfer costs. Of a long body the parser of HTTP reads the beginning only.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import anyio
import httpcore
import httpx
from anyio import lowlevel

T = TypeVar("T")

# How much is read of a connection at once. httpcore by itself reads 64 KiB, and most of what a download costs is the
# number of reads. More than this is felt in memory: each chunk is copied a few times on its way.
READ_BYTES = 512 * 1024
LONG_BYTES = 16 << 20  # left of a body: for so many it pays to go past the parser, and lose the connection for others


class Direct(httpcore.AnyIOBackend):
    """Connects as httpcore does by itself; what is read and written then goes past the event loop's streams."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to `host`. Raises ConnectError and ConnectTimeout."""
        owner = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        try:
            with _told(httpcore.ConnectError, httpcore.ConnectTimeout):
                return _Connection(owner, owner.get_extra_info("socket").dup())
        except httpcore.ConnectError:  # it is closed again, or one file too many is open
            await owner.aclose()
            raise


class _Connection(httpcore.AsyncNetworkStream):
    """A connected socket that never blocks. The `owner` has made it, and closes it, but doesn't read from it."""

    def __init__(self, owner: httpcore.AsyncNetworkStream, sock: socket.socket) -> None:
        self._owner = owner
        self._sock = sock

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has arrived, b"" at the end. Raises ReadTimeout after `timeout` seconds of silence, and ReadError."""
        with _told(httpcore.ReadError, httpcore.ReadTimeout):
            await lowlevel.checkpoint()  # on a quick line nothing else would ever get its turn
            return await self._ready(partial(_arrived, self._sock, max_bytes), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Hand it to the system. Raises WriteTimeout when it takes nothing for `timeout` seconds, and WriteError."""
        left = memoryview(buffer)
        with _told(httpcore.WriteError, httpcore.WriteTimeout):
            await lowlevel.checkpoint()
            while left:
                sent = await self._ready(partial(self._sock.send, left), timeout, writes=True)
                left = left[sent:]

    async def _ready(self, act: Callable[[], T], timeout: float | None, *, writes: bool = False) -> T:
        """What `act` gives as soon as it doesn't have to wait. To encrypt, either may have to wait for the other."""
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                wait = anyio.wait_readable
            except ssl.SSLWantWriteError:
                wait = anyio.wait_writable
            except BlockingIOError:
                wait = anyio.wait_writable if writes else anyio.wait_readable
            with anyio.fail_after(timeout):
                await wait(self._sock)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """The same connection, encrypted. Raises ConnectError and ConnectTimeout, and is closed then."""
        sock = ssl_context.wrap_socket(self._sock, do_handshake_on_connect=False, server_hostname=server_hostname)
        encrypted = _Connection(self._owner, sock)
        try:
            with _told(httpcore.ConnectError, httpcore.ConnectTimeout), anyio.fail_after(timeout):
                await encrypted._ready(sock.do_handshake, None)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await encrypted.aclose()
            raise
        return encrypted

    async def aclose(self) -> None:
        """Close it at once."""
        self._sock.close()
        await self._owner.aclose()

    def get_extra_info(self, info: str) -> Any:
        """As httpcore asks for it: which protocol was agreed upon, whether an idle connection is still one."""
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        return self._owner.get_extra_info(info)


def _arrived(sock: socket.socket, most: int) -> bytes:
    """What can be had of it now, at least one byte unless it is at its end. Raises OSError."""
    data = sock.recv(most)
    if not isinstance(sock, ssl.SSLSocket):
        return data
    records, size = [data], len(data)
    with suppress(OSError):  # there are no more; what is wrong comes again with the next read
        while data and size < most:
            data = sock.recv(most - size)
            records.append(data)
            size += len(data)
    return b"".join(records)


async def raw_body(
    response: httpx.Response, length: int | None, timeout: float | None
) -> AsyncGenerator[bytes, None]:
    """A body as it arrives; `length` is its bytes where it has that many and comes as it is, without a framing.

    Each byte is copied three times on its way through httpcore's parser. So of a long body only the first chunk takes
    that way, with which the parser gives away all that it has read; the rest is read straight from the connection.
    Raises what httpx raises; ends where the other side ends it, be it too early.
    """
    left = length or 0
    parsed = response.aiter_raw()  # kept until the end: without it httpcore would close the connection
    async for chunk in parsed:
        yield chunk
        left -= len(chunk)
        if left >= LONG_BYTES:
            break
    else:
        return
    stream: httpcore.AsyncNetworkStream = response.extensions["network_stream"]
    while left > 0:
        try:
            chunk = await stream.read(min(left, READ_BYTES), timeout)
        except httpcore.TimeoutException as late:
            raise httpx.ReadTimeout(str(late)) from late
        except httpcore.NetworkError as failure:
            raise httpx.ReadError(str(failure)) from failure
        if not chunk:
            return
        left -= len(chunk)
        yield chunk


@contextmanager
def _told(error: type[Exception], timeout: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as late:
        raise timeout(str(late)) from late
    except OSError as failure:
        raise error(str(failure)) from failure
