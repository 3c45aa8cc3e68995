"""Both tables of the verdict, row by row, and proof that neither has a hole."""

from __future__ import annotations

import json
import ssl
from typing import Any

import anyio
import httpx
import pytest

from batchsync.model.backoff import LONGEST_RETRY_AFTER
from batchsync.vendor import verdict
from batchsync.vendor.port import Created, Next, NotCreated, Unknown
from batchsync.vendor.wire import Answer, Unreadable

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def _answer(status: int, body: Any = b"", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


# --- Submissions by status ----------------------------------------------------------------------------------

REFUSALS = {
    400: Next.REFUSED,
    401: Next.FATAL,
    402: Next.BROKE,
    403: Next.REFUSED,
    404: Next.REFUSED,
    422: Next.REFUSED,
    429: Next.PACED,
    500: Next.AGAIN,
    502: Next.AGAIN,
    503: Next.AGAIN,
}


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad</html>", {"message": "no"}, {"code": "c1", "message": "no"}, {"id": None}]
)
def test_every_status_without_a_project_id(body: Any) -> None:
    for status in range(100, 1000):
        got = verdict.submission(_answer(status, body), NOW)
        if status in REFUSALS:
            assert isinstance(got, NotCreated), status
            assert got.trouble.status == status
            if status != 402:
                assert got.trouble.next is REFUSALS[status], status
        else:
            assert isinstance(got, Unknown), status
            assert got.code == ("garbage" if 200 <= status < 300 else f"http_{status}")


def test_a_project_id_means_created_whatever_the_status() -> None:
    for status in range(100, 1000):
        got = verdict.submission(_answer(status, {"id": "p1", "credits_charged": 75, "message": "odd"}), NOW)
        assert got == Created("p1", 75, status)


def test_a_malformed_id_is_unknown_whatever_the_status() -> None:
    for status in (200, 201, 302, *REFUSALS, 504):
        for bad in ("", "a b", 7, ["p1"]):
            got = verdict.submission(_answer(status, {"id": bad}), NOW)
            assert isinstance(got, Unknown), (status, bad)
            assert got.code == "garbage"


@pytest.mark.parametrize("fault", ["too_large", "encoded"])
def test_an_answer_that_could_not_be_had_whole_is_unknown_whatever_the_status(fault: str) -> None:
    for status in (200, 400, 500, 503):
        got = verdict.submission(Answer(status, {}, b"", fault=fault), NOW)
        assert isinstance(got, Unknown)
        assert got.code == "garbage"


@pytest.mark.parametrize(
    ("code", "step", "told"),
    [
        (None, Next.BROKE, "insufficient_credits"),
        ("insufficient_credits", Next.BROKE, "insufficient_credits"),
        ("subscription_required", Next.REFUSED, "subscription_required"),
        ("plan_upgrade_required", Next.REFUSED, "plan_upgrade_required"),
        ("something_new", Next.REFUSED, "something_new"),
    ],
)
def test_payment_required_is_about_credits_or_about_the_plan(code: str | None, step: Next, told: str) -> None:
    body = {"message": "pay"} if code is None else {"code": code, "message": "pay"}
    got = verdict.submission(_answer(402, body), NOW)
    assert isinstance(got, NotCreated)
    assert (got.trouble.next, got.trouble.code) == (step, told)
    assert got.trouble.message.endswith(": pay")


def test_a_refusal_has_the_vendors_code_and_words() -> None:
    got = verdict.submission(_answer(422, {"code": "bad_video", "message": "Too\x00 short"}), NOW)
    assert isinstance(got, NotCreated)
    assert got.trouble.code == "bad_video"
    assert got.trouble.message.startswith("The vendor answered 422 (")
    assert got.trouble.message.endswith("): Too short")


@pytest.mark.parametrize(
    ("message", "gone"),
    [
        ("assets.video_file_path: the file does not exist, or has expired", True),
        ("Uploaded asset not found", True),
        ("audio_file_path: file api-assets/x.mp3 is no longer available", True),
        ("Upload expired", True),
        ("not found", False),
        ("video_file_path: not a video file", False),
        ("Your trial has expired", False),
        (None, False),
    ],
)
@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_input_that_isnt_there_any_more_is_told_by_the_vendors_words(
    message: str | None, gone: bool, status: int
) -> None:
    got = verdict.submission(_answer(status, {} if message is None else {"message": message}), NOW)
    assert isinstance(got, NotCreated)
    assert got.trouble.next is (Next.GONE if gone else Next.REFUSED)
    assert got.trouble.code == verdict.STATUSES[status].code


def test_when_to_come_back() -> None:
    def wait(status: int, **headers: str) -> float | None:
        got = verdict.submission(_answer(status, **headers), NOW)
        assert isinstance(got, NotCreated)
        return got.trouble.retry_after

    assert wait(429) is None
    assert wait(429, retry_after="7") == 7.0
    assert wait(503, retry_after="Thu, 01 Jan 2026 00:01:00 GMT") == 60.0
    assert wait(502) == verdict.BAD_GATEWAY_SECONDS
    assert wait(502, retry_after="2") == 2.0
    assert wait(502, retry_after="soon") == verdict.BAD_GATEWAY_SECONDS


# --- Other requests by status -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (301, Next.GARBAGE),
        (400, Next.REFUSED),
        (401, Next.FATAL),
        (402, Next.BROKE),
        (403, Next.REFUSED),
        (404, Next.GONE),
        (408, Next.AGAIN),
        (410, Next.GONE),
        (418, Next.REFUSED),
        (422, Next.REFUSED),
        (425, Next.AGAIN),
        (429, Next.PACED),
        (500, Next.AGAIN),
        (502, Next.AGAIN),
        (503, Next.AGAIN),
        (504, Next.AGAIN),
        (520, Next.AGAIN),
        (999, Next.AGAIN),
    ],
)
def test_other_api_requests(status: int, step: Next) -> None:
    trouble = verdict.failure(_answer(status, {"message": "why"}), NOW)
    assert (trouble.next, trouble.status) == (step, status)
    assert trouble.message.endswith(": why")


@pytest.mark.parametrize("status", [404, 410])
def test_a_proxys_page_says_nothing_of_what_is_at_the_vendor(status: int) -> None:
    assert verdict.failure(_answer(status, b"\n<html>Not found</html>"), NOW).next is Next.AGAIN
    for body in (b"", b"Not found", {"detail": "no such project"}):
        assert verdict.failure(_answer(status, body), NOW).next is Next.GONE


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (302, Next.GARBAGE),
        (400, Next.GONE),
        (401, Next.GONE),
        (403, Next.GONE),
        (404, Next.GONE),
        (410, Next.GONE),
        (411, Next.REFUSED),
        (413, Next.REFUSED),
        (416, Next.GONE),
        (429, Next.AGAIN),
        (500, Next.AGAIN),
        (503, Next.AGAIN),
        (504, Next.AGAIN),
    ],
)
def test_the_storage(status: int, step: Next) -> None:
    trouble = verdict.storage_failure(status, {"retry-after": "3"}, NOW)
    assert (trouble.next, trouble.status, trouble.retry_after) == (step, status, 3.0)


def test_messages_are_short_and_printable() -> None:
    body = {"message": "\x1b]0;" + "x" * 10_000}
    assert len(verdict.failure(_answer(500, body), NOW).message) == 300
    assert verdict.failure(_answer(500, body), NOW).message.isprintable()


# --- Exceptions ---------------------------------------------------------------------------------------------

UNSENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "InvalidURL"}
MAYBE_SENT = {
    "ReadTimeout",
    "WriteTimeout",
    "ReadError",
    "WriteError",
    "CloseError",
    "RemoteProtocolError",
    "LocalProtocolError",
    "DecodingError",
    "TooManyRedirects",
    # bases, and what is a fault of the caller
    "HTTPError",
    "RequestError",
    "TransportError",
    "TimeoutException",
    "NetworkError",
    "ProtocolError",
    "HTTPStatusError",
    "CookieConflict",
    "StreamError",
    "StreamConsumed",
    "StreamClosed",
    "ResponseNotRead",
    "RequestNotRead",
}


def _httpx_exceptions() -> dict[str, type[Exception]]:
    public = {name: getattr(httpx, name) for name in httpx.__all__}
    return {
        name: kind
        for name, kind in public.items()
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning)
    }


def _make(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    error.args = ("SECRET-HEADER",)
    return error


def test_every_exception_of_httpx_was_thought_of() -> None:
    assert set(_httpx_exceptions()) == UNSENT | MAYBE_SENT
    for kind in verdict.EXCEPTIONS:
        assert kind is TimeoutError or kind.__name__ in _httpx_exceptions()


def test_only_what_never_left_is_not_created() -> None:
    for name, kind in _httpx_exceptions().items():
        got = verdict.submission_failed(_make(kind))
        assert isinstance(got, NotCreated if name in UNSENT else Unknown), name


def test_a_new_subclass_is_unknown_until_it_is_looked_at() -> None:
    for name in UNSENT:
        kind = type("Newcomer", (_httpx_exceptions()[name],), {})
        assert isinstance(verdict.submission_failed(_make(kind)), Unknown)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx.ReadTimeout(""), "read_timeout"),
        (TimeoutError(), "read_timeout"),
        (httpx.WriteTimeout(""), "write_timeout"),
        (httpx.ReadError(""), "cut"),
        (httpx.WriteError(""), "cut"),
        (httpx.RemoteProtocolError(""), "cut"),
        (ssl.SSLError(), "cut"),
        (ConnectionResetError(), "cut"),
        (anyio.EndOfStream(), "cut"),
        (httpx.DecodingError(""), "garbage"),
        (RuntimeError("SECRET"), "unexpected"),
        (UnicodeError("SECRET"), "unexpected"),
        (ExceptionGroup("SECRET", [OSError()]), "unexpected"),
    ],
)
def test_unknown_has_a_code(error: Exception, code: str) -> None:
    got = verdict.submission_failed(error)
    assert isinstance(got, Unknown)
    assert got.code == code
    assert "SECRET" not in got.message


def test_only_words_about_the_network_are_quoted() -> None:
    for name, kind in _httpx_exceptions().items():
        quoted = "SECRET-HEADER" in verdict.failed(_make(kind)).message
        assert quoted == (name in {"ConnectError", "ProxyError"}), name


@pytest.mark.parametrize(
    ("error", "step", "code"),
    [
        (httpx.ConnectError("refused"), Next.AGAIN, "unreachable"),
        (httpx.ConnectTimeout(""), Next.AGAIN, "unreachable"),
        (httpx.ReadTimeout(""), Next.AGAIN, "read_timeout"),
        (httpx.RemoteProtocolError(""), Next.AGAIN, "cut"),
        (ssl.SSLError(), Next.AGAIN, "cut"),
        (httpx.ProxyError("407"), Next.AGAIN, "proxy"),
        (httpx.InvalidURL(""), Next.GARBAGE, "bad_url"),
        (httpx.TooManyRedirects(""), Next.GARBAGE, "garbage"),
    ],
)
def test_other_requests_that_break(error: Exception, step: Next, code: str) -> None:
    trouble = verdict.failed(error)
    assert (trouble.next, trouble.code) == (step, code)


def test_an_unreadable_answer_is_garbage() -> None:
    trouble = verdict.unreadable(Unreadable("not_json", "it is not JSON"), 200)
    assert (trouble.next, trouble.code, trouble.status) == (Next.GARBAGE, "not_json", 200)


# --- Retry-After --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("1.5", 1.5),
        (" 12 ", 12.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 00:00:30 -0000", 30.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("900", LONGEST_RETRY_AFTER),
        ("901", None),
        ("86400", None),
        ("999999999999", None),
        ("Thu, 01 Jan 2099 00:00:00 GMT", None),
        ("", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("١٢", None),
        ("9" * 400, None),
        ("5, 7", None),
        ("soon", None),
        ("Thu, 99 Foo 2026 00:00:00 GMT", None),
        ("Thu, 01 Jan 0000 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert verdict.retry_after({"retry-after": text}, NOW) == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Wed, 31 Dec 2025 22:00:10 GMT", 20.0),  # its clock is two hours late
        ("Thu, 01 Jan 2026 05:00:00 GMT", 0.0),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_date_is_one_of_the_vendors_own_clock(date: str, seconds: float | None) -> None:
    wish = {"retry-after": "Wed, 31 Dec 2025 22:00:30 GMT"}
    mine = verdict.retry_after(wish, NOW)
    assert mine == 0.0
    assert verdict.retry_after(wish | {"date": date}, NOW) == (mine if seconds is None else seconds)


def test_no_retry_after() -> None:
    assert verdict.retry_after({}, NOW) is None
