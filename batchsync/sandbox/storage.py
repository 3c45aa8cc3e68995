"""The simulated object stores: one origin that takes uploads, one that gives downloads, both by signed URLs only."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from batchsync.sandbox.answers import http_date
from batchsync.sandbox.delivery import FileAnswer, part_of
from batchsync.sandbox.front import Front
from batchsync.sandbox.operation import Operation, fault_is
from batchsync.sandbox.project import Project
from batchsync.sandbox.refusal import Refusal


def output_paths(project: Project) -> list[str]:
    """The paths of a finished project's files, from the slash on, in their order."""
    names = ["output.mp4", *(f"output-{number}.mp4" for number in range(2, project.outputs + 1))]
    return [f"/{project.id}/{name}" for name in names]


async def put(front: Front, request: Request) -> Response:
    """Keep a body that arrives whole; of one that doesn't, nothing. Its length must be announced, as S3 wants it."""
    front.check_signed(front.origins.uploads, request)
    if fault_is(request, "expired_url"):
        raise Refusal(403, "ExpiredToken", "The URL is not valid, or not any more.")
    if "content-length" not in request.headers:
        raise Refusal(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    incoming = front.world.store.receive()
    try:
        async for chunk in request.stream():
            incoming.write(chunk)
        asset = front.world.stored(request.scope["path"].lstrip("/"), incoming)
    finally:
        incoming.discard()
    return Response(status_code=200, headers={"etag": f'"{asset.digest}"'})


async def download(front: Front, request: Request) -> FileAnswer:
    front.check_signed(front.origins.downloads, request)
    if fault_is(request, "expired_url"):
        raise Refusal(403, "ExpiredToken", "The URL is not valid, or not any more.")
    project = front.world.project(request.path_params["id"])
    if not project.enabled or request.scope["path"] not in output_paths(project):
        raise Refusal(404, "NoSuchKey", "There is no such file.")
    path = front.world.store.path(project.source)
    size = path.stat().st_size
    etag, modified = f'"{project.source or "sample"}-{size}"', http_date(project.ends_at)
    wanted = {} if fault_is(request, "no_range") else request.headers
    headers = {"content-type": "video/mp4", "etag": etag, "last-modified": modified}
    return FileAnswer(path, size, part_of(size, wanted, etag, modified), headers)


def uploads_app(front: Front) -> Starlette:
    operation = Operation(front, "put", put, "uploads")
    return Starlette(routes=[Route("/api-assets/{id}/{file}", operation, methods=["PUT"])])


def downloads_app(front: Front) -> Starlette:
    operation = Operation(front, "download", download, "downloads")
    return Starlette(routes=[Route("/{id}/{file}", operation, methods=["GET"])])
