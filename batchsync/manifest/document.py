"""The tree of a YAML or JSON manifest into entries: `version`, `defaults` and `jobs`, or a bare list."""

from __future__ import annotations

import json
from collections.abc import Iterator

from batchsync.manifest.columns import COLUMNS, SAME, bad_tag, is_known, meant, unknown_hint
from batchsync.manifest.entry import MAX_ENTRIES, Broken, Entry, Raw, no_entries, too_many
from batchsync.manifest.tree import Items, Node, Pairs, Scalar, kind_of, read_json, read_yaml
from batchsync.model.problem import Place, Problem

TOP = ("version", "defaults", "jobs", "matrix")
_NESTED = {"tags": "tag.", "assets": "assets.", "style": "style."}
_ENTRY_KEYS = frozenset({*COLUMNS, *_NESTED})


def read_document(text: str, file: str, format: str) -> Raw:
    """The entries of a YAML or JSON manifest."""
    raw = Raw()
    try:
        root = read_yaml(text, file) if format == "yaml" else read_json(text, Place(file))
        _Document(file, raw).read(root)
    except Broken as broken:
        raw.problems.append(broken.problem)
    return raw


def read_lines(text: str, file: str) -> Raw:
    """The entries of JSON Lines: one object a line."""
    raw = Raw()
    document = _Document(file, raw)
    # Only \n ends a line: JSON texts may hold the other characters that str.splitlines splits at.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = Place(file, number)
        if len(raw.entries) == MAX_ENTRIES:
            raw.problems.append(too_many(place))
            break
        try:
            document.entry(read_json(line, place), place, {})
        except Broken as broken:
            raw.problems.append(broken.problem)
    document.finish()
    return raw


class _Document:
    """Walks a tree; every fault in it goes to `raw.problems`."""

    def __init__(self, file: str, raw: Raw) -> None:
        self.file = file
        self.raw = raw
        self.columns: dict[str, None] = {}

    def read(self, root: Node) -> None:
        if isinstance(root, Items):
            self._jobs(root, {})
        elif isinstance(root, Pairs) and not root.items.keys() & set(TOP) and root.items.keys() & _ENTRY_KEYS:
            self.entry(root, self._place(root.line, 1), {})
        elif isinstance(root, Pairs):
            self._top(root)
        else:
            raise Broken(
                Problem(Place(self.file), "is not a manifest", hint="it holds `jobs:` and a list, or just a list")
            )
        self.finish()

    def finish(self) -> None:
        self.raw.columns = tuple(self.columns)
        if not self.raw.entries and not self.raw.problems:
            self.raw.problems.append(no_entries(self.file))

    def fault(self, place: Place, message: str, column: str | None = None, hint: str | None = None) -> None:
        self.raw.problems.append(Problem(place, message, column=column, hint=hint))

    def _place(self, line: int | None, entry: int | None = None) -> Place:
        return Place(self.file, line, None if line is not None else entry)

    def _top(self, root: Pairs) -> None:
        self._again(root, Place(self.file, root.line))
        for key, (line, node) in root.items.items():
            if key not in TOP:
                hint = meant(key, TOP) or f"the keys here are {', '.join(TOP)}"
                self.fault(self._place(line), "there is no such key", key, hint)
            elif key == "matrix":
                self.fault(self._place(line), "is not supported by this version", key, "write the jobs out")
            elif key == "version":
                self._version(node, self._place(line))
        defaults = self._defaults(root)
        if "jobs" in root.items:
            line, jobs = root.items["jobs"]
            if isinstance(jobs, Items):
                self._jobs(jobs, defaults)
            elif not isinstance(jobs, Scalar) or jobs.text is not None:
                self.fault(self._place(line), f"must be a list of jobs, not {kind_of(jobs)}", "jobs")

    def _version(self, node: Node, place: Place) -> None:
        text = node.text if isinstance(node, Scalar) else None
        if text != "1":
            problem = Problem(place, "this version of batchsync reads version 1", column="version", value=text)
            self.raw.problems.append(problem)

    def _defaults(self, root: Pairs) -> dict[str, tuple[str, Place]]:
        if "defaults" not in root.items:
            return {}
        line, node = root.items["defaults"]
        place = self._place(line)
        if isinstance(node, Scalar) and node.text is None:
            return {}
        if not isinstance(node, Pairs):
            self.fault(place, f"must be a mapping of keys, not {kind_of(node)}", "defaults")
            return {}
        found = dict(self._flat(node, place))
        if "id" in found:
            self.fault(found.pop("id")[1], "can't have a default: every id is another one", "id")
        return found

    def _jobs(self, jobs: Items, defaults: dict[str, tuple[str, Place]]) -> None:
        for number, node in enumerate(jobs.items, start=1):
            place = self._place(node.line, number)
            if number > MAX_ENTRIES:
                raise Broken(too_many(place))
            self.entry(node, place, defaults)

    def entry(self, node: Node, place: Place, defaults: dict[str, tuple[str, Place]]) -> None:
        """Read one entry; what it doesn't say, `defaults` say for it."""
        if not isinstance(node, Pairs):
            self.fault(place, f"an entry must be a mapping of keys, not {kind_of(node)}")
            return
        own = dict(self._flat(node, place))
        said = [same for same in SAME if same & own.keys()]
        found = {key: pair for key, pair in defaults.items() if not any(key in same for same in said)} | own
        self.columns.update(dict.fromkeys(found))
        values = {column: text for column, (text, _) in found.items() if text}
        places = {column: at for column, (_, at) in found.items() if at is not place}
        self.raw.entries.append(Entry(place, values, places))

    def _flat(self, node: Pairs, place: Place) -> Iterator[tuple[str, tuple[str, Place]]]:
        """Columns with their texts and places; a null is an empty text."""
        seen: set[str] = set()
        for column, line, value in self._leaves(node, place):
            at = place if line is None or line == place.line else Place(self.file, line)
            if not isinstance(value, Scalar):
                self.fault(at, f"must be a single value, not {kind_of(value)}", column)
            elif not is_known(column):
                self.fault(at, "there is no such key", column, unknown_hint(column))
            elif column.startswith("tag.") and (wrong := bad_tag(column)):
                self.fault(at, wrong, column)
            elif column in seen:
                self.fault(at, "is there twice in this entry", column, "keep one of them")
            else:
                seen.add(column)
                yield column, ((value.text or "").strip(), at)

    def _leaves(self, node: Pairs, place: Place) -> Iterator[tuple[str, int | None, Node]]:
        self._again(node, place)
        for key, (line, value) in node.items.items():
            prefix = _NESTED.get(key)
            if prefix is None:
                yield key, line, value
            elif isinstance(value, Pairs):
                self._again(value, place)
                for inner, (inner_line, item) in value.items.items():
                    yield prefix + inner, inner_line, item
            elif not isinstance(value, Scalar) or value.text is not None:
                at = place if line is None else Place(self.file, line)
                self.fault(at, f"must be a mapping, not {kind_of(value)}", key, _example(key))

    def _again(self, node: Pairs, place: Place) -> None:
        for key, line in node.again:
            at = place if line is None else Place(self.file, line)
            self.fault(at, "this key is there twice", key, "keep one of them")


def _example(key: str) -> str:
    examples = {
        "tags": {"lang": "de"},
        "assets": {"video_source": "file", "video_file_path": "…", "audio_file_path": "…"},
        "style": {"generation_mode": "lite"},
    }
    return f"such as {key}: {json.dumps(examples[key], ensure_ascii=False)}".replace('"', "")
