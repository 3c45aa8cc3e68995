"""What the runner may ask of a vendor, and the closed set of replies it can get."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Literal, Protocol

from batchsync.model.job import Mode


class Next(StrEnum):
    """What to do after something failed. Every failure says exactly one."""

    AGAIN = "again"  # transient: the vendor or its storage was out of reach or overloaded; not the job's fault
    PACED = "paced"  # rate limited: all requests wait, then again
    REFUSED = "refused"  # the vendor said no to this one job
    BROKE = "broke"  # out of credits: nothing new until there are some
    FATAL = "fatal"  # the key is refused: no request can succeed
    GONE = "gone"  # what was asked for isn't there (deleted, expired)
    GARBAGE = "garbage"  # an answer that can't be read or isn't what was promised


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failure as a value: what to do next, a stable code, words for people, and when (seconds from now).

    `message` never holds a key, a signed query or control characters. `status` is the HTTP status, if any.
    """

    next: Next
    code: str
    message: str
    retry_after: float | None = None
    status: int | None = None

    @property
    def throttled(self) -> bool:
        """Whether a storage would have taken the same later: there, 503 says "slow down" as often as 429 does."""
        return self.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class VendorTrouble(Exception):
    """Raised by every port method but `submit` when there is no usable answer."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(f"{trouble.code}: {trouble.message}")
        self.trouble = trouble


# --- The three outcomes of a submission ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Created:
    """A project exists. `credits` is what the vendor said it took, None where it didn't say."""

    project_id: str
    credits: int | None
    status: int


@dataclass(frozen=True, slots=True)
class NotCreated:
    """It is certain that no project was made."""

    trouble: Trouble


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can know whether a project was made. Never sent again on its own."""

    code: str
    message: str
    status: int | None = None


Submitted = Created | NotCreated | Unknown

# --- Requests and other replies -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """A lip-sync to ask for. Inputs are vendor file paths or public URLs; times in seconds."""

    name: str
    video: str
    audio: str
    start_seconds: float
    end_seconds: float
    generation_mode: Mode
    max_fps_limit: float | None = None
    video_is_youtube: bool = False


@dataclass(frozen=True, slots=True)
class UploadSlot:
    """Where to PUT one file (`url`, signed, never logged) and the path that jobs name it by."""

    url: str = field(repr=False)
    file_path: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Download:
    """One finished file; the URL is signed, short-lived and never logged. `expires_at` in epoch seconds."""

    url: str = field(repr=False)
    expires_at: float | None


ProjectStatus = Literal["draft", "queued", "rendering", "complete", "error", "canceled"]


@dataclass(frozen=True, slots=True)
class Project:
    """A project as the vendor states it. `credits` is None where it doesn't say; `enabled` False means deleted."""

    id: str
    status: ProjectStatus
    credits: int | None
    fps: float | None = None
    enabled: bool = True
    error_code: str | None = None
    error_message: str | None = None
    downloads: tuple[Download, ...] = ()
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays. `credits` is the balance; None where the vendor doesn't say."""

    id: str | None
    tier: str | None
    credits: int | None


class Body(Protocol):
    """A file being received."""

    @property
    def offset(self) -> int:
        """The first byte's position in the whole file: 0, or where the part ended if the vendor agreed to resume."""

    @property
    def proved(self) -> bool:
        """Whether a cut would be noticed: by the announced length, or by the end that is marked."""

    @property
    def validator(self) -> str | None:
        """A strong ETag or a Last-Modified date with which a cut download may be resumed."""

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes, in order. Raises VendorTrouble when they end too early or stall."""


class Vendor(Protocol):
    """The vendor as the runner sees it. Every method but `submit` raises VendorTrouble where there is no answer."""

    async def account(self) -> Account: ...

    async def upload_slots(self, items: Sequence[tuple[Literal["video", "audio"], str]]) -> list[UploadSlot]:
        """Ask for one upload URL for each (kind, extension without its dot), in the same order."""

    async def put(self, slot: UploadSlot, chunks: AsyncIterator[bytes], size: int) -> None:
        """Send a file's bytes to storage, `size` of them."""

    async def submit(self, request: SubmitRequest) -> Submitted:
        """Ask for a render. Costs money. Never raises for what the network or the vendor does."""

    async def project(self, project_id: str) -> Project: ...

    def download(self, download: Download, *, offset: int = 0, validator: str | None = None) -> DownloadContext:
        """Receive a file, from `offset` on if `validator` still holds, else from the beginning."""

    async def aclose(self) -> None: ...


class DownloadContext(Protocol):
    """`async with vendor.download(…) as body`."""

    async def __aenter__(self) -> Body: ...

    async def __aexit__(self, *exc: object) -> bool | None: ...
