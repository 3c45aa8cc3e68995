"""The tree of a YAML or JSON manifest into entries: `version`, `defaults`, `jobs` and `matrix`, or a bare list."""

from __future__ import annotations

from collections import Counter

from batchsync.manifest.columns import COLUMNS, SAME, meant
from batchsync.manifest.entry import MAX_ENTRIES, Broken, Entry, Raw, no_entries, too_many
from batchsync.manifest.flat import NESTED, Defaults, Faults, again, flat
from batchsync.manifest.json_text import read_json
from batchsync.manifest.matrix import Matrix, read_matrix
from batchsync.manifest.tree import MAX_NODES, Items, Node, Pairs, Scalar, kind_of
from batchsync.manifest.yaml_text import read_yaml
from batchsync.model.problem import Place, Problem

TOP = ("version", "defaults", "jobs", "matrix")
MAX_FILLED = 256 * 2**20  # characters that the templates of all matrices may become
_ENTRY_KEYS = frozenset({*COLUMNS, *NESTED})


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
        self.values = 0  # of all matrices, like the characters
        self.characters = 0

    def read(self, root: Node) -> None:
        if isinstance(root, Items):
            self._jobs(root, {})
        elif isinstance(root, Pairs) and not root.items.keys() & set(TOP) and root.items.keys() & _ENTRY_KEYS:
            self.entry(root, Place(self.file, root.line), {})
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

    def faults(self, line: int) -> Faults:
        return Faults(self.raw.problems, Place(self.file, line), line)

    def _top(self, root: Pairs) -> None:
        faults = self.faults(root.line)
        again(root, faults)
        for key, (line, node) in root.items.items():
            if key not in TOP:
                hint = meant(key, TOP) or f"the keys here are {', '.join(TOP)}"
                faults.add(line, "there is no such key", key, hint)
            elif key == "version" and (not isinstance(node, Scalar) or node.text != "1"):
                value = node.text if isinstance(node, Scalar) else None
                faults.add(line, "this version of batchsync reads version 1", key, value=value)
        defaults = self._defaults(root)
        for key, (line, node) in root.items.items():
            if key not in ("jobs", "matrix") or (isinstance(node, Scalar) and node.text is None):
                continue
            if key == "matrix":
                self._matrix(node, defaults)
            elif isinstance(node, Items):
                self._jobs(node, defaults)
            else:
                faults.add(line, f"must be a list of jobs, not {kind_of(node)}", "jobs")

    def _defaults(self, root: Pairs) -> Defaults:
        line, node = root.items.get("defaults", (root.line, Scalar(None)))
        faults = self.faults(line)
        if isinstance(node, Scalar) and node.text is None:
            return {}
        if not isinstance(node, Pairs):
            faults.add(line, f"must be a mapping of keys, not {kind_of(node)}", "defaults")
            return {}
        found = flat(node, faults)
        if "id" in found:
            faults.add(found.pop("id")[1], "can't have a default: every id is another one", "id")
        return found

    def _jobs(self, jobs: Items, defaults: Defaults) -> None:
        on_line = Counter(node.line for node in jobs.items)
        jobs.items.reverse()  # taken from its end, the tree goes away while the entries grow
        number = 0
        while jobs.items:
            node = jobs.items.pop()
            number += 1
            alone = on_line[node.line] == 1
            place = Place(self.file, node.line) if alone else Place(self.file, None, number)
            if len(self.raw.entries) == MAX_ENTRIES:
                raise Broken(too_many(place))
            self.entry(node, place, defaults)

    def entry(self, node: Node, place: Place, defaults: Defaults) -> None:
        """Read one entry; what it doesn't say, `defaults` say for it."""
        faults = Faults(self.raw.problems, place, node.line)
        if not isinstance(node, Pairs):
            faults.add(node.line, f"an entry must be a mapping of keys, not {kind_of(node)}")
            return
        found = flat(node, faults)
        values = {column: text for column, (text, _) in found.items() if text}
        lines = {column: line for column, (_, line) in found.items() if line != node.line}
        columns = found.keys()
        if defaults:
            said = [same for same in SAME if same & columns]
            kept = {c: pair for c, pair in defaults.items() if c not in found and not any(c in same for same in said)}
            values = {column: text for column, (text, _) in kept.items() if text} | values
            lines |= {column: line for column, (_, line) in kept.items()}
            self.columns.update(dict.fromkeys(kept))
        self.columns.update(dict.fromkeys(columns))
        self.raw.entries.append(Entry(place, values, lines, absent=frozenset(faults.bad)))

    def _matrix(self, node: Node, defaults: Defaults) -> None:
        for item in node.items if isinstance(node, Items) else [node]:
            faults = self.faults(item.line)
            if not isinstance(item, Pairs):
                faults.add(item.line, f"must be a mapping of axes and templates, not {kind_of(item)}", "matrix")
            elif matrix := read_matrix(item, defaults, faults):
                self._require_room(matrix, faults.place)
                self.columns.update(dict.fromkeys(matrix.columns))
                self.raw.entries.extend(matrix.entries())

    def _require_room(self, matrix: Matrix, place: Place) -> None:
        """Raise Broken, before anything is built, if a matrix makes more than a manifest may hold."""
        if len(self.raw.entries) + matrix.count > MAX_ENTRIES:
            raise Broken(too_many(place))
        self.values += matrix.values
        self.characters += matrix.characters
        if self.values > MAX_NODES or self.characters > MAX_FILLED:
            raise Broken(Problem(place, "makes more text than a manifest may hold", "matrix", hint="split it"))
