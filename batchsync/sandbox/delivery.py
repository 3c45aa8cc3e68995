"""Sends a file, or the part of it that was asked for, without ever holding more than a chunk of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.types import Receive, Scope, Send

from batchsync.sandbox.breakage import gone, transport_of

CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `start` on, `length` of them, and the status that says so."""

    status: int
    start: int
    length: int


def part_of(size: int, headers: Mapping[str, str], etag: str, modified: str) -> Part:
    """What `Range` and `If-Range` ask of a file of `size` bytes: 200 all, 206 a part, 416 none there is."""
    whole = Part(200, 0, size)
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", "").replace(" ", ""))
    if asked is None or not any(asked.groups()):
        return whole
    if headers.get("if-range", etag) not in (etag, modified):
        return whole
    first, last = asked.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return whole
    return Part(206, start, stop - start) if start < stop else Part(416, 0, 0)


class FileAnswer:
    """An ASGI answer with (a part of) a file; `size` is the whole file's."""

    def __init__(self, path: Path, size: int, part: Part, headers: Mapping[str, str]) -> None:
        self._path = path
        self._part = part
        self.status_code = part.status
        self._headers = {**headers, "content-length": str(part.length), "accept-ranges": "bytes"}
        if part.status == 206:
            self._headers["content-range"] = f"bytes {part.start}-{part.start + part.length - 1}/{size}"
        elif part.status == 416:
            self._headers["content-range"] = f"bytes */{size}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        left = 0 if scope["method"] == "HEAD" else self._part.length
        # Reading from the page cache is quicker than a hop to a thread for each chunk.
        with self._path.open("rb") as file:
            file.seek(self._part.start)
            while True:
                if transport_of(scope).is_closing():
                    await gone(scope, receive)
                    return
                chunk = file.read(min(CHUNK, left))
                left -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
                if left <= 0:
                    return
                await asyncio.sleep(0)  # a quick client mustn't keep the others waiting
