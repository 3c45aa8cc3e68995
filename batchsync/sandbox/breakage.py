"""Answers that go wrong on the wire: connections that are cut, answers that stop, lengths that lie.

Each is an ASGI app, as starlette's responses are. Cutting needs the connection's transport, which the
server puts into `scope["state"]` (see serve.py).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

OVERSTATED_BYTES = 1024
Ending = Callable[[Scope, Receive], Awaitable[None]]


class _Stop(Exception):
    """Nothing more of this answer is to be sent."""


def transport_of(scope: Scope) -> asyncio.Transport:
    return cast(asyncio.Transport, scope["state"]["transport"])


async def gone(_scope: Scope, receive: Receive) -> None:
    """Do nothing until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def reset(scope: Scope, receive: Receive) -> None:
    """Cut the connection with a TCP reset; what the client hasn't read yet may be lost to it."""
    transport = transport_of(scope)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await gone(scope, receive)


async def end(scope: Scope, receive: Receive) -> None:
    """Close the connection after what has been sent, as if that were all."""
    transport_of(scope).close()
    await gone(scope, receive)


ENDINGS: dict[str, Ending] = {"reset": reset, "eof": end}


class Silent:
    """No answer at all, but an ending."""

    def __init__(self, ending: Ending) -> None:
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        await self._ending(scope, receive)


class Partly:
    """The first `share` of another answer's body, then an ending."""

    def __init__(self, answer: ASGIApp, share: float, ending: Ending) -> None:
        self._answer = answer
        self._share = share
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = 0

        async def send_partly(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                left = int(int(dict(message["headers"]).get(b"content-length", b"0")) * self._share)
                await send(message)
                return
            body = message.get("body", b"")[:left]
            left -= len(body)
            await send({"type": "http.response.body", "body": body, "more_body": True})
            if not left:
                raise _Stop

        try:
            await self._answer(scope, receive, send_partly)
        except _Stop:
            await self._ending(scope, receive)


class WrongLength:
    """Another answer that announces more than there is, and then ends."""

    def __init__(self, answer: ASGIApp) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def overstate(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send({**message, "headers": [_overstated(*header) for header in message["headers"]]})
            else:
                await send({**message, "more_body": True})

        await self._answer(scope, receive, overstate)
        await end(scope, receive)


class NoLength:
    """Another answer without its length; the server then sends it in chunks."""

    def __init__(self, answer: ASGIApp) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def keep_quiet(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [header for header in message["headers"] if header[0] != b"content-length"]
                message = {**message, "headers": headers}
            await send(message)

        await self._answer(scope, receive, keep_quiet)


class Unmarked:
    """Another answer as an HTTP/1.0 server gives it: no length and no chunks, the connection's end is the body's."""

    def __init__(self, answer: ASGIApp, share: float, ending: Ending) -> None:
        self._answer = NoLength(Partly(answer, share, ending))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # To a client of HTTP/1.0 the server sends no chunks, and this is how it knows one.
        protocol = cast(H11Protocol, transport_of(scope).get_protocol())
        protocol.conn.their_http_version = b"1.0"
        await self._answer(scope, receive, send)


def _overstated(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return (name, b"%d" % (int(value) + OVERSTATED_BYTES)) if name == b"content-length" else (name, value)
