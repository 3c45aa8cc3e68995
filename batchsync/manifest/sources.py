"""Where a video or an audio comes from: a local file, a URL, the vendor's own storage, YouTube."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from batchsync.manifest.values import Wrong, plain
from batchsync.model.job import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS, Source, SourceKind

_EXTENSIONS = {"video": VIDEO_EXTENSIONS, "audio": AUDIO_EXTENSIONS}
_YOUTUBE = ("youtube.com", "youtu.be", "youtube-nocookie.com")
_VENDOR = ("magichour.ai", "www.magichour.ai")


def source(text: str, role: str, base: Path) -> Source:
    """The source that `text` names; `role` is `video` or `audio`. Raises Wrong."""
    plain(text)
    scheme, slashes, _ = text.partition("://")
    if slashes:
        found = _url(text, scheme.lower(), role)
    elif text.startswith("api-assets/"):
        found = Source(SourceKind.ASSET, text)
    else:
        found = Source(SourceKind.FILE, os.path.normpath(os.path.join(base, text)))
        _supported([text], role)
    return found


@lru_cache(maxsize=8192)  # one video often stands in many rows
def _url(text: str, scheme: str, role: str) -> Source:
    if scheme == "http":
        raise Wrong("must be an https:// address", f"try https{text[4:]}")
    if scheme != "https":
        raise Wrong(f"{scheme}:// addresses can't be used", "a path, an https:// address, or api-assets/…")
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        raise Wrong("is not a web address") from None
    if not host or " " in text:
        raise Wrong("is not a web address", "a space in an address is written %20" if host else None)
    if any(host == name or host.endswith("." + name) for name in _YOUTUBE):
        if role == "audio":
            raise Wrong("an audio can't come from YouTube", "a file, or a direct https:// address of one")
        return Source(SourceKind.YOUTUBE, text)
    if host in _VENDOR and parts.path.startswith("/my-library"):
        return Source(SourceKind.LIBRARY, text)
    _supported(_names(parts), role)
    return Source(SourceKind.URL, text)


def _names(parts: SplitResult) -> list[str]:
    """Where a URL may have a file's name: its path, or a value of its query."""
    names = [unquote(parts.path)]
    return names + [value for _, value in parse_qsl(parts.query)] if parts.query else names


def file_name(text: str) -> str:
    """The last part of a path or address; of YouTube and the vendor's library, what identifies the video."""
    if "://" not in text:
        return text.rstrip("/").rpartition("/")[2]
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    query = dict(parse_qsl(parts.query))
    known = (parts.hostname or "") in _VENDOR or any((parts.hostname or "").endswith(name) for name in _YOUTUBE)
    if known and (found := query.get("v") or query.get("videoId")):
        return found
    return unquote(parts.path).rstrip("/").rpartition("/")[2]


def file_stem(text: str) -> str:
    """`file_name` without its suffix."""
    name = file_name(text)
    return name.rpartition(".")[0] or name


def _supported(names: list[str], role: str) -> None:
    suffixes = [os.path.splitext(name)[1].lower() for name in names]
    if any(suffix[1:] in _EXTENSIONS[role] for suffix in suffixes):
        return
    wrong = f"{suffixes[0]} is not" if suffixes[0] else "has no file extension that says it is"
    choices = ", ".join(sorted(_EXTENSIONS[role]))
    raise Wrong(f"{wrong} a kind of {role} that the vendor takes", f"one of {choices}")
