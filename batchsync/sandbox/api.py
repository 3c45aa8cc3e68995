"""The simulated API: one short handler for each operation of the OpenAPI file."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batchsync.sandbox import answers
from batchsync.sandbox.asks import lip_sync, read_json, upload_items
from batchsync.sandbox.control import control_routes
from batchsync.sandbox.front import Front
from batchsync.sandbox.operation import Operation, fault_is
from batchsync.sandbox.project import Project
from batchsync.sandbox.refusal import Refusal
from batchsync.sandbox.storage import output_paths
from batchsync.sandbox.world import new_id

EXPIRED_SECONDS = -1.0


async def account(front: Front, _request: Request) -> Response:
    return JSONResponse(answers.account(front.world))


async def upload_urls(front: Front, request: Request) -> Response:
    """Slots aren't kept: the signature of the URL is all that a later PUT needs."""
    items = upload_items(read_json(await request.body()))
    life = EXPIRED_SECONDS if fault_is(request, "expired_url") else front.world.config.upload_url_seconds
    slots = []
    for kind, extension in items:
        path = f"api-assets/{new_id()}/{kind}.{extension}"
        url, expires = front.signed(front.origins.uploads, f"/{path}", life)
        slots.append({"upload_url": url, "expires_at": answers.iso(expires), "file_path": path})
    return JSONResponse({"items": slots})


async def submit(front: Front, request: Request) -> Response:
    ask = lip_sync(read_json(await request.body()), front.world)
    fault = front.faults.draw("render", f"{ask.name or ''} {ask.video} {ask.audio}")
    return JSONResponse(answers.created(front.world.create(ask, fault)))


async def project(front: Front, request: Request) -> Response:
    # The time first: a project that ends in this very moment must not be complete before it is settled.
    now = front.world.now()
    found = front.world.project(request.path_params["id"])
    downloads = _downloads(front, request, found, now)
    return JSONResponse(answers.details(found, now, downloads))


async def delete(front: Front, request: Request) -> Response:
    front.world.delete(request.path_params["id"])
    return Response(status_code=204)


def _downloads(front: Front, request: Request, found: Project, now: float) -> list[dict[str, str]]:
    if found.status(now) != "complete" or not found.enabled:
        return []
    found.looks += 1
    if found.looks <= found.fate.empty_looks:
        return []
    life = EXPIRED_SECONDS if fault_is(request, "expired_url") else front.world.config.download_url_seconds
    links = [front.signed(front.origins.downloads, path, life) for path in output_paths(found)]
    return [{"url": url, "expires_at": answers.iso(expires)} for url, expires in links]


def api_app(front: Front) -> Starlette:
    """The API's origin, with the control endpoints beside it."""

    def route(path: str, method: str, operation: Operation) -> Route:
        return Route(path, operation, methods=[method])

    return Starlette(
        routes=[
            route("/v1/account", "GET", Operation(front, "account", account, "api")),
            route("/v1/files/upload-urls", "POST", Operation(front, "upload_urls", upload_urls, "api")),
            route("/v1/lip-sync", "POST", Operation(front, "submit", submit, "api")),
            route("/v1/video-projects/{id}", "GET", Operation(front, "project", project, "api")),
            route("/v1/video-projects/{id}", "DELETE", Operation(front, "delete", delete, "api")),
            *control_routes(front),
        ],
        exception_handlers={HTTPException: _no_such_route},
    )


async def _no_such_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "not_found" if error.status_code == 404 else "invalid_request"
    return answers.refused(Refusal(error.status_code, code, error.detail))
