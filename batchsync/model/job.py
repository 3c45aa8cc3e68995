"""What a job is: the user's entry (`JobSpec`), its inputs (`Source`), and its identity (`ask_digest`, token)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from batchsync.model.problem import Place
from batchsync.model.states import State


class Mode(StrEnum):
    """The vendor's generation modes. `lite` is the vendor's default."""

    LITE = "lite"
    STANDARD = "standard"
    PRO = "pro"


class SourceKind(StrEnum):
    """Where an input comes from; only a FILE is uploaded."""

    FILE = "file"
    URL = "url"
    ASSET = "asset"  # a vendor file_path (`api-assets/…`)
    LIBRARY = "library"  # https://magichour.ai/my-library?videoId=…
    YOUTUBE = "youtube"


VIDEO_EXTENSIONS = frozenset({"mp4", "m4v", "mov", "webm"})
AUDIO_EXTENSIONS = frozenset(
    {"mp3", "wav", "aac", "flac", "webm", "weba", "m4a", "opus", "ogg", "oga", "aiff", "amr"}
)

# What an `output` template may name, in braces; and the names that Windows can't give to a file.
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
OUTPUT_FIELDS = ("id", "name", "tag.<key>", "video.stem", "audio.stem", "generation_mode")
_PORTS = (f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))
RESERVED_NAMES = frozenset({"con", "prn", "aux", "nul", *_PORTS})


@dataclass(frozen=True, slots=True)
class Source:
    """An input of a job. `value` is an absolute path for a FILE, else the text that the vendor gets."""

    kind: SourceKind
    value: str

    @property
    def is_local(self) -> bool:
        return self.kind is SourceKind.FILE


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One entry of a manifest, checked on its own but not yet against files, other entries or the ledger.

    Times are in seconds, `max_fps_limit` in frames per second. `row` is the entry as the user wrote it
    (column → text), for the files that hand a manifest back.
    """

    place: Place
    video: Source
    audio: Source
    id: str | None = None
    name: str | None = None
    start_seconds: float = 0.0
    end_seconds: float | None = None
    max_fps_limit: float | None = None
    generation_mode: Mode = Mode.LITE
    output: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    row: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What is known of a local file. `size` in bytes, `digest` the SHA-256 in hex, `duration` in seconds;
    `duration` and `fps` are None where nothing on this machine can read them.

    `format` is what the content is, whatever the name says: a name of `model.formats`, `unknown` where it is nothing
    that is known there, None where nobody has looked. `kind` is `video`, `audio`, `other` (neither), `broken` (a
    decoder refused it), or None where it can't be told.
    """

    path: str
    size: int
    mtime_ns: int
    digest: str
    duration: float | None = None
    fps: float | None = None
    format: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job that can be added to the ledger: its inputs known by content, its end and its price known.

    `estimate` is what the vendor takes at submission (30 fps), `worst` the most it may cost in the end,
    both in credits. `output` is the path under the output directory, with forward slashes.
    """

    spec: JobSpec
    id: str
    auto_id: bool
    token: str
    ask: str
    end_seconds: float
    estimate: int
    worst: int
    output: str
    video: MediaFacts | None = None
    audio: MediaFacts | None = None


def ask_digest(spec: JobSpec, end_seconds: float, video: MediaFacts | None, audio: MediaFacts | None) -> str:
    """What a job asks for, as a SHA-256 in hex: options, and the content of local files.

    Names, tags and output paths don't belong to it: they change nothing in what is rendered and paid.
    """
    asked: dict[str, Any] = {
        "video": _content(spec.video, video),
        "audio": _content(spec.audio, audio),
        "start": float(spec.start_seconds),
        "end": float(end_seconds),
        "fps": None if spec.max_fps_limit is None else float(spec.max_fps_limit),
        "mode": str(spec.generation_mode),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _content(source: Source, facts: MediaFacts | None) -> list[str]:
    if facts is not None:
        return ["sha256", facts.digest]
    return [str(source.kind), source.value]


def token_for(key: str, length: int = 6) -> str:
    """The short token that ends a project's name: lower-case letters and digits, the same for the same key."""
    digest = hashlib.sha256(key.encode()).digest()
    enough = digest[: -(-length // 8) * 5]  # five bytes are eight letters, and nobody needs those of the rest
    return base64.b32encode(enough).decode().lower()[:length]


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job that the ledger has. `manifest` is the path it first came from, `net` its credits so far."""

    id: str
    auto_id: bool
    ask: str
    token: str
    state: State
    manifest: str | None
    output: str
    net: int
    not_submitted: bool
