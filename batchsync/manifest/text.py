"""A manifest's bytes, and the text in them: bounded, in the encodings that editors and spreadsheets write."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import BinaryIO, NoReturn

from batchsync.errors import ManifestError
from batchsync.model.problem import Place, Problem

MAX_BYTES = 64 * 1024 * 1024

# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def unreadable(file: str, message: str, hint: str | None = None, line: int | None = None) -> NoReturn:
    """Raise the ManifestError of a manifest that can't be read at all."""
    problem = Problem(Place(file, line), message, hint=hint)
    raise ManifestError(str(problem), [problem])


def read_file(path: Path, file: str) -> bytes:
    """The bytes of a manifest. Raises ManifestError."""
    try:
        if path.is_dir():
            unreadable(file, "is a folder, not a manifest")
        with path.open("rb") as stream:
            return read_stream(stream, file)
    except FileNotFoundError:
        unreadable(file, "there is no such file", "`batchsync init` writes a manifest to start from")
    except (OSError, ValueError) as error:
        unreadable(file, f"can't be read: {getattr(error, 'strerror', None) or error}")


def read_stream(stream: BinaryIO, file: str) -> bytes:
    """Everything in `stream`, at most MAX_BYTES. Raises ManifestError."""
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        unreadable(file, f"is larger than {MAX_BYTES // 2**20} MiB", "split it into several manifests")
    if not data.strip():
        unreadable(file, "is empty", "`batchsync init` writes a manifest to start from")
    return data


def decode(data: bytes, file: str, *, legacy: bool) -> str:
    """The text in `data`; with `legacy`, what isn't Unicode is read as Windows-1252. Raises ManifestError."""
    if data.startswith(b"PK\x03\x04"):
        unreadable(file, "is a workbook or an archive, not a text file", "export it as CSV (UTF-8)")
    text = _decode(data, file, legacy)
    if "\0" in text:
        _binary(file)
    if not text.strip():
        unreadable(file, "is empty", "`batchsync init` writes a manifest to start from")
    return text


def _decode(data: bytes, file: str, legacy: bool) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strictly(data[len(mark) :], encoding, file)
    if guess := _unmarked_utf16(data):
        return _strictly(data, guess, file)
    if b"\0" in data:
        _binary(file)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _strictly(data, "cp1252" if legacy else "utf-8", file)


def _binary(file: str) -> NoReturn:
    unreadable(file, "is not a text file", "a manifest is CSV, TSV, YAML, JSON or JSON Lines")


def _unmarked_utf16(data: bytes) -> str | None:
    # ASCII characters, which every manifest's first line is made of, have a zero byte in UTF-16.
    head = data[:64]
    if len(head) < 4 or head.count(0) < len(head) // 3:
        return None
    return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"


def _strictly(data: bytes, encoding: str, file: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        unreadable(file, f"byte {data[error.start]:#04x} is not {encoding.upper()} text", "save it as UTF-8", line)


def absolute(source: str | Path) -> str:
    """The absolute path of a manifest, links kept."""
    return os.path.abspath(source)
