"""What is taken from the vendor's JSON, and what is left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchsync.vendor import wire
from batchsync.vendor.port import Download


def _answer(body: Any, status: int = 200, hide: str = "") -> wire.Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return wire.Answer(status, {}, raw, hide)


@pytest.mark.parametrize("good", ["a", "clx0Y_-9", "x" * 128])
def test_project_ids(good: str) -> None:
    assert wire.is_project_id(good)


@pytest.mark.parametrize(
    "bad", ["", "x" * 129, "a b", "a\n", "../account", "a/b", "a?b", "ａ", "é", None, 1, True, ["a"], {"a": 1}, b"a"]
)
def test_what_is_no_project_id(bad: object) -> None:
    assert not wire.is_project_id(bad)


def test_words_are_one_short_printable_line() -> None:
    assert wire.clean("a\x1b[31m\r\nb\u202ec\ud800") == "a [31m b c"
    assert len(wire.clean("x" * 5_000_000)) == wire.LONGEST_WORDS
    assert wire.clean("see https://s.example/v.mp4?X-Amz-Signature=abc#f now") == "see https://s.example/v.mp4 now"
    assert wire.clean("no /v.mp4?a=1&X-Amz-Signature=abc here") == "no /v.mp4 here"
    assert wire.clean("bad x-amz-signature=abc&a=1 here, what? a=b") == "bad x-amz- here, what? a=b"
    for flood in ("http://", "token", "?", "=", "signature-"):
        assert wire.clean(flood * 500_000)  # and it doesn't take minutes


def test_no_piece_of_a_key_is_left_where_words_are_cut() -> None:
    key = "mhk-0123456789abcdef"
    for length in range(wire.LONGEST_WORDS - 30, wire.LONGEST_WORDS + 1):
        assert "mhk" not in wire.clean("x" * length + key, hide=key)
    for length in range(10 * wire.LONGEST_WORDS - 30, 10 * wire.LONGEST_WORDS + 1):
        assert "mhk" not in wire.clean(" " * length + key, hide=key)


def test_what_a_failure_says() -> None:
    assert wire.said(_answer({"code": "a_b", "message": "no\n"})) == wire.Said("a_b", "no")
    assert wire.said(_answer({"message": "no"})) == wire.Said(None, "no")
    assert wire.said(_answer({"code": 1, "message": ["x"]})) == wire.Said(None, None)
    assert wire.said(_answer({"code": "k3y!", "message": ""})) == wire.Said(None, None)
    assert wire.said(_answer(b"<html>")) == wire.Said(None, None)
    assert wire.said(_answer({"code": "thekey", "message": "bad thekey"}, hide="thekey")) == wire.Said(None, "bad …")


GARBAGE = [b"", b"<html>", b"[]", b"null", b'"x"', b"[" * 100_000, b"\xff\xfe", b"1" * 5000]


@pytest.mark.parametrize("body", GARBAGE)
def test_garbage_has_no_receipt_and_no_project(body: bytes) -> None:
    assert wire.receipt(_answer(body)) is None
    with pytest.raises(wire.Unreadable):
        wire.project(_answer(body), "p1")
    with pytest.raises(wire.Unreadable):
        wire.account(_answer(body))


def test_a_receipt_is_found_in_whatever_surrounds_it() -> None:
    assert wire.receipt(_answer({"id": "p1", "credits_charged": 75})) == wire.Receipt("p1", 75)
    assert wire.receipt(_answer({"id": "p1", "estimated_frame_cost": 75})) == wire.Receipt("p1", 75)
    assert wire.receipt(_answer({"id": "p1"}, status=500)) == wire.Receipt("p1", None)
    assert wire.receipt(_answer(b'\xef\xbb\xbf{"name": "\xff", "id": "p1"}')) == wire.Receipt("p1", None)
    assert wire.receipt(_answer({"id": None})) is None


@pytest.mark.parametrize("body", [{"id": ""}, {"id": 7}, {"id": "a b"}, {"id": ["p1"]}, {"id": False}])
def test_a_malformed_id_is_not_none(body: Any) -> None:
    with pytest.raises(wire.Unreadable):
        wire.receipt(_answer(body, status=500))


def test_broken_json_that_speaks_of_an_id_is_not_none() -> None:
    with pytest.raises(wire.Unreadable):
        wire.receipt(_answer(b' {"message": "x", "id": "p', status=500))
    assert wire.receipt(_answer(b'{"message": "x', status=500)) is None


@pytest.mark.parametrize("odd", [True, False, -1, 1.0, 1.5, "75", 2**53 + 1, None, [], {}])
def test_odd_credits_are_not_stated(odd: object) -> None:
    assert wire.credits_of(odd) is None
    project = wire.project(_answer({"id": "p1", "status": "queued", "credits_charged": odd}), "p1")
    assert project.credits is None


def test_credits_fall_back_to_the_deprecated_field() -> None:
    body = {"id": "p1", "status": "complete", "total_frame_cost": 60}
    assert wire.project(_answer(body), "p1").credits == 60
    assert wire.project(_answer(body | {"credits_charged": 0}), "p1").credits == 0


def test_the_least_and_the_most_of_a_project() -> None:
    bare = wire.project(_answer({"id": "p1", "status": "draft"}), "p1")
    assert (bare.credits, bare.fps, bare.enabled, bare.error_code, bare.downloads) == (None, None, True, None, ())
    body = {
        "id": "p1",
        "status": "error",
        "credits_charged": 12,
        "fps": 29.97,
        "enabled": False,
        "error": {"code": "no_source_face", "message": "No\x07 face", "more": 1},
        "downloads": [{"url": "https://s.example/a?x=1", "expires_at": "2026-01-01T00:00:00.5Z", "size": 1}],
        "download": {"url": "https://old.example/", "expires_at": "x"},
        "surprise": {},
    }
    full = wire.project(_answer(body), "p1")
    assert (full.credits, full.fps, full.enabled) == (12, 29.97, False)
    assert (full.error_code, full.error_message) == ("no_source_face", "No face")
    assert full.downloads == (Download("https://s.example/a?x=1", 1767225600.5),)
    assert "x=1" not in repr(full)


@pytest.mark.parametrize(
    ("change", "downloads"),
    [
        ({"downloads": None}, 0),
        ({"downloads": []}, 0),
        ({"downloads": None, "download": None}, 0),
        ({"downloads": None, "download": ""}, 0),
        ({"downloads": None, "download": {"url": 1}}, 0),
        ({"downloads": None, "download": {"url": "https://s.example/o"}}, 1),
        ({"downloads": [{"url": "https://s.example/a", "expires_at": None}, {"url": "https://s.example/b"}]}, 2),
    ],
)
def test_downloads(change: dict[str, Any], downloads: int) -> None:
    assert len(wire.project(_answer({"id": "p1", "status": "complete"} | change), "p1").downloads) == downloads


@pytest.mark.parametrize("when", ["soon", "", 1767225600, None, "2026-13-01T00:00:00Z", "99999-01-01"])
def test_an_unreadable_expiry_is_not_stated(when: object) -> None:
    body = {"id": "p1", "status": "complete", "downloads": [{"url": "https://s.example/a", "expires_at": when}]}
    assert wire.project(_answer(body), "p1").downloads[0].expires_at is None


@pytest.mark.parametrize("error", [None, "words", {"message": "words"}, {"code": "c", "message": "words"}, 5, []])
def test_errors_of_every_shape(error: object) -> None:
    got = wire.project(_answer({"id": "p1", "status": "error", "error": error}), "p1")
    assert got.error_message in (None, "words")
    assert (got.error_message is None) == (error in (None, 5, []))


@pytest.mark.parametrize("fps", [0, -1, "30", True, float("nan"), float("inf"), 10**400])
def test_an_odd_frame_rate_is_not_stated(fps: object) -> None:
    assert wire.project(_answer({"id": "p1", "status": "queued", "fps": fps}), "p1").fps is None


@pytest.mark.parametrize(
    "body",
    [
        {"status": "queued"},
        {"id": "p1"},
        {"id": "p2", "status": "queued"},
        {"id": "p1", "status": "paused"},
        {"id": "p1", "status": None},
        {"id": "p1", "status": "queued", "enabled": "no"},
        {"id": "p1", "status": "queued", "downloads": {}},
        {"id": "p1", "status": "queued", "downloads": [{"url": "https://s.example/\nx"}]},
        {"id": "p1", "status": "queued", "downloads": [{"expires_at": "x"}]},
    ],
)
def test_a_project_that_is_not_what_was_promised(body: dict[str, Any]) -> None:
    with pytest.raises(wire.Unreadable):
        wire.project(_answer(body), "p1")


def test_what_is_unreadable_is_told_without_the_vendors_text() -> None:
    with pytest.raises(wire.Unreadable) as caught:
        wire.project(_answer({"id": "p1", "status": "\x1b[31mSECRET"}), "p1")
    assert "status" in caught.value.words
    assert "SECRET" not in str(caught.value)


def test_slots_come_in_order_and_in_number() -> None:
    item = {"upload_url": "https://s.example/u?sig=1", "file_path": "api-assets/1", "expires_at": "x"}
    (slot,) = wire.slots(_answer({"items": [item]}), 1, now=100.0)
    assert (slot.file_path, slot.expires_at) == ("api-assets/1", 100.0 + wire.UNSTATED_SLOT_SECONDS)
    for items in ([], [item, item], [item | {"file_path": ""}], [item | {"file_path": "a\x00"}], None):
        with pytest.raises(wire.Unreadable):
            wire.slots(_answer({"items": items}), 1, now=100.0)


def test_an_account_says_what_it_can() -> None:
    account = wire.account(_answer({"id": "u1", "tier": "pro", "credits": 12500, "subscription": None}))
    assert (account.id, account.tier, account.credits) == ("u1", "pro", 12500)
    assert wire.account(_answer({"credits": "many"})).credits is None
