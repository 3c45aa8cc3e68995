"""The requests that cost nothing: account, upload URLs, projects."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from unit.vendor.conftest import KEY, Conn, Serve, answer

from batchsync.errors import SettingError
from batchsync.vendor import API_URL
from batchsync.vendor.magichour import MagicHour
from batchsync.vendor.port import Next, VendorTrouble

Vendor = Callable[[str], MagicHour]


async def _trouble(call: Any) -> tuple[Next, str]:
    with pytest.raises(VendorTrouble) as caught:
        await call
    assert KEY not in str(caught.value)
    return caught.value.trouble.next, caught.value.trouble.code


def test_what_it_is_made_of() -> None:
    assert repr(MagicHour(API_URL, KEY)) == "MagicHour('https://api.magichour.ai')"
    with pytest.raises(SettingError):
        MagicHour("http://api.magichour.ai", KEY)
    with pytest.raises(SettingError):
        MagicHour(API_URL, "two words")


async def test_account(serve: Serve, vendor: Vendor) -> None:
    server = await serve(
        answer(200, {"id": "u1", "email": None, "tier": "pro", "credits": 12500, "subscription": None})
    )
    account = await vendor(server.url).account()
    assert (account.id, account.tier, account.credits) == ("u1", "pro", 12500)
    assert (server.seen[0].method, server.seen[0].target) == ("GET", "/v1/account")


async def test_upload_slots_keep_their_order(serve: Serve, vendor: Vendor) -> None:
    async def handle(conn: Conn) -> None:
        seen = await conn.request()
        asked = seen.json()["items"]
        items = [
            {
                "upload_url": f"https://s.example/{item['type']}.{item['extension']}?sig=1",
                "expires_at": "2026-01-01T00:00:00Z",
                "file_path": f"api-assets/{item['type']}.{item['extension']}",
            }
            for item in asked
        ]
        await conn.send(answer(200, {"items": items}))

    server = await serve(handle)
    slots = await vendor(server.url).upload_slots([("video", "MP4"), ("audio", "wav")])
    assert [slot.file_path for slot in slots] == ["api-assets/video.mp4", "api-assets/audio.wav"]
    assert slots[0].expires_at == 1767225600.0
    assert server.seen[0].json() == {
        "items": [{"type": "video", "extension": "mp4"}, {"type": "audio", "extension": "wav"}]
    }
    assert await vendor(server.url).upload_slots([]) == []
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"upload_url": "http://s.example/u?SIGNATURE=1"}, "bad_url"),
        ({"upload_url": "file:///etc/passwd"}, "bad_url"),
        ({"upload_url": "/relative"}, "bad_url"),
        ({"upload_url": None}, "not_promised"),
        ({"file_path": ""}, "not_promised"),
        ({"file_path": "a\nb"}, "not_promised"),
    ],
)
async def test_odd_upload_slots(change: dict[str, Any], code: str, serve: Serve, vendor: Vendor) -> None:
    item = {"upload_url": "https://s.example/u", "expires_at": "2026-01-01T00:00:00Z", "file_path": "f"}
    server = await serve(answer(200, {"items": [item | change]}))
    assert await _trouble(vendor(server.url).upload_slots([("video", "mp4")])) == (Next.GARBAGE, code)


async def test_project(serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(200, {"id": "p-1_X", "status": "rendering", "credits_charged": 75}))
    project = await vendor(server.url).project("p-1_X")
    assert (project.status, project.credits) == ("rendering", 75)
    assert server.seen[0].target == "/v1/video-projects/p-1_X"


@pytest.mark.parametrize("bad", ["", "../account", "a/b", "a?b=c", "a b", "a\r\nx: y", "é", "x" * 129])
async def test_what_is_no_id_is_never_asked_for(bad: str, serve: Serve, vendor: Vendor) -> None:
    server = await serve(answer(200))
    assert await _trouble(vendor(server.url).project(bad)) == (Next.REFUSED, "bad_project_id")
    assert server.connections == 0


@pytest.mark.parametrize(
    ("data", "step", "code"),
    [
        (answer(401, {"message": "no"}), Next.FATAL, "unauthorized"),
        (answer(404, {"code": "not_found", "message": "no"}), Next.GONE, "not_found"),
        (answer(422, {"code": "odd", "message": "no"}), Next.REFUSED, "odd"),
        (answer(429), Next.PACED, "rate_limited"),
        (answer(502, b"<html>"), Next.AGAIN, "http_502"),
        (answer(503, b"\x1f\x8b", content_encoding="gzip"), Next.AGAIN, "http_503"),
        (answer(200, b"<html>"), Next.GARBAGE, "not_json"),
        (answer(200, b""), Next.GARBAGE, "not_json"),
        (answer(200, b"{}"), Next.GARBAGE, "not_promised"),
        (answer(200, b"{}", content_encoding="br"), Next.GARBAGE, "encoded"),
        (answer(200, {"id": "p2", "status": "queued"}), Next.GARBAGE, "wrong_project"),
        (b"HTTP/1.1 204 X\r\n\r\n", Next.GARBAGE, "not_json"),
        (answer(302, location="/x"), Next.GARBAGE, "http_302"),
        (answer(200, b"{}")[:-1], Next.AGAIN, "read_timeout"),
        (b"junk\r\n\r\n", Next.AGAIN, "cut"),
    ],
)
async def test_a_poll_without_a_usable_answer(
    data: bytes, step: Next, code: str, serve: Serve, vendor: Vendor
) -> None:
    server = await serve(data)
    assert await _trouble(vendor(server.url).project("p1")) == (step, code)
    assert len(server.seen) == 1


async def test_a_closed_port(vendor: Vendor) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        client = vendor(f"http://127.0.0.1:{sock.getsockname()[1]}")
        assert await _trouble(client.account()) == (Next.AGAIN, "unreachable")
