"""Reads the bodies of requests as the OpenAPI file describes them; what doesn't fit is refused with 400."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from batchsync.model.job import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS, Mode
from batchsync.sandbox.project import Ask
from batchsync.sandbox.refusal import invalid
from batchsync.sandbox.world import World

IMAGE_EXTENSIONS = frozenset(
    {"png", "jpg", "jpeg", "jfif", "heic", "heif", "webp", "avif", "jp2", "tiff", "tif", "bmp", "gif", "webm"}
)
EXTENSIONS = {"video": VIDEO_EXTENSIONS, "audio": AUDIO_EXTENSIONS, "image": IMAGE_EXTENSIONS}
LARGEST = 1e9
YOUTUBE_HOSTS = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"})


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object, without the numbers that JSON doesn't know."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise invalid("The body is not valid JSON") from None
    if not isinstance(value, dict):
        raise invalid("The body must be an object")
    return value


def upload_items(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The (type, extension) of each file that upload URLs are asked for."""
    items = body.get("items")
    if not isinstance(items, list) or not items:
        raise invalid("items: expected a list with at least 1 item")
    return [_upload_item(f"items[{index}]", item) for index, item in enumerate(items)]


def lip_sync(body: Mapping[str, Any], world: World) -> Ask:
    """The request for a lip-sync, with its inputs looked up."""
    start = _number(body, "start_seconds", least=0)
    end = _number(body, "end_seconds", least=0.1)
    if end <= start:
        raise invalid("end_seconds: must be greater than start_seconds")
    name = body.get("name")
    if name is not None and not isinstance(name, str):
        raise invalid("name: expected a string")
    for key in ("width", "height"):
        if isinstance(body.get(key), bool) or not isinstance(body.get(key), int | None):
            raise invalid(f"{key}: expected an integer")
    assets = _object(body, "assets")
    return Ask(
        name=name,
        video=_video(assets, world),
        audio=_input("assets.audio_file_path", _string(assets, "audio_file_path", "assets."), "audio", world),
        start_seconds=start,
        end_seconds=end,
        mode=_mode(body),
        max_fps=_number(body, "max_fps_limit", least=1) if "max_fps_limit" in body else None,
    )


def _upload_item(place: str, item: object) -> tuple[str, str]:
    if not isinstance(item, dict):
        raise invalid(f"{place}: expected an object")
    kind, extension = (_string(item, key, f"{place}.") for key in ("type", "extension"))
    if kind not in EXTENSIONS:
        raise invalid(f"{place}.type: expected one of video, audio, image")
    if extension not in EXTENSIONS[kind]:
        raise invalid(f"{place}.extension: {extension!r} is not an extension of {kind} files")
    return kind, extension


def _video(assets: Mapping[str, Any], world: World) -> str:
    source = _string(assets, "video_source", "assets.")
    if source == "file":
        return _input("assets.video_file_path", _string(assets, "video_file_path", "assets."), "video", world)
    if source != "youtube":
        raise invalid("assets.video_source: expected file or youtube")
    url = _string(assets, "youtube_url", "assets.")
    if _host(url) not in YOUTUBE_HOSTS:
        raise invalid("assets.youtube_url: not a YouTube URL")
    return url


def _input(place: str, value: str, kind: str, world: World) -> str:
    if value.startswith(("https://", "http://")):
        if not _names_media(value, kind):
            raise invalid(f"{place}: the URL must end in the extension of a {kind} file, or be of your library")
        return value
    extension = value.rpartition(".")[2]
    if extension not in EXTENSIONS[kind]:
        raise invalid(f"{place}: not a {kind} file")
    if world.asset(value) is None:
        raise invalid(f"{place}: the file does not exist, or has expired")
    return value


def _names_media(url: str, kind: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.hostname == "magichour.ai" and parts.path == "/my-library":
        return bool(parse_qs(parts.query).get("videoId"))
    return bool(parts.hostname) and parts.path.rpartition(".")[2].lower() in EXTENSIONS[kind]


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") else None


def _mode(body: Mapping[str, Any]) -> Mode:
    style = _object(body, "style") if "style" in body else {}
    mode = style.get("generation_mode", "lite")
    if mode not in list(Mode):
        raise invalid("style.generation_mode: expected one of lite, standard, pro")
    return Mode(mode)


def _object(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    if not isinstance(value, dict):
        raise invalid(f"{key}: {'expected an object' if key in body else 'required'}")
    return value


def _string(body: Mapping[str, Any], key: str, place: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise invalid(f"{place}{key}: {'expected a text' if key in body else 'required'}")
    return value


def _number(body: Mapping[str, Any], key: str, *, least: float) -> float:
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(f"{key}: {'expected a number' if key in body else 'required'}")
    if not least <= value <= LARGEST:
        raise invalid(f"{key}: must be at least {least:g}")
    return float(value)


def _no_constant(text: str) -> float:
    raise ValueError(text)
