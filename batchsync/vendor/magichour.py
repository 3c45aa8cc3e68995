"""The Magic Hour API as a `Vendor`: one method a request, every answer judged by `verdict`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal, TypeVar

import anyio

from batchsync.clock import Clock, SystemClock
from batchsync.vendor import transfer, verdict, wire
from batchsync.vendor.http import (
    DEFAULT_TIMEOUTS,
    Line,
    Timeouts,
    check_api_url,
    check_key,
    open_lines,
    receive,
    safe_url,
)
from batchsync.vendor.port import (
    Account,
    Download,
    Next,
    Project,
    SubmitRequest,
    Submitted,
    Trouble,
    UploadSlot,
    VendorTrouble,
)

Value = TypeVar("Value")


class MagicHour:
    """The vendor behind `api_url`. Raises SettingError for an address, key or environment that can't be used.

    It sends each request once: when to try again is the caller's to say.
    """

    def __init__(
        self, api_url: str, key: str, *, clock: Clock | None = None, timeouts: Timeouts = DEFAULT_TIMEOUTS
    ) -> None:
        self._api_url = check_api_url(api_url)
        self._key = check_key(key)
        self._clock = clock or SystemClock()
        self._timeouts = timeouts
        self._lines = open_lines(self._api_url, self._key, timeouts)

    def __repr__(self) -> str:
        return f"MagicHour({self._api_url!r})"

    async def aclose(self) -> None:
        await self._lines.aclose()

    async def account(self) -> Account:
        """Tier and balance. Raises VendorTrouble."""
        answer = await self._free("GET", "/v1/account")
        return _usable(answer, wire.account)

    async def project(self, project_id: str) -> Project:
        """The project as the vendor states it now. Raises VendorTrouble, also for an id that can't be one."""
        if not wire.is_project_id(project_id):
            raise VendorTrouble(Trouble(Next.REFUSED, "bad_project_id", "That is not a project id of the vendor"))
        answer = await self._free("GET", f"/v1/video-projects/{project_id}")
        return _usable(answer, lambda got: wire.project(got, project_id))

    async def upload_slots(self, items: Sequence[tuple[Literal["video", "audio"], str]]) -> list[UploadSlot]:
        """One upload URL for each (kind, extension without its dot), in the same order. Raises VendorTrouble."""
        if not items:
            return []
        asked = {"items": [{"type": kind, "extension": extension.lower()} for kind, extension in items]}
        answer = await self._free("POST", "/v1/files/upload-urls", _json(asked))
        return _usable(answer, lambda got: _safe_slots(wire.slots(got, len(items), self._clock.now())))

    async def submit(self, request: SubmitRequest) -> Submitted:
        """Ask for a render. Costs money. Never raises for what the network or the vendor does.

        A cancellation goes through: what it means for the job is the caller's to say.
        """
        content = _json(_body(request))
        try:
            answer = await self._ask(self._lines.paid, "POST", "/v1/lip-sync", content)
        except Exception as error:  # whatever it is, it may have happened after the request had left
            return verdict.submission_failed(error)
        return verdict.submission(answer, self._clock.now())

    async def put(self, slot: UploadSlot, chunks: AsyncIterator[bytes], size: int) -> None:
        """Send a file's bytes to storage, `size` of them. Raises VendorTrouble, and what `chunks` raises."""
        await transfer.send(self._lines.storage, slot, chunks, size, timeouts=self._timeouts, clock=self._clock)

    def download(self, download: Download, *, offset: int = 0, validator: str | None = None) -> transfer.Receiving:
        """Receive a file, from `offset` on if `validator` still holds, else from the beginning."""
        return transfer.Receiving(
            self._lines.storage, download, offset=offset, validator=validator, clock=self._clock
        )

    async def _free(self, method: str, path: str, content: bytes | None = None) -> wire.Answer:
        """A request that costs nothing: its answer with a 2xx, or VendorTrouble."""
        try:
            answer = await self._ask(self._lines.api, method, path, content)
        except verdict.NETWORK as error:
            raise VendorTrouble(verdict.failed(error)) from None
        if not answer.ok:
            raise VendorTrouble(verdict.failure(answer, self._clock.now()))
        return answer

    async def _ask(self, line: Line, method: str, path: str, content: bytes | None) -> wire.Answer:
        headers = {} if content is None else {"Content-Type": "application/json"}
        with anyio.fail_after(self._timeouts.whole):
            async with line.stream(method, path, content=content, headers=headers) as response:
                return await receive(response, hide=self._key)


def _usable(answer: wire.Answer, read: Callable[[wire.Answer], Value]) -> Value:
    try:
        return read(answer)
    except wire.Unreadable as fault:
        raise VendorTrouble(verdict.unreadable(fault, answer.status)) from None


def _safe_slots(slots: list[UploadSlot]) -> list[UploadSlot]:
    for slot in slots:
        try:
            safe_url(slot.url)
        except ValueError as error:
            raise wire.Unreadable("bad_url", f"an upload URL in it {error}") from None
    return slots


def _body(request: SubmitRequest) -> dict[str, Any]:
    assets = {"audio_file_path": request.audio}
    if request.video_is_youtube:
        assets |= {"video_source": "youtube", "youtube_url": request.video}
    else:
        assets |= {"video_source": "file", "video_file_path": request.video}
    body: dict[str, Any] = {
        "name": request.name,
        "start_seconds": _number(request.start_seconds),
        "end_seconds": _number(request.end_seconds),
        "assets": assets,
        "style": {"generation_mode": str(request.generation_mode)},
    }
    if request.max_fps_limit is not None:
        body["max_fps_limit"] = _number(request.max_fps_limit)
    return body


def _number(value: float) -> float | int:
    """2 rather than 2.0, as a person would write it."""
    return int(value) if float(value).is_integer() else value


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, allow_nan=False).encode("ascii")
