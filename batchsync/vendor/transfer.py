"""Bytes to and from storage: one upload, one download. Signed URLs come in; they never come out in words."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing

import httpx

from batchsync.clock import Clock
from batchsync.vendor import verdict
from batchsync.vendor.http import Line, Timeouts, is_encoded, safe_url
from batchsync.vendor.port import Download, Next, Trouble, UploadSlot, VendorTrouble

SMALL_PIECE = 64 * 1024
QUICK_SECONDS = 1.0
MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_LENGTH = re.compile(r"[0-9]{1,18}")


def _garbage(code: str, message: str, status: int | None = None) -> VendorTrouble:
    return VendorTrouble(Trouble(Next.GARBAGE, code, message, status=status))


def _checked(url: str, what: str) -> httpx.URL:
    try:
        return safe_url(url)
    except ValueError as error:
        raise _garbage("bad_url", f"The {what} that was given {error}") from None


# --- Up -----------------------------------------------------------------------------------------------------


class _Feed:
    """A file's bytes on their way out: counted, in pieces, and with the reader's own errors kept apart.

    The time for a stall counts for each piece, and a slow line needs long for a big one: only a line that has shown
    that it is quick gets the chunks as they come, which costs the least.
    """

    def __init__(self, chunks: AsyncIterator[bytes], size: int, clock: Clock) -> None:
        self._chunks = chunks
        self._size = size
        self._clock = clock
        self._sent = 0
        self.finished = False
        self.error: Exception | None = None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        quick = False
        try:
            async for chunk in self._chunks:
                self._sent += len(chunk)
                if self._sent > self._size:
                    raise self._changed()
                step = len(chunk) if quick else SMALL_PIECE
                started = self._clock.monotonic()
                for start in range(0, len(chunk), step or 1):
                    yield chunk[start : start + step]
                quick = self._clock.monotonic() - started < QUICK_SECONDS
            if self._sent < self._size:
                raise self._changed()
            self.finished = True
        except Exception as error:
            self.error = error
            raise

    def _changed(self) -> VendorTrouble:
        found = "more than" if self._sent > self._size else f"only {self._sent} of"
        message = f"The file has {found} the {self._size} bytes announced: it changed while it was sent"
        return VendorTrouble(Trouble(Next.REFUSED, "file_changed", message))


async def send(
    line: Line,
    slot: UploadSlot,
    chunks: AsyncIterator[bytes],
    size: int,
    *,
    timeouts: Timeouts,
    clock: Clock,
) -> None:
    """PUT `size` bytes to `slot`. Raises VendorTrouble, and lets the errors of `chunks` through as they are.

    No Content-Type is sent: the signature of an upload URL may not cover one.
    """
    url = _checked(slot.url, "upload URL")
    feed = _Feed(chunks, size, clock)
    timeout = httpx.Timeout(timeouts.stall, connect=timeouts.connect, read=timeouts.stored)
    # The length makes httpx send the stream as it is: storages refuse a chunked upload.
    headers = {"Content-Length": str(size)}
    try:
        async with (
            aclosing(feed.pieces()) as pieces,
            line.stream("PUT", url, content=pieces, headers=headers, timeout=timeout) as response,
        ):
            if response.headers.get("content-length") == "0":
                await response.aread()  # nothing to wait for, and the connection can be used again
    except verdict.NETWORK as error:
        if feed.error is not None:
            raise feed.error from None
        raise VendorTrouble(_stall(error) or verdict.failed(error)) from None
    if not 200 <= response.status_code < 300:
        raise VendorTrouble(verdict.storage_failure(response.status_code, response.headers, clock.now()))
    if not feed.finished:
        # httpx goes on to the answer when the storage stops listening, so a success can come too early.
        raise VendorTrouble(Trouble(Next.AGAIN, "cut", "The storage stopped listening before the file was sent"))


def _stall(error: Exception) -> Trouble | None:
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return Trouble(Next.AGAIN, "stalled", "The transfer stood still for too long")
    return None


# --- Down ---------------------------------------------------------------------------------------------------


class Receiving:
    """One download, both the context and the `Body` in it: `async with Receiving(…) as body`."""

    def __init__(self, line: Line, download: Download, *, offset: int, validator: str | None, clock: Clock) -> None:
        self._line = line
        self._download = download
        self._asked = offset if validator else 0
        self._asked_validator = validator
        self._clock = clock
        self._stack = AsyncExitStack()
        self._response: httpx.Response
        self.offset = 0
        self.total: int | None = None
        self.proved = True
        self.validator: str | None = None

    async def __aenter__(self) -> Receiving:
        async with AsyncExitStack() as stack:
            try:
                self._response = await self._open(stack)
            except verdict.NETWORK as error:
                raise VendorTrouble(_stall(error) or verdict.failed(error)) from None
            self._accept(self._response)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _open(self, stack: AsyncExitStack) -> httpx.Response:
        """The first answer that is no redirect; every address on the way is checked."""
        url = _checked(self._download.url, "download URL")
        for _ in range(MOST_REDIRECTS + 1):
            context = self._line.stream("GET", url, headers=self._headers())
            response = await stack.enter_async_context(context)
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or location is None:
                return response
            await response.aclose()
            url = _checked(_joined(url, location), "address that the storage redirects to")
        raise _garbage("redirects", "The storage redirects again and again", response.status_code)

    def _headers(self) -> dict[str, str]:
        if self._asked and self._asked_validator:
            return {"Range": f"bytes={self._asked}-", "If-Range": self._asked_validator}
        return {}

    def _accept(self, response: httpx.Response) -> None:
        """Take what the headers promise, or raise VendorTrouble."""
        status = response.status_code
        if status not in (200, 206):
            if 200 <= status < 300:
                raise _garbage(f"http_{status}", f"The storage answered {status} where a file should come", status)
            raise VendorTrouble(verdict.storage_failure(status, response.headers, self._clock.now()))
        if is_encoded(response):
            raise _garbage("encoded", "The storage sent the file compressed, which was not asked for", status)
        self.validator = _validator(response.headers)
        length = _length(response.headers)
        if status == 206:
            self._accept_part(response, length)
        else:
            self.total = length
            self.proved = length is not None or _is_chunked(response.headers)

    def _accept_part(self, response: httpx.Response, length: int | None) -> None:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
        first, last, total = (int(number) for number in match.groups()) if match else (-1, -1, -1)
        fits = self._asked and first == self._asked and last == total - 1 and last >= first
        if not fits or length not in (None, last - first + 1):
            raise _garbage("bad_range", "The storage sent another part of the file than was asked for", 206)
        if self.validator is not None and _differ(self.validator, self._asked_validator):
            message = "The file at the storage has changed since its first part was received"
            raise VendorTrouble(Trouble(Next.GONE, "range_not_satisfiable", message, status=206))
        self.validator = self.validator or self._asked_validator
        self.offset, self.total = first, total

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes from `offset` on. Raises VendorTrouble where they end too early or stall."""
        received = self.offset
        # Where it is cut into chunks, their lengths are among the bytes.
        length = None if "transfer-encoding" in self._response.headers else _length(self._response.headers)
        try:
            async with aclosing(self._line.body(self._response, length)) as chunks:
                async for chunk in chunks:
                    received += len(chunk)
                    if self.total is not None and received > self.total:
                        raise _garbage("too_long", f"The storage sent more than the {self.total} bytes announced")
                    yield chunk
        except verdict.NETWORK as error:
            raise VendorTrouble(_stall(error) or self._cut(received)) from None
        if self.total is not None and received < self.total:
            raise VendorTrouble(self._cut(received))

    def _cut(self, received: int) -> Trouble:
        whole = "" if self.total is None else f" of {self.total}"
        return Trouble(Next.AGAIN, "cut_body", f"The download was cut after {received}{whole} bytes")


def _joined(url: httpx.URL, location: str) -> str:
    try:
        return str(url.join(location))
    except (httpx.InvalidURL, ValueError):
        return ""


def _length(headers: httpx.Headers) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if _LENGTH.fullmatch(text) else None


def _is_chunked(headers: httpx.Headers) -> bool:
    return bool(headers.get("transfer-encoding", "").lower().endswith("chunked"))


def _validator(headers: httpx.Headers) -> str | None:
    """What a later part can be tied to: a strong ETag, else the date of the last change."""
    etag = headers.get("etag", "")
    if len(etag) > 2 and etag.startswith('"') and etag.endswith('"') and etag.isascii() and etag.isprintable():
        return str(etag)
    return _date(headers.get("last-modified", ""))


def _date(text: str) -> str | None:
    return text if re.fullmatch(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT", text) else None


def _differ(now: str, before: str | None) -> bool:
    """Whether two validators of the same kind name two versions of a file."""
    return before is not None and now.startswith('"') == before.startswith('"') and now != before
