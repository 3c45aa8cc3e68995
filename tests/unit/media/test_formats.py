"""What a file is, told from its first bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.media import formats
from batchsync.media.formats import kind_of, recognise
from batchsync.model.formats import MEDIA_FORMATS, OTHER_FORMATS, UNKNOWN, UNSUPPORTED_FORMATS
from batchsync.model.job import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS

MEDIA = Path(__file__).parents[3] / "manifests" / "media"
EVERY = {*MEDIA_FORMATS, *UNSUPPORTED_FORMATS, *OTHER_FORMATS, UNKNOWN}
SYNC = b"\x47" + bytes(187)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x20ftypisom\0\0\2\0", "mp4"),
        (b"\0\0\0\x14ftypqt  ", "mp4"),
        (b"\0\0\0\x14ftypM4A ", "mp4"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mp4"),
        (b"\0\0\0\x20ftypavif", "heif"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "webm"),
        (b"\x1a\x45\xdf\xa3\xa3B\x86\x81\x01B\x82\x88matroska", "matroska"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "wav"),
        (b"RIFF\x24\0\0\0AVI LIST", "avi"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x24\0\0\0CDXA", UNKNOWN),
        (b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\x64", "mp3"),
        (b"ID3\x04\0\0\0\0\0\x02\0\0\xff\xf1\x50\x80", "aac"),
        (b"ID3\x04\0\0\x7f\x7f\x7f\x7f", "mp3"),
        (b"ID3", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf3\x70\xc0", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"\xff\xfe<\0h\0t\0", UNKNOWN),  # text in UTF-16
        (b"\xff\xfea\0b\0", UNKNOWN),
        (b"\xff\xff\xff\xff", UNKNOWN),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"OggS\0\x02", "ogg"),
        (b"FORM\0\0\0\x2eAIFFCOMM", "aiff"),
        (b"FORM\0\0\0\x2eAIFCFVER", "aiff"),
        (b"#!AMR-WB\n", "amr"),
        (SYNC * 3, "mpeg-ts"),
        (b"G" * 99, UNKNOWN),
        (b"\x00\x00\x01\xba\x44", "mpeg"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpeg"),
        (b"%PDF-1.7", "pdf"),
        (b"PK\x03\x04\x14\0", "zip"),
        (b"MZ\x90\0\x03", "exe"),
        (b"\n  <!DOCTYPE html><title>Sign in</title>", "html"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "git-lfs"),
        (b"media of video-1.mp4 media of", UNKNOWN),
        (b"", UNKNOWN),
        (b"x", UNKNOWN),
    ],
)
def test_a_format_is_told_by_its_first_bytes(head: bytes, name: str) -> None:
    assert recognise(head) == name


def test_the_examples_are_what_their_names_say() -> None:
    found = {path.suffix: recognise(path.read_bytes()[:4096]) for path in MEDIA.iterdir()}
    assert found == {".mp4": "mp4", ".wav": "wav", ".mp3": "mp3"}


@given(st.binary(max_size=400) | st.binary(max_size=60).map(lambda rest: b"ID3" + rest))
def test_any_bytes_have_a_format_that_is_known_or_none(head: bytes) -> None:
    assert recognise(head) in EVERY


def test_every_format_has_its_words_and_every_extension_that_the_vendor_takes_its_format() -> None:
    assert {*formats._STARTS.values(), *formats._RIFF.values()} <= EVERY
    covered = frozenset().union(*(one.extensions for one in MEDIA_FORMATS.values()))
    assert covered == VIDEO_EXTENSIONS | AUDIO_EXTENSIONS
    assert {kind_of(name) for name in OTHER_FORMATS} == {"other"}
    assert (kind_of("mp3"), kind_of("mp4"), kind_of("webm"), kind_of(UNKNOWN)) == ("audio", None, None, None)
