"""What a failed or odd answer means: the one place that decides it. Pure; two tables, statuses and exceptions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import anyio
import httpx

from batchsync.model.backoff import LONGEST_RETRY_AFTER
from batchsync.vendor import wire
from batchsync.vendor.port import Created, Next, NotCreated, Submitted, Trouble, Unknown

# The vendor asks for 30–60 s after a 502 before a submission is sent again; its own Retry-After goes before that.
BAD_GATEWAY_SECONDS = 30.0

# A submission is refused for an input that the vendor hasn't got: it has no code for that, so its words have to do.
_INPUT = re.compile(r"\b(asset|file|upload)", re.IGNORECASE)
_ISNT_THERE = re.compile(r"not found|not exist|n't exist|no such|no longer|expired", re.IGNORECASE)

# --- By status ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """What a status without a project id means: for a submission (None: unknown), other API calls, storage.

    `why` is the reason for the verdict on a submission, the one that is about money.
    """

    code: str
    submission: Next | None
    api: Next
    storage: Next
    why: str


_SAID_NO = "the vendor read it and said no before it made anything"
_NO_PROMISE = "nobody promises that nothing was made before that answer"

STATUSES: dict[int, Rule] = {
    # Some storages say 400 to an expired URL.
    400: Rule("invalid_request", Next.REFUSED, Next.REFUSED, Next.GONE, _SAID_NO),
    401: Rule("unauthorized", Next.FATAL, Next.FATAL, Next.GONE, "without a good key nothing is made"),
    402: Rule("insufficient_credits", Next.BROKE, Next.BROKE, Next.REFUSED, "what can't be paid isn't made"),
    403: Rule("forbidden", Next.REFUSED, Next.REFUSED, Next.GONE, _SAID_NO),
    404: Rule("not_found", Next.REFUSED, Next.GONE, Next.GONE, _SAID_NO),
    408: Rule("http_408", None, Next.AGAIN, Next.AGAIN, _NO_PROMISE),
    410: Rule("gone", None, Next.GONE, Next.GONE, _NO_PROMISE),
    413: Rule("too_large", None, Next.REFUSED, Next.REFUSED, _NO_PROMISE),
    416: Rule("range_not_satisfiable", None, Next.REFUSED, Next.GONE, _NO_PROMISE),
    422: Rule("unprocessable_entity", Next.REFUSED, Next.REFUSED, Next.REFUSED, _SAID_NO),
    425: Rule("http_425", None, Next.AGAIN, Next.AGAIN, _NO_PROMISE),
    429: Rule("rate_limited", Next.PACED, Next.PACED, Next.AGAIN, "it was turned away at the door"),
    500: Rule("http_500", Next.AGAIN, Next.AGAIN, Next.AGAIN, "the vendor says: try again after seconds"),
    502: Rule("http_502", Next.AGAIN, Next.AGAIN, Next.AGAIN, "the vendor says: without an id no job was made"),
    503: Rule("http_503", Next.AGAIN, Next.AGAIN, Next.AGAIN, "overloaded: it was turned away at the door"),
    504: Rule("http_504", None, Next.AGAIN, Next.AGAIN, "a gateway gave up waiting, and the vendor may have gone on"),
}


def rule_of(status: int) -> Rule:
    """The row of `status`; those without one are unknown for a submission."""
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        rest = Next.AGAIN
    elif status >= 400:
        rest = Next.REFUSED
    else:
        rest = Next.GARBAGE
    return Rule(f"http_{status}", None, rest, rest, _NO_PROMISE)


def submission(answer: wire.Answer, now: float) -> Submitted:
    """What an answer to `POST /v1/lip-sync` means. `now` in epoch seconds, for a Retry-After that is a date."""
    try:
        receipt = wire.receipt(answer)
    except wire.Unreadable as fault:
        return Unknown("garbage", _unknown(f"The vendor's answer can't be read: {fault.words}"), answer.status)
    if receipt is not None:
        return Created(receipt.project_id, receipt.credits, answer.status)
    rule = rule_of(answer.status)
    if rule.submission is None:
        # Of 4xx and 5xx the status is the news; of a success, that there is no id in it.
        code = "garbage" if answer.ok else f"http_{answer.status}"
        why = "a success should name the project it made" if answer.ok else rule.why
        what = f"{_answered('vendor', answer.status)} without a project id ({why})"
        return Unknown(code, _unknown(what), answer.status)
    trouble = _trouble(rule, rule.submission, answer, now)
    if answer.status == HTTPStatus.BAD_GATEWAY and trouble.retry_after is None:
        trouble = replace(trouble, retry_after=BAD_GATEWAY_SECONDS)
    words = wire.said(answer).message or ""
    if trouble.next is Next.REFUSED and _INPUT.search(words) and _ISNT_THERE.search(words):
        trouble = replace(trouble, next=Next.GONE)
    return NotCreated(trouble)


def failure(answer: wire.Answer, now: float) -> Trouble:
    """What an answer without success to any other API request means."""
    rule = rule_of(answer.status)
    # A page instead of JSON is a proxy's word: it knows nothing of what is at the vendor and what isn't.
    step = Next.AGAIN if rule.api is Next.GONE and wire.is_page(answer) else rule.api
    return _trouble(rule, step, answer, now)


def storage_failure(status: int, headers: Mapping[str, str], now: float) -> Trouble:
    """What a status of the storage means. Its words aren't quoted: they may hold the signature of the URL."""
    rule = rule_of(status)
    return Trouble(rule.storage, rule.code, _answered("storage", status), retry_after(headers, now), status)


def unreadable(fault: wire.Unreadable, status: int) -> Trouble:
    """What an answer that can't be used means, for all but a submission."""
    return Trouble(Next.GARBAGE, fault.code, f"The vendor's answer can't be used: {fault.words}", status=status)


def _trouble(rule: Rule, step: Next, answer: wire.Answer, now: float) -> Trouble:
    said = wire.said(answer)
    code = rule.code
    if step is Next.BROKE and said.code not in (None, "insufficient_credits"):
        step = Next.REFUSED  # not the credits but the plan: of this job alone
    if step is Next.REFUSED and said.code:
        code = said.code
    message = _answered("vendor", answer.status) + (f": {said.message}" if said.message else "")
    return Trouble(step, code, wire.clean(message), retry_after(answer.headers, now), answer.status)


def _answered(who: str, status: int) -> str:
    try:
        phrase = f" ({HTTPStatus(status).phrase})"
    except ValueError:
        phrase = ""
    return f"The {who} answered {status}{phrase}"


def _unknown(what: str) -> str:
    return f"{what}; whether a project was made can't be known"


# --- By exception -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Break:
    """How a request broke. `unsent`: it is certain that nothing of it reached the vendor, and `why`.

    `quotable`: the exception's own text is about the network only, and helps.
    """

    next: Next
    code: str
    message: str
    why: str
    unsent: bool = False
    quotable: bool = False


_LEFT = "it had left, and the vendor may have acted on it"
_NO_LINE = "there was no connection on which it could have left"
_CUT = Break(Next.AGAIN, "cut", "The connection was cut before the whole answer was here", _LEFT)
_STALLED = Break(Next.AGAIN, "read_timeout", "No answer came in time", _LEFT)
_BAD_URL = Break(Next.GARBAGE, "bad_url", "The address can't be used", _NO_LINE, unsent=True)
_ODD = Break(Next.GARBAGE, "garbage", "The answer breaks the rules of HTTP", _LEFT)
OTHER = Break(Next.AGAIN, "cut", "The request broke off", _LEFT)

# By the exact class: a new subclass of any of these must be looked at before it may count as unsent.
EXCEPTIONS: dict[type[Exception], Break] = {
    httpx.ConnectError: Break(
        Next.AGAIN, "unreachable", "No connection could be made", _NO_LINE, unsent=True, quotable=True
    ),
    httpx.ConnectTimeout: Break(
        Next.AGAIN, "unreachable", "No connection could be made in time", _NO_LINE, unsent=True
    ),
    httpx.PoolTimeout: Break(Next.AGAIN, "busy", "No connection became free in time", _NO_LINE, unsent=True),
    httpx.ProxyError: Break(
        Next.AGAIN,
        "proxy",
        "The proxy refused the connection",
        "a proxy refuses before there is a tunnel to the vendor",
        unsent=True,
        quotable=True,
    ),
    httpx.UnsupportedProtocol: _BAD_URL,
    httpx.InvalidURL: _BAD_URL,
    httpx.ReadTimeout: _STALLED,
    TimeoutError: _STALLED,
    httpx.WriteTimeout: Break(
        Next.AGAIN, "write_timeout", "The request could not be sent in time", "a part of it had left, perhaps all"
    ),
    httpx.ReadError: _CUT,
    httpx.WriteError: _CUT,
    httpx.CloseError: _CUT,
    httpx.RemoteProtocolError: _CUT,
    httpx.DecodingError: _ODD,
    httpx.TooManyRedirects: _ODD,
    httpx.LocalProtocolError: Break(
        Next.GARBAGE,
        "bad_request",
        "The request could not be put into HTTP",
        "today it is raised before anything is written; no documentation promises that",
    ),
}

# What the network can do to a request. Anything else is a fault of this program and isn't caught.
NETWORK: tuple[type[Exception], ...] = (
    httpx.HTTPError,
    httpx.InvalidURL,
    OSError,  # with TimeoutError, and ssl.SSLError, which httpx lets through while it reads
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)


def submission_failed(error: Exception) -> Submitted:
    """What an exception during `POST /v1/lip-sync` means."""
    broke = EXCEPTIONS.get(type(error))
    if broke is not None and broke.unsent:
        step = Next.AGAIN if broke.next is Next.AGAIN else Next.REFUSED
        return NotCreated(Trouble(step, broke.code, _told(broke, error)))
    if broke is None:
        code = "cut" if isinstance(error, NETWORK) else "unexpected"
        return Unknown(code, _unknown(f"The request broke off ({type(error).__name__})"))
    return Unknown(broke.code, _unknown(broke.message))


def failed(error: Exception) -> Trouble:
    """What an exception during any other request means."""
    broke = EXCEPTIONS.get(type(error), OTHER)
    return Trouble(broke.next, broke.code, _told(broke, error))


def _told(broke: Break, error: Exception) -> str:
    detail = wire.clean(str(error), limit=200) if broke.quotable else ""
    return f"{broke.message}: {detail}" if detail else broke.message


# --- When ---------------------------------------------------------------------------------------------------

_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by `Retry-After`: seconds, or a date by the vendor's own clock where it tells its time.

    None where there is none, where it can't be read, and where it is absurd: more than a quarter of an hour.
    0 for a date that has passed.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        wait = float(text)
    else:
        when, its_now = _seconds(text), _seconds(headers.get("date", ""))
        if when is None:
            return None
        wait = max(0.0, when - (now if its_now is None else its_now))
    return wait if wait <= LONGEST_RETRY_AFTER else None


def _seconds(date: str) -> float | None:
    """A date of HTTP in epoch seconds; None where it isn't one."""
    try:
        when = parsedate_to_datetime(date)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
