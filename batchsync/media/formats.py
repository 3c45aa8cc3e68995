"""What a file really is, by its first bytes: the formats that people mistake for one another, not all there are."""

from __future__ import annotations

from batchsync.model.formats import AUDIO_FORMATS, OTHER_FORMATS, UNKNOWN

HEAD_BYTES = 4096  # enough for every signature, and for an ID3 tag without a picture

_ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"pnot", b"skip", b"free", b"moof", b"styp")
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heif", b"mif1", b"msf1")
_RIFF = {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}
_STARTS = {
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"#!AMR": "amr",
    b"ADIF": "aac",
    b"FLV\x01": "flv",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf",
    b"\x00\x00\x01\xba": "mpeg",
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"8BPS": "psd",
    b"%PDF-": "pdf",
    b"PK\x03\x04": "zip",
    b"Rar!\x1a\x07": "rar",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x1f\x8b\x08": "gzip",
    b"MZ\x90\x00": "exe",
    b"\x7fELF": "exe",
    b"SQLite format 3\x00": "sqlite",
    b"version https://git-lfs.github.com/": "git-lfs",
}
_HTML = (b"<!doctype html", b"<html", b"<head", b"<?xml")


def recognise(head: bytes) -> str:
    """The format of the file that starts with `head`, `unknown` if it is none of those known here."""
    if head.startswith(b"ID3"):
        return _after_id3(head)
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    return _container(head) or _frames(head) or _html(head) or UNKNOWN


def kind_of(name: str) -> str | None:
    """`audio` or `other` where the format alone says so: what is in a video's container has to be looked for."""
    if name in AUDIO_FORMATS:
        return "audio"
    return "other" if name in OTHER_FORMATS else None


def _after_id3(head: bytes) -> str:
    """A tag that MP3s have, and now and then AAC and FLAC too: what follows it says which."""
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    found = recognise(head[10 + size :].lstrip(b"\0"))
    return found if found in ("aac", "flac", "aiff") else "mp3"


def _container(head: bytes) -> str | None:
    if head[4:8] in _ISO_BOXES:
        return "heif" if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS else "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska" if b"matroska" in head[:64] else "webm"
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _RIFF.get(head[8:12])
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "mpeg-ts"
    return None


def _frames(head: bytes) -> str | None:
    """Sound without a container: its first frame starts with eleven or twelve bits that are set."""
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 0xF < 13:
        return "aac"
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, sampling = head[2] >> 4, head[2] >> 2 & 3
    if head[1] & 0xE0 == 0xE0 and version != 1 and layer in (1, 2) and rate != 15 and sampling != 3:
        return "mp3"
    return None


def _html(head: bytes) -> str | None:
    """A page that says why there is no file, saved under the file's name."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return "html" if text.startswith(_HTML) else None
