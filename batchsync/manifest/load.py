"""`load`: a manifest of any format into job specs, with every fault and warning in the order of the file."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batchsync.manifest.document import read_document, read_lines
from batchsync.manifest.entry import Raw
from batchsync.manifest.spec import deprecation, spec_of
from batchsync.manifest.table import read_table
from batchsync.manifest.text import absolute, decode, read_file, read_stream
from batchsync.model.collector import collector_paused
from batchsync.model.job import JobSpec
from batchsync.model.problem import Problem

STDIN = "-"
FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_YAML_START = re.compile(r"""(---|- |-$|%YAML|["']?[\w.]+["']?\s*:(\s|$))""")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as read. `path` is absolute, or `-`; relative paths in it start at `base`.

    `specs` are the entries without a fault; `problems` the faults and warnings, in the order of the file;
    `digest` is the SHA-256 of its bytes, in hex.
    """

    path: str
    base: Path
    format: str
    columns: tuple[str, ...]
    specs: tuple[JobSpec, ...]
    problems: tuple[Problem, ...]
    digest: str


def load(source: str | Path, *, stdin: BinaryIO | None = None) -> Manifest:
    """Read the manifest at `source`; `-` is standard input, or `stdin` if given.

    Raises ManifestError only where there is nothing to read: no such file, a folder, not a text, empty.
    """
    file = str(source)
    if file == STDIN:
        data = read_stream(stdin or sys.stdin.buffer, file)
        path, base, suffix = STDIN, Path.cwd(), ""
    else:
        path = absolute(source)
        data = read_file(Path(path), file)
        base, suffix = Path(path).parent, Path(path).suffix.lower()
    known = FORMATS.get(suffix)
    text = decode(data, file, legacy=known in (None, "csv", "tsv"))
    format = known or sniff(text)
    with collector_paused():
        return _manifest(path, base, format, _read(text, file, format), hashlib.sha256(data).hexdigest())


def sniff(text: str) -> str:
    """The format of a text that no file name gives away."""
    lines = [line.strip() for line in text.lstrip()[:100_000].splitlines()]
    first = next((line for line in lines if line and not line.startswith("#")), "")
    if first.startswith("["):
        return "json"
    if first.startswith("{"):
        return "jsonl" if first.endswith("}") and any(line.startswith("{") for line in lines[1:]) else "json"
    return "yaml" if _YAML_START.match(first) else "csv"


def _read(text: str, file: str, format: str) -> Raw:
    if format in ("csv", "tsv"):
        return read_table(text, file)
    if format != "yaml" and "\n" not in text:
        text = text.replace("\r", "\n")  # as old Macs end lines; JSON has them only between values
    if format == "jsonl":
        return read_lines(text, file)
    return read_document(text, file, format)


def _manifest(path: str, base: Path, format: str, raw: Raw, digest: str) -> Manifest:
    # A fault in `defaults` comes up in every entry, but stands in one place: a dict says it once.
    problems = dict.fromkeys(raw.problems)
    specs: list[JobSpec] = []
    warned = False
    for entry in raw.entries:
        found: list[Problem] = []
        spec = spec_of(entry, base, found)
        if not warned and (warning := deprecation(entry)):
            found.append(warning)
            warned = True
        if spec is not None:
            specs.append(spec)
        problems.update(dict.fromkeys(found))
    ordered = sorted(problems, key=lambda problem: problem.place.order)
    return Manifest(path, base, format, raw.columns, tuple(specs), tuple(ordered), digest)
