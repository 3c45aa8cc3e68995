"""Names: a job's own id where the user gave none, and its output path, safe whatever the entry holds. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlsplit

from batchsync.model.job import PLACEHOLDER, RESERVED_NAMES, JobSpec, Source, SourceKind, token_for

DEFAULT_OUTPUT = "{id}.mp4"
SUFFIX = ".mp4"
MAX_COMPONENT = 200  # bytes; 255 is what file systems take, and temporary names are longer than final ones
MAX_STEM = 60
_SEPARATORS = re.compile(r"[/\\:]")
_LITERAL_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


def stem(source: Source) -> str:
    """The name of a source without folders and suffix; for YouTube and the library, what identifies the video."""
    if source.kind in (SourceKind.FILE, SourceKind.ASSET):
        name = source.value
    else:
        parts = urlsplit(source.value)
        query = dict(parse_qsl(parts.query))
        if source.kind is not SourceKind.URL and (found := query.get("v") or query.get("videoId")):
            return found
        name = unquote(parts.path).rstrip("/")
    last = name.rsplit("/", 1)[-1]
    return last.rsplit(".", 1)[0] or last or str(source.kind)


def free_token(key: str, taken: Callable[[str], bool]) -> str:
    """The token for `key`, as long as it takes not to be a taken one."""
    for length in range(6, 52):
        token = token_for(key, length)
        if not taken(token):
            return token
    return token_for(key, 52)


def auto_id(spec: JobSpec, token: str) -> str:
    """The id of a job whose entry has none: letters, digits, `.`, `_` and `-` only, at most 60 characters."""
    plain = unicodedata.normalize("NFKD", stem(spec.video)).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip(".-")
    return f"{plain[: MAX_STEM - len(token) - 1].rstrip('.-') or 'job'}-{token}"


def output_path(spec: JobSpec, job_id: str) -> str:
    """The path under the output directory, with forward slashes, that the entry's template gives."""
    template = spec.output or DEFAULT_OUTPUT
    head, dot, suffix = template.rpartition("/")[2].rpartition(".")
    if not head or not _LITERAL_SUFFIX.fullmatch(dot + suffix):
        template += SUFFIX
    return "/".join(_component(part, spec, job_id) for part in template.split("/"))


def _component(template: str, spec: JobSpec, job_id: str) -> str:
    filled = PLACEHOLDER.sub(lambda found: safe(_value(found[1], spec, job_id)), template)
    return fitting(not_reserved(filled))


def _value(field: str, spec: JobSpec, job_id: str) -> str:
    if field == "id":
        return job_id
    if field.startswith("tag."):
        return spec.tags.get(field.removeprefix("tag."), "")
    if field == "video.stem":
        return stem(spec.video)
    if field == "audio.stem":
        return stem(spec.audio)
    return str(spec.generation_mode) if field == "generation_mode" else spec.name or ""


def safe(value: str) -> str:
    """`value` as a part of one file name: no separators, control characters, or dots and spaces at its ends."""
    plain = value
    if not value.isprintable() or _SEPARATORS.search(value):
        plain = "".join("-" if char in "/\\:" or not char.isprintable() else char for char in value)
    return plain.strip(". ") or "-"


def not_reserved(name: str) -> str:
    """`name`, or with an underscore after its first part where Windows keeps that for a device."""
    first, dot, rest = name.partition(".")
    return f"{first}_{dot}{rest}" if first.strip().lower() in RESERVED_NAMES else name


def fitting(name: str) -> str:
    """`name`, or where it is too long its beginning, a digest of the whole, and its suffix."""
    if len(name.encode()) <= MAX_COMPONENT:
        return name
    head, dot, suffix = name.rpartition(".")
    if not dot or not _LITERAL_SUFFIX.fullmatch(dot + suffix):
        head, suffix = name, ""
    tail = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}{dot if suffix else ''}{suffix}"
    return head.encode()[: MAX_COMPONENT - len(tail)].decode(errors="ignore").rstrip(". ") + tail
