"""The formats that a file's content can have: which extensions they may carry, and what people call them."""

from __future__ import annotations

from typing import NamedTuple

UNKNOWN = "unknown"


class Format(NamedTuple):
    """What people call it, and the extensions that it may carry at the vendor."""

    words: str
    extensions: frozenset[str]


def _format(words: str, extensions: str) -> Format:
    return Format(words, frozenset(extensions.split()))


# What the vendor takes. QuickTime and MP4 are one family: which of its names a file has, no decoder cares about.
MEDIA_FORMATS = {
    "mp4": _format("MP4 or QuickTime", "mp4 m4v mov m4a"),
    "webm": _format("WebM", "webm weba"),
    "wav": _format("WAV", "wav"),
    "mp3": _format("MP3", "mp3"),
    "aac": _format("AAC", "aac"),
    "flac": _format("FLAC", "flac"),
    "ogg": _format("Ogg", "ogg oga opus"),
    "aiff": _format("AIFF", "aiff"),
    "amr": _format("AMR", "amr"),
}
AUDIO_FORMATS = MEDIA_FORMATS.keys() - {"mp4", "webm"}

# Media, but of a kind that the vendor doesn't list.
UNSUPPORTED_FORMATS = {
    "matroska": "a Matroska video (MKV)",
    "avi": "an AVI video",
    "asf": "a Windows Media file",
    "flv": "a Flash video",
    "mpeg": "an MPEG program stream",
    "mpeg-ts": "an MPEG transport stream",
}
# Neither sound nor video.
OTHER_FORMATS = {
    "jpeg": "a JPEG picture",
    "png": "a PNG picture",
    "gif": "a GIF picture",
    "webp": "a WebP picture",
    "heif": "a HEIF or AVIF picture",
    "tiff": "a TIFF picture",
    "psd": "a Photoshop picture",
    "pdf": "a PDF document",
    "zip": "a ZIP archive, or a document made of one",
    "rar": "a RAR archive",
    "7z": "a 7-Zip archive",
    "gzip": "a gzip archive",
    "exe": "a program",
    "sqlite": "a database",
    "html": "a web page",
    "git-lfs": "a Git LFS pointer",
}
