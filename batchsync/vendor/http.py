"""HTTP lines to the API, for the paid request and to the storage; which addresses are allowed; bounded answers."""

from __future__ import annotations

import ipaddress
import logging
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from batchsync import __version__
from batchsync.errors import SettingError
from batchsync.vendor.sockets import READ_BYTES, Direct, raw_body
from batchsync.vendor.wire import Answer

LARGEST_ANSWER = 4 * 1024 * 1024
_HEADERS = {"User-Agent": f"batchsync/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `read`, `paid_read` and `stall` are the longest silence; `whole` bounds an API request altogether.

    `stored` is the longest silence after the last byte of an upload was handed to the system: what still
    stands in its buffers is on its way then.
    """

    connect: float = 10.0
    paid_connect: float = 5.0
    read: float = 30.0
    paid_read: float = 45.0
    whole: float = 90.0
    stall: float = 60.0
    stored: float = 180.0


DEFAULT_TIMEOUTS = Timeouts()

# --- Addresses ----------------------------------------------------------------------------------------------


def safe_url(text: str) -> httpx.URL:
    """`text` as a URL that may be talked to: https, or http to this machine's loopback; nobody's password in it.

    Raises ValueError with words that quote nothing of it, since a query may be a signature.
    """
    try:
        url = httpx.URL(text)
        labels = url.raw_host.decode("ascii").removesuffix(".").split(".")
    except (httpx.InvalidURL, ValueError):
        raise ValueError("is not a web address") from None
    if url.scheme not in ("https", "http"):
        raise ValueError("does not begin with https://")
    if not all(0 < len(label) < 64 for label in labels) or not 0 < (443 if url.port is None else url.port) < 65536:
        raise ValueError("has no usable host or port")
    if url.userinfo:
        raise ValueError("has a user name or password in it")
    if url.scheme == "http" and not _is_loopback(url.host):
        raise ValueError("is not encrypted: http:// is for this machine's own addresses only, use https://")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_api_url(text: str) -> str:
    """The API's address, without a slash at its end. Raises SettingError."""
    try:
        url = safe_url(text.strip())
        if url.query or url.fragment or "?" in text or "#" in text:
            raise ValueError("has a query or fragment")
    except ValueError as error:
        raise SettingError(f"The API address {error}", hint="the vendor's is https://api.magichour.ai") from None
    return str(url).rstrip("/")


def check_key(text: str) -> str:
    """The API key, without the blanks around it. Raises SettingError, and never quotes it."""
    key = text.strip()
    if not key:
        raise SettingError("The API key is empty", hint="set MAGIC_HOUR_API_KEY, or name a file with --api-key-file")
    if not all("!" <= char <= "~" for char in key):
        raise SettingError(
            "The API key has a blank, a control character or a letter that isn't ASCII in it",
            hint="copy it again from the vendor's Developer Hub: the key alone, on one line",
        )
    return key


# --- Lines --------------------------------------------------------------------------------------------------


class Line:
    """Requests of one kind, over connections that are kept, the last used first. Raises what httpx raises.

    httpx's transports, without a client around them: nothing that a client adds is wanted here (redirects, cookies, a
    .netrc), and that would be a sixteenth of the CPU that a run takes. Each request that is under way has a transport
    of one connection: one for all would look at each of its idle connections, for each of them, at every request, and
    with 32 of them a request costs three times as much (httpcore's pool, 1.0).
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        headers: Mapping[str, str],
        timeout: httpx.Timeout,
        limits: httpx.Limits,
        proxies: Proxies,
        base_url: str = "",
        *,
        direct: bool = False,
    ) -> None:
        self._tls = tls
        self._headers = headers
        self._timeout = timeout
        self._limits = limits
        self._proxies = proxies
        self._base_url = base_url
        self._direct = direct
        # One at once of each kind, so that an unusable environment is noticed.
        self._idle = {proxy: [self._open(proxy)] for proxy in {None, proxies.https}}

    def _open(self, proxy: str | None) -> httpx.AsyncHTTPTransport:
        transport: Any = httpx.AsyncHTTPTransport(verify=self._tls, limits=self._limits, proxy=proxy)
        if self._direct and proxy is None:
            # httpcore has a parameter for it, and httpx none that leads there.
            transport._pool._network_backend = Direct()
        return cast(httpx.AsyncHTTPTransport, transport)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: httpx.URL | str,
        *,
        content: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        timeout: httpx.Timeout | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """Send a request and give its answer, of which the body is still to be read; `url` may begin with a `/`."""
        request = httpx.Request(
            method,
            self._base_url + url if isinstance(url, str) else url,
            headers={**self._headers, **headers},
            content=content,
            extensions={"timeout": (timeout or self._timeout).as_dict()},
        )
        proxy = self._proxies.of(request.url)
        idle = self._idle[proxy]
        transport = idle.pop() if idle else self._open(proxy)
        try:
            response = await transport.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            idle.append(transport)

    def body(self, response: httpx.Response, length: int | None) -> AsyncGenerator[bytes, None]:
        """The body of an answer of this line as it arrives, see `raw_body`."""
        return raw_body(response, length, self._timeout.read)

    async def aclose(self) -> None:
        for transports in self._idle.values():
            for transport in transports:
                await transport.aclose()


class Proxies:
    """The environment's proxies (HTTPS_PROXY, ALL_PROXY, NO_PROXY), as they stand now."""

    def __init__(self) -> None:
        known = getproxies()
        proxy = known.get("https") or known.get("all")
        self.https = f"http://{proxy}" if proxy and "://" not in proxy else proxy
        self._hosts: dict[str, str | None] = {}

    def of(self, url: httpx.URL) -> str | None:
        """The proxy that a request goes through. Plain http goes to loopback only, so never to a proxy: that would
        show it the key."""
        if url.scheme != "https" or self.https is None:
            return None
        if url.host not in self._hosts:
            self._hosts[url.host] = None if proxy_bypass(url.host) else self.https
        return self._hosts[url.host]


@dataclass(frozen=True, slots=True)
class Lines:
    """`api` and `paid` carry the key and go to the API only; `storage` has none and goes anywhere."""

    api: Line
    paid: Line
    storage: Line

    async def aclose(self) -> None:
        for line in (self.api, self.paid, self.storage):
            await line.aclose()


def open_lines(api_url: str, key: str, timeouts: Timeouts) -> Lines:
    """The three lines, which share one set of certificates. Raises SettingError for an unusable environment.

    The environment's proxies (see `Proxies`) and certificates (SSL_CERT_FILE, SSL_CERT_DIR) are honoured.
    """
    _hush()
    httpcore.AsyncHTTP11Connection.READ_NUM_BYTES = READ_BYTES
    try:
        tls = httpx.create_ssl_context()
    except OSError:
        raise SettingError("The certificates in SSL_CERT_FILE or SSL_CERT_DIR can't be read") from None
    keyed = {**_HEADERS, "Accept": "application/json", "Authorization": f"Bearer {key}"}
    read = httpx.Timeout(timeouts.read, connect=timeouts.connect)
    # Shorter than a run that is told to stop waits for its submissions: no connection, no doubt.
    paid = httpx.Timeout(timeouts.paid_read, connect=timeouts.paid_connect)
    stall = httpx.Timeout(timeouts.stall, connect=timeouts.connect)
    # Short-lived idle connections: many servers close theirs after 5 s, and a request that meets that is lost.
    reuse = httpx.Limits(keepalive_expiry=3.0)
    # The paid request has a fresh connection each time: a cut of a stale one looks like a lost answer.
    once = httpx.Limits(max_keepalive_connections=0, keepalive_expiry=0.0)
    try:
        proxies = Proxies()
        return Lines(
            api=Line(tls, keyed, read, reuse, proxies, api_url),
            paid=Line(tls, {**keyed, "Connection": "close"}, paid, once, proxies, api_url),
            storage=Line(tls, {**_HEADERS, "Accept": "*/*"}, stall, reuse, proxies, direct=True),
        )
    except (ImportError, ValueError, httpx.InvalidURL):
        # An ImportError is a SOCKS proxy without the library for it.
        raise SettingError(
            "The proxy in HTTPS_PROXY or ALL_PROXY can't be used",
            hint="name an http:// or https:// proxy, or unset it",
        ) from None


def _hush() -> None:
    """httpx logs whole URLs at INFO, and httpcore headers at DEBUG: signatures and keys must not get there."""
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


# --- Answers ------------------------------------------------------------------------------------------------


def is_encoded(response: httpx.Response) -> bool:
    """Whether the body is compressed, which is never asked for: a small one could unpack to anything."""
    return _encoding(response) != "identity"


def _encoding(response: httpx.Response) -> str:
    return response.headers.get("content-encoding", "").strip().lower() or "identity"


async def receive(response: httpx.Response, *, hide: str) -> Answer:
    """Read an answer to its end, but no further than a bound. Raises what httpx raises.

    Some proxies compress what nobody asked them to: gzip and deflate are unpacked, as far as that bound.
    """
    headers = {name.lower(): value for name, value in response.headers.items()}

    def faulty(fault: str) -> Answer:
        return Answer(response.status_code, headers, b"", hide, fault)

    encoding = _encoding(response)
    if encoding not in _ENCODINGS:
        return faulty("encoded")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            return faulty("too_large")
    unpacked = bytes(body) if encoding == "identity" else _unpack(bytes(body))
    if unpacked is None:
        return faulty("encoded")
    return Answer(response.status_code, headers, unpacked, hide)


_ENCODINGS = ("identity", "gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def _unpack(body: bytes) -> bytes | None:
    """A compressed body, None where it is broken, cut, or larger than any answer should be."""
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        unpacked = unpacking.decompress(body, LARGEST_ANSWER)
    except zlib.error:
        return None
    return unpacked if unpacking.eof else None
