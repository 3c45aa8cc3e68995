"""One operation of the simulated vendor as an ASGI app: count, admit, draw a fault, do it, answer (or not)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Literal, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from batchsync.sandbox.answers import http_date, page, refused, refused_by_storage
from batchsync.sandbox.breakage import ENDINGS, NoLength, Partly, Silent, Unmarked, WrongLength, gone
from batchsync.sandbox.delivery import FileAnswer
from batchsync.sandbox.faults import Fault
from batchsync.sandbox.front import Front
from batchsync.sandbox.refusal import Refusal

Answer = Response | FileAnswer
Handler = Callable[[Front, Request], Awaitable[Answer]]
Broken = tuple[str, ASGIApp]  # the outcome to count, and what to answer

PLAYED_ALONG = ("expired_url", "no_range", "replaced", "redirect")  # the handlers' own to do
ABSURD_SECONDS = 99_999_999
DATE_SECONDS = 2.0
CODES = {
    400: "invalid_request",
    401: "unauthorized",
    402: "insufficient_credits",
    403: "forbidden",
    404: "not_found",
    422: "unprocessable_entity",
    429: "too_many_requests",
    500: "internal_server_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}


class Operation:
    """`handler`, guarded and counted as `name`. Raises nothing: every request ends in an answer or a cut."""

    def __init__(
        self, front: Front, name: str, handler: Handler, origin: Literal["api", "uploads", "downloads"]
    ) -> None:
        self._front = front
        self._name = name
        self._handler = handler
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._front.began(self._name)
        try:
            outcome, answer = await self._outcome(Request(scope, receive))
            self._front.count(self._name, outcome)
            await answer(scope, receive, send)
        finally:
            self._front.ended(self._name)

    async def _outcome(self, request: Request) -> Broken:
        try:
            self._admit(request)
            # Uploads are the only bodies that may be large; they are read by their handler, as they arrive.
            body = b"" if request.method == "PUT" else await request.body()
            subject = f"{request.url.path} {body.decode(errors='replace')}"
            request.state.fault = fault = self._front.faults.draw(self._name, subject)
            if fault is None or fault.kind in PLAYED_ALONG:
                return _plain(await self._handler(self._front, request))
            return await self._broken(fault, request)
        except Refusal as refusal:
            answer = refused(refusal) if self._origin == "api" else refused_by_storage(refusal)
            return str(refusal.status), answer
        except ClientDisconnect:
            return "gone", Silent(gone)

    def _admit(self, request: Request) -> None:
        if self._origin == "api":
            self._front.check_key(request)
            self._front.limiter.admit()
        else:
            self._front.check_no_key(request, self._origin)

    async def _broken(self, fault: Fault, request: Request) -> Broken:
        match fault.kind:
            case "status" | "rate_limit" | "html" | "stall" | "cut_before" | "cut_after":
                return await self._unanswered(fault, request)
            case "slow":
                await self._front.pause(fault.seconds)
                if self._front.closing.is_set():
                    return "cut", Silent(ENDINGS["reset"])
                return _plain(await self._handler(self._front, request))
            case "cut_body" if request.method == "PUT":
                await _read_part(request, fault)
                return "cut", Silent(ENDINGS[fault.how or "reset"])
        answer = await self._handler(self._front, request)
        if answer.status_code >= 400:
            return _plain(answer)
        return self._spoiled(fault, answer)

    async def _unanswered(self, fault: Fault, request: Request) -> Broken:
        """Faults in place of the answer; before them the thing is done or not, and nobody is told."""
        if fault.done or fault.kind == "cut_after":
            with contextlib.suppress(Refusal):
                answer = await self._handler(self._front, request)
                if fault.kind == "stall" and fault.at is not None:
                    return "stalled", Partly(answer, fault.at, gone)
        elif fault.kind == "stall" and self._name == "download":
            answer = await self._handler(self._front, request)
            return "stalled", Partly(answer, 0.5 if fault.at is None else fault.at, gone)
        if fault.kind == "stall":
            if request.method == "PUT" and not fault.done and fault.at is not None:
                await _read_part(request, fault)
            return "stalled", Silent(gone)
        if fault.kind in ("cut_before", "cut_after"):
            return "cut", Silent(ENDINGS[fault.how or "reset"])
        if fault.kind == "html":
            return _plain(page(fault.status or 502))
        raise self._refusal(fault)

    def _refusal(self, fault: Fault) -> Refusal:
        status = 429 if fault.kind == "rate_limit" else fault.status or 500
        retry_after = fault.retry_after
        if fault.kind == "rate_limit" and retry_after is None:
            retry_after = "1"
        match retry_after:
            case "none":
                retry_after = None
            case "date":
                retry_after = http_date(self._front.world.now() + DATE_SECONDS)
            case "absurd":
                retry_after = str(ABSURD_SECONDS)
        code = fault.code or CODES.get(status, f"status_{status}")
        return Refusal(status, code, fault.message or f"Simulated error {status}.", retry_after=retry_after)

    def _spoiled(self, fault: Fault, answer: Answer) -> Broken:
        """Faults in the answer to something that has been done."""
        match fault.kind:
            case "cut_body":
                return "cut", Partly(answer, 0.5 if fault.at is None else fault.at, ENDINGS[fault.how or "eof"])
            case "garbage":
                return "garbage", Response(b'\x00\x9f{"id": "c', 200, media_type="application/json")
            case "no_id":
                body = _json_of(answer)
                body.pop("id", None)
                return "no_id", JSONResponse(body)
            case "error_with_id":
                status = fault.status or 500
                body = {
                    "code": CODES.get(status, "error"),
                    "message": "Simulated error.",
                    "id": _json_of(answer)["id"],
                }
                return str(status), JSONResponse(body, status)
            case "wrong_length":
                return "wrong_length", WrongLength(answer)
            case _:
                if fault.how is None:
                    return "no_length", NoLength(answer)
                return "no_length", Unmarked(answer, 1.0 if fault.at is None else fault.at, ENDINGS[fault.how])


def drawn(request: Request, kind: str) -> Fault | None:
    """The fault that was drawn for this request, if it is of that kind; for the handlers that must play along."""
    fault = cast("Fault | None", request.state.fault)
    return fault if fault is not None and fault.kind == kind else None


def fault_is(request: Request, kind: str) -> bool:
    """Whether this request was drawn to go wrong in that way."""
    return drawn(request, kind) is not None


def _plain(answer: Answer) -> Broken:
    return str(answer.status_code), answer


def _json_of(answer: Answer) -> dict[str, object]:
    assert isinstance(answer, JSONResponse)
    return cast("dict[str, object]", json.loads(bytes(answer.body)))


async def _read_part(request: Request, fault: Fault) -> None:
    """Take in a share of an upload's body, and no more."""
    left = int(request.headers.get("content-length", "0")) * (0.5 if fault.at is None else fault.at)
    async for chunk in request.stream():
        left -= len(chunk)
        if left <= 0:
            return
