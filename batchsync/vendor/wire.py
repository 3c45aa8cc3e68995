"""The vendor's answers and the JSON in them, read leniently where the vendor may change. Pure: no I/O."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, TypeGuard, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StrictBool, StrictStr, StringConstraints, ValidationError

from batchsync.vendor.port import Account, Download, Project, ProjectStatus, UploadSlot

LONGEST_WORDS = 300
MOST_CREDITS = 2**53
UNSTATED_SLOT_SECONDS = 15 * 60.0

_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# The query of a URL, also of one without its host, and single parts of one: whoever has them has the file.
_QUERY = re.compile(
    r"(https?://[^\s?#]*)[?#]\S*|\?[^\s=?]*=\S*|(?:signature|credential|token)[\w-]{0,20}=\S*", re.IGNORECASE
)


def is_project_id(value: object) -> TypeGuard[str]:
    """Whether `value` has the form of a project id. The only place that decides it."""
    return isinstance(value, str) and _PROJECT_ID.fullmatch(value) is not None


def clean(text: str, *, hide: str = "", limit: int = LONGEST_WORDS) -> str:
    """`text` as it may be shown: one printable line of at most `limit` characters, without `hide` or URL queries."""
    if hide:
        text = text.replace(hide, "…")
    # The cut bounds the work of the pattern; it comes after the hiding, so that no half of a key is left.
    text = _QUERY.sub(r"\1", text[: 10 * LONGEST_WORDS])
    text = "".join(char if char.isprintable() else " " for char in text)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


# --- An answer ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a request. `headers` have lower-case names; `hide` must never be quoted from the body.

    `fault` says why the body could not be had whole (`too_large`, `encoded`); it is then empty.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    hide: str = field(default="", repr=False)
    fault: str | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Unreadable(Exception):
    """An answer that can't be read, or isn't what was promised: a stable code and words for people."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(f"{code}: {words}")
        self.code = code
        self.words = words


_FAULTS = {
    "too_large": "it was far larger than any answer should be",
    "encoded": "it was compressed, which was not asked for, and could not be unpacked",
}


def _object(answer: Answer) -> dict[str, Any]:
    """The JSON object in the answer. Raises Unreadable."""
    if answer.fault is not None:
        raise Unreadable(answer.fault, _FAULTS.get(answer.fault, "it could not be received"))
    try:
        data = json.loads(answer.body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        raise Unreadable("not_json", "it is not JSON") from None
    if not isinstance(data, dict):
        raise Unreadable("not_promised", "it is not a JSON object")
    return data


def is_page(answer: Answer) -> bool:
    """Whether the answer is a web page, as proxies give them."""
    return answer.body.lstrip()[:1] == b"<"


# --- What a failed request says -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """The vendor's own words about a failure, cleaned; None where it gave none."""

    code: str | None
    message: str | None


def said(answer: Answer) -> Said:
    """Reads `{"code", "message"}`, `{"message"}`, or nothing at all (HTML, an empty body)."""
    try:
        data = _object(answer)
    except Unreadable:
        return Said(None, None)
    return Said(_code(data.get("code"), answer.hide), _words(data.get("message"), answer.hide))


def _code(value: object, hide: str) -> str | None:
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        return None
    return None if hide and hide in value else value


def _words(value: object, hide: str) -> str | None:
    return (clean(value, hide=hide) or None) if isinstance(value, str) else None


# --- A submission -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Receipt:
    """A project was made. `credits` is None where the vendor didn't say."""

    project_id: str
    credits: int | None


def receipt(answer: Answer) -> Receipt | None:
    """The project in an answer to a submission, whatever its status; None where there certainly is none in it.

    Raises Unreadable where there may be one: an id that is malformed, a body that could not be had whole,
    or broken JSON that speaks of an id.
    """
    try:
        data = _object(answer)
    except Unreadable:
        if answer.fault is not None or _broken_json_with_id(answer.body):
            raise
        return None
    if data.get("id") is None:
        return None
    if not is_project_id(data["id"]):
        raise Unreadable("bad_project_id", "its project id is malformed")
    return Receipt(data["id"], _first_credits(data.get("credits_charged"), data.get("estimated_frame_cost")))


def _broken_json_with_id(body: bytes) -> bool:
    return body.lstrip()[:1] == b"{" and b'"id"' in body


# --- Lenient fields -----------------------------------------------------------------------------------------


def credits_of(value: object) -> int | None:
    """A number of credits: a whole number, not negative, not absurd; None for all else."""
    return value if type(value) is int and 0 <= value <= MOST_CREDITS else None


def _first_credits(*values: object) -> int | None:
    return next((credits for credits in map(credits_of, values) if credits is not None), None)


def _fps(value: object) -> float | None:
    if type(value) not in (int, float):
        return None
    try:
        fps = float(value)  # type: ignore[arg-type]  # a number, as was just seen
    except OverflowError:
        return None
    return fps if math.isfinite(fps) and fps > 0 else None


def _moment(value: object) -> float | None:
    """Epoch seconds of an ISO 8601 time, UTC where it names no zone; None where it can't be read."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _text(value: object) -> str | None:
    return clean(value, limit=128) or None if isinstance(value, str) else None


def _printable(value: object) -> object:
    if isinstance(value, str) and not value.isprintable():
        raise ValueError("control characters")
    return value


Credits = Annotated[int | None, BeforeValidator(credits_of)]
Fps = Annotated[float | None, BeforeValidator(_fps)]
Moment = Annotated[float | None, BeforeValidator(_moment)]
Text = Annotated[str | None, BeforeValidator(_text)]
Printable = Annotated[StrictStr, StringConstraints(min_length=1, max_length=16384), BeforeValidator(_printable)]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class AccountAnswer(_Lenient):
    """`GET /v1/account`."""

    id: Text = None
    tier: Text = None
    credits: Credits = None


class SlotAnswer(_Lenient):
    """One item of `POST /v1/files/upload-urls`."""

    upload_url: Printable
    file_path: Printable
    expires_at: Moment = None


class SlotsAnswer(_Lenient):
    """`POST /v1/files/upload-urls`."""

    items: list[SlotAnswer]


class DownloadAnswer(_Lenient):
    """One finished file."""

    url: Printable
    expires_at: Moment = None


class ProjectAnswer(_Lenient):
    """`GET /v1/video-projects/{id}`. `download` and `total_frame_cost` are deprecated and may be missing."""

    id: StrictStr
    name: Any = None
    status: ProjectStatus
    credits_charged: Credits = None
    total_frame_cost: Credits = None
    fps: Fps = None
    enabled: StrictBool | None = True
    error: Any = None
    downloads: list[DownloadAnswer] | None = None
    download: Any = None


# --- Answers as the port's values ---------------------------------------------------------------------------

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")


def _read(model: type[Model], answer: Answer) -> Model:
    try:
        return model.model_validate(_object(answer))
    except ValidationError as error:
        # `loc` holds our own field names and positions only, nothing that the vendor chose.
        where = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
        raise Unreadable("not_promised", f"its field `{where}` is missing or not what was promised") from None


def account(answer: Answer) -> Account:
    """Who pays. Raises Unreadable only where the answer is no JSON object."""
    got = _read(AccountAnswer, answer)
    return Account(id=got.id, tier=got.tier, credits=got.credits)


def slots(answer: Answer, count: int, now: float) -> list[UploadSlot]:
    """`count` upload slots, in the order asked for. Raises Unreadable. `now` in epoch seconds."""
    items = _read(SlotsAnswer, answer).items
    if len(items) != count:
        raise Unreadable("not_promised", f"it has {len(items)} upload URLs where {count} were asked for")
    # An expired URL is refused by the storage and asked for again, so an unreadable time is no fault.
    fallback = now + UNSTATED_SLOT_SECONDS
    return [
        UploadSlot(item.upload_url, item.file_path, fallback if item.expires_at is None else item.expires_at)
        for item in items
    ]


def project(answer: Answer, asked: str) -> Project:
    """The project that was asked for. Raises Unreadable, also where the answer is about another one."""
    got = _read(ProjectAnswer, answer)
    if got.id != asked:
        raise Unreadable("wrong_project", "it is about another project than the one asked for")
    error = got.error if isinstance(got.error, dict) else {"message": got.error}
    return Project(
        id=got.id,
        status=got.status,
        credits=_first_credits(got.credits_charged, got.total_frame_cost),
        fps=got.fps,
        enabled=got.enabled is not False,
        error_code=_code(error.get("code"), answer.hide),
        error_message=_words(error.get("message"), answer.hide),
        downloads=_downloads(got),
        name=_words(got.name, answer.hide),
    )


def _downloads(got: ProjectAnswer) -> tuple[Download, ...]:
    items = got.downloads or []
    if not items and isinstance(got.download, dict):
        try:
            items = [DownloadAnswer.model_validate(got.download)]
        except ValidationError:
            items = []
    return tuple(Download(item.url, item.expires_at) for item in items)
