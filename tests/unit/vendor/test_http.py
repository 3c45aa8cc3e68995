"""Where requests may go, and what may go with them."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest
from unit.vendor.conftest import KEY, REQUEST, Conn, Serve, always, answer

from batchsync.errors import SettingError
from batchsync.vendor import http
from batchsync.vendor.magichour import MagicHour
from batchsync.vendor.port import Created, Download, NotCreated, UploadSlot, VendorTrouble

Vendor = Callable[[str], MagicHour]
PROJECT = {"id": "p1", "status": "complete", "credits_charged": 75}


# --- Addresses and keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://api.magichour.ai",
        "https://s.example:8443/a?sig=1",
        "http://127.0.0.1:8000",
        "http://127.9.9.9/",
        "http://localhost:1",
        "http://[::1]:8000/",
        "HTTPS://S.EXAMPLE/",
    ],
)
def test_allowed_addresses(url: str) -> None:
    assert isinstance(http.safe_url(url), httpx.URL)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.magichour.ai",
        "//api.magichour.ai",
        "http://api.magichour.ai/SECRET",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "http://localhost./",
        "http://2130706433/",
        "http://[::2]/",
        "http://127.0.0.1@evil.example/",
        "https://user:SECRET@s.example/",
        "ftp://s.example/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://s.example:99999/",
        "https://s.example:0/",
        "https://s.example:SECRET/",
        "https://" + "a" * 64 + ".example/",
        "https://a..example/",
        "https://s.example/\nSECRET",
        "https://s.example/\ud800",
        "https://" + "a" * 100_000,
    ],
)
def test_refused_addresses(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|does|has) ") as caught:
        http.safe_url(url)
    assert "SECRET" not in str(caught.value)


def test_an_api_address_is_normal() -> None:
    assert http.check_api_url(" https://api.magichour.ai/ ") == "https://api.magichour.ai"
    assert http.check_api_url("https://gateway.example/magichour/") == "https://gateway.example/magichour"


@pytest.mark.parametrize(
    "url", ["https://a.example?k=SECRET", "https://a.example/#SECRET", "http://a.example", "x", ""]
)
def test_an_odd_api_address_is_a_setting_error(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        http.check_api_url(url)
    assert "SECRET" not in caught.value.message


def test_a_key_is_one_printable_word() -> None:
    assert http.check_key(" mhk-abc_123\r\n") == "mhk-abc_123"
    for bad in ("", "  \n", "SECRET two", "SECRET\ntwo", "SECRET\ttwo", "SECRETé", "SECRET\x00x", "SECRET\u200bx"):
        with pytest.raises(SettingError) as caught:
            http.check_key(bad)
        assert "SECRET" not in caught.value.message + (caught.value.hint or "")


# --- What goes with a request -------------------------------------------------------------------------------


async def test_requests_name_the_program_and_take_nothing_compressed(serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(200, PROJECT, set_cookie="c=1; Path=/"))
    client = vendor(server.url + "/base")
    await client.project("p1")
    await client.project("p1")
    await client.submit(REQUEST)
    for seen in server.seen:
        assert seen.headers["authorization"] == f"Bearer {KEY}"
        assert seen.headers["user-agent"].startswith("batchsync/")
        assert seen.headers["accept-encoding"] == "identity"
        assert "cookie" not in seen.headers
    assert [seen.target for seen in server.seen][1:] == ["/base/v1/video-projects/p1", "/base/v1/lip-sync"]


async def test_the_key_goes_to_the_api_only(serve: Serve, vendor: Vendor) -> None:
    elsewhere = await serve(answer(200, b"x" * 10))
    storage = await serve(answer(307, location=elsewhere.url + "/moved"))
    api = await serve(answer(307, location=elsewhere.url + "/stolen"))
    client = vendor(api.url)
    for call in (client.account(), client.project("p1"), client.upload_slots([("video", "mp4")])):
        with pytest.raises(VendorTrouble) as caught:
            await call
        assert caught.value.trouble.code == "http_307"
    await client.submit(REQUEST)
    async with client.download(Download(storage.url + "/o?sig=1", None)) as body:
        assert b"".join([chunk async for chunk in body.chunks()]) == b"x" * 10
    await client.put(UploadSlot(elsewhere.url + "/up", "f", 0.0), _bytes(b"abc"), 3)
    assert [seen.target for seen in elsewhere.seen] == ["/moved", "/up"]
    for seen in storage.seen + elsewhere.seen:
        assert "authorization" not in seen.headers
        assert KEY not in repr(seen)
    assert len(api.seen) == 4


async def _bytes(*chunks: bytes):  # type: ignore[no-untyped-def]
    for chunk in chunks:
        yield chunk


async def test_a_netrc_adds_nothing(
    serve: Serve, vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password SECRET\ndefault login user password SECRET\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    server = await serve(answer(200, PROJECT))
    client = vendor(server.url)
    await client.project("p1")
    await client.put(UploadSlot(server.url + "/up", "f", 0.0), _bytes(b"abc"), 3)
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in server.seen[1].headers


async def test_plain_http_never_goes_through_a_proxy(
    serve: Serve, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await serve(answer(200, PROJECT))
    server = await serve(answer(200, PROJECT))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    client = vendor(server.url)
    assert (await client.project("p1")).credits == 75
    assert isinstance(await client.submit(REQUEST), Created)
    assert proxy.seen == []


async def test_a_proxy_that_refuses_the_tunnel_made_no_project(
    serve: Serve, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await serve(answer(407))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    got = await vendor("https://api.example").submit(REQUEST)
    assert isinstance(got, NotCreated)
    assert got.trouble.code == "proxy"
    assert [seen.method for seen in proxy.seen] == ["CONNECT"]
    assert KEY not in repr(proxy.seen)


@pytest.mark.parametrize(
    ("no_proxy", "asked"),
    [(None, True), ("api.invalid", False), (".invalid", False), ("*", False), ("other.x", True)],
)
async def test_which_requests_go_through_a_proxy(
    no_proxy: str | None, asked: bool, serve: Serve, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await serve(answer(407))
    monkeypatch.setenv("ALL_PROXY", proxy.url.removeprefix("http://"))
    if no_proxy is not None:
        monkeypatch.setenv("NO_PROXY", no_proxy)
    with pytest.raises(VendorTrouble):
        await vendor("https://api.invalid").account()
    assert bool(proxy.seen) == asked


@pytest.mark.parametrize(
    "proxy", ["socks5://user:SECRET@127.0.0.1:1", "gopher://127.0.0.1", "http://a:SECRET@h:port"]
)
def test_an_unusable_proxy_is_a_setting_error(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if proxy.startswith("socks"):
        monkeypatch.setitem(sys.modules, "socksio", None)  # as where the library for SOCKS isn't installed
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SettingError) as caught:
        MagicHour("https://api.example", KEY)
    assert "SECRET" not in caught.value.message


def test_missing_certificates_are_a_setting_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(SettingError, match="SSL_CERT_FILE"):
        MagicHour("https://api.example", KEY)


def test_certificates_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = httpx.create_ssl_context

    def counting() -> ssl.SSLContext:
        made.append(real())
        return made[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", counting)
    MagicHour("https://api.example", KEY)
    assert len(made) == 1


# --- What comes out -----------------------------------------------------------------------------------------


async def test_neither_key_nor_signature_gets_into_logs_or_words(
    serve: Serve, vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = await serve(answer(403, {"code": KEY, "message": f"bad key {KEY} for https://s.example/x?SIGNATURE=1"}))
    client = vendor(server.url)
    words = [repr(client), str(client), repr(vars(client)["_lines"])]
    words.append(repr(await client.submit(REQUEST)))
    slot, download = (
        UploadSlot(server.url + "/u?SIGNATURE=1", "f", 0.0),
        Download(server.url + "/d?SIGNATURE=1", None),
    )

    async def fetch() -> None:
        async with client.download(download):
            raise AssertionError("it is refused")

    for call in (client.account(), client.project("p1"), client.put(slot, _bytes(b"abc"), 3), fetch()):
        with pytest.raises(VendorTrouble) as caught:
            await call
        words.append(str(caught.value) + repr(caught.value.trouble))
    words += [repr(slot), repr(download), caplog.text]
    assert "bad key …" in "".join(words)
    for word in words:
        assert KEY not in word
        assert "SIGNATURE" not in word
    assert any("SIGNATURE" in seen.target for seen in server.seen)


async def test_answers_are_bounded(serve: Serve, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_ANSWER", 100_000)
    sent = 0

    async def endless(conn: Conn) -> None:
        nonlocal sent
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while sent < 200 * 1024 * 1024:
            await conn.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
            sent += 65536

    server = await serve(endless)
    with pytest.raises(VendorTrouble) as caught:
        await vendor(server.url).project("p1")
    assert caught.value.trouble.code == "too_large"
    assert sent < 50 * 1024 * 1024


async def test_endless_headers_are_bounded(serve: Serve, vendor: Vendor) -> None:
    async def endless(conn: Conn) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await conn.send(b"x-more: " + b"y" * 8000 + b"\r\n")

    server = await serve(endless)
    with pytest.raises(VendorTrouble) as caught:
        await vendor(server.url).project("p1")
    assert caught.value.trouble.code == "cut"


async def test_a_dripping_answer_ends_in_time(serve: Serve, vendor: Callable[..., MagicHour]) -> None:
    async def drip(conn: Conn) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while True:
            await conn.send(b" ")
            await asyncio.sleep(0.02)

    server = await serve(drip)
    client = vendor(server.url, timeouts=http.Timeouts(read=0.2, paid_read=0.2, whole=0.5))
    with anyio.fail_after(20):
        with pytest.raises(VendorTrouble) as caught:
            await client.project("p1")
        got = await client.submit(REQUEST)
    assert caught.value.trouble.code == "read_timeout"
    assert getattr(got, "code", None) == "read_timeout"


async def test_connections_are_reused_where_nothing_is_paid(serve: Serve, vendor: Vendor) -> None:
    server = await serve(always(answer(200, PROJECT)))
    client = vendor(server.url)
    for _ in range(10):
        await client.project("p1")
    assert server.connections == 1
