"""The simulated object stores: one origin that takes uploads, one that gives downloads, both by signed URLs only."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from batchsync.sandbox.answers import http_date
from batchsync.sandbox.delivery import FileAnswer, part_of
from batchsync.sandbox.front import Front
from batchsync.sandbox.operation import Operation, drawn, fault_is
from batchsync.sandbox.project import Project
from batchsync.sandbox.refusal import Refusal

MOVED = "/moved"  # before the path of what a redirect leads to


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


async def download(front: Front, request: Request) -> FileAnswer | Response:
    """A file of a finished project, or the way to where it has moved."""
    front.check_signed(_here(front, request), request)
    if fault_is(request, "expired_url"):
        raise Refusal(403, "ExpiredToken", "The URL is not valid, or not any more.")
    where = request.scope["path"].removeprefix(MOVED)
    redirect = drawn(request, "redirect")
    if redirect is not None and where == request.scope["path"]:
        there = front.origins.uploads if redirect.to == "origin" else front.origins.downloads
        url, _ = front.signed(there, MOVED + where, front.world.config.download_url_seconds)
        return Response(status_code=redirect.status or 302, headers={"location": url})
    project = front.world.project(request.path_params["id"])
    if not project.enabled or where not in output_paths(project):
        raise Refusal(404, "NoSuchKey", "There is no such file.")
    source = None if fault_is(request, "replaced") else project.source
    path = front.world.store.path(source)
    size = path.stat().st_size
    etag, modified = f'"{source or "sample"}-{size}"', http_date(project.ends_at)
    wanted = {} if fault_is(request, "no_range") else request.headers
    headers = {"content-type": "video/mp4", "etag": etag, "last-modified": modified}
    return FileAnswer(path, size, part_of(size, wanted, etag, modified), headers)


def _here(front: Front, request: Request) -> str:
    """The origin that the request came to, as its URLs are signed for it."""
    port = request.scope["server"][1]
    return front.origins.uploads if front.origins.uploads.endswith(f":{port}") else front.origins.downloads


def uploads_app(front: Front) -> Starlette:
    """Takes uploads; also gives the downloads that have moved to another origin."""
    operation = Operation(front, "put", put, "uploads")
    moved = Operation(front, "download", download, "uploads")
    return Starlette(
        routes=[
            Route("/api-assets/{id}/{file}", operation, methods=["PUT"]),
            Route(MOVED + "/{id}/{file}", moved, methods=["GET"]),
        ]
    )


def downloads_app(front: Front) -> Starlette:
    operation = Operation(front, "download", download, "downloads")
    paths = ("/{id}/{file}", MOVED + "/{id}/{file}")
    return Starlette(routes=[Route(path, operation, methods=["GET"]) for path in paths])
