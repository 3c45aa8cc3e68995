"""What tests and people may do to a running sandbox, and see of it: `/_sandbox/…` on the API's origin.

    GET  /_sandbox/state    account, projects, uploads, requests by operation and outcome, leaks, faults
    POST /_sandbox/faults   ["submit:cut_after:times=1", …]: in force from now on, instead of those before
    POST /_sandbox/credits  {"credits": 500}: the balance from now on
    POST /_sandbox/cancel   {"id": "c…"}: cancel a project; {"canceled": false} if it had ended
    POST /_sandbox/expire   {"what": ["assets", "urls"]}: uploads become unusable, signed URLs void

No key is asked for: only this machine can come in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batchsync.errors import SettingError
from batchsync.sandbox.answers import refused
from batchsync.sandbox.faults import Fault
from batchsync.sandbox.front import Front
from batchsync.sandbox.refusal import Refusal, invalid

Control = Callable[[Front, Any], dict[str, Any]]


def set_faults(front: Front, body: Any) -> dict[str, Any]:
    if not isinstance(body, list) or not all(isinstance(text, str) for text in body):
        raise invalid("expected a list of texts")
    try:
        front.faults.replace([Fault.parse(text) for text in body])
    except SettingError as error:
        raise invalid(f"{error.message} ({error.hint})") from None
    return {"faults": front.faults.tally()}


def set_credits(front: Front, body: Any) -> dict[str, Any]:
    credits = body.get("credits") if isinstance(body, dict) else None
    if isinstance(credits, bool) or not isinstance(credits, int) or credits < 0:
        raise invalid('expected {"credits": N}')
    front.world.set_balance(credits)
    return {"credits": front.world.balance()}


def cancel(front: Front, body: Any) -> dict[str, Any]:
    project_id = body.get("id") if isinstance(body, dict) else None
    if not isinstance(project_id, str):
        raise invalid('expected {"id": "…"}')
    return {"canceled": front.world.cancel(project_id)}


def expire(front: Front, body: Any) -> dict[str, Any]:
    what = body.get("what") if isinstance(body, dict) else None
    if not isinstance(what, list) or not set(what) <= {"assets", "urls"}:
        raise invalid('expected {"what": ["assets", "urls"]}, or one of them')
    front.world.expire(assets="assets" in what, urls="urls" in what)
    return {"expired": what}


def control_routes(front: Front) -> list[Route]:
    def posting(control: Control) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return JSONResponse(control(front, await _body(request)))
            except Refusal as refusal:
                return refused(refusal)

        return endpoint

    async def state(_request: Request) -> Response:
        return JSONResponse(front.state())

    posts = {"faults": set_faults, "credits": set_credits, "cancel": cancel, "expire": expire}
    return [
        Route("/_sandbox/state", state, methods=["GET"]),
        *(Route(f"/_sandbox/{name}", posting(control), methods=["POST"]) for name, control in posts.items()),
    ]


async def _body(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise invalid("The body is not valid JSON") from None
