"""A mapping of the tree into flat columns (`tag.lang`, `style.generation_mode`), with every fault of its shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from batchsync.manifest.columns import bad_tag, is_known, unknown_hint
from batchsync.manifest.tree import Items, Node, Pairs, Scalar, kind_of
from batchsync.manifest.values import trim
from batchsync.model.problem import Place, Problem

NESTED = {"tags": "tag.", "assets": "assets.", "style": "style."}

Defaults = dict[str, tuple[str, int]]  # column → its text and line


@dataclass(slots=True)
class Faults:
    """Where the faults of one entry go. What stands on the entry's own `line` has its `place`.

    `bad` are the columns that are there, but can't be read.
    """

    problems: list[Problem]
    place: Place
    line: int
    bad: set[str] = field(default_factory=set)

    def at(self, line: int) -> Place:
        return self.place if line == self.line else Place(self.place.file, line)

    def add(
        self, line: int, message: str, column: str | None = None, hint: str | None = None, value: str | None = None
    ) -> None:
        self.problems.append(Problem(self.at(line), message, column=column, value=value, hint=hint))


def flat(node: Pairs, faults: Faults) -> Defaults:
    """Columns with their texts and lines; a null is an empty text."""
    found: Defaults = {}
    for column, line, value in leaves(node, faults):
        if not isinstance(value, Scalar):
            hint = "lists are for entries of `matrix`" if isinstance(value, Items) else None
            faults.add(line, f"must be a single value, not {kind_of(value)}", column, hint)
            if is_known(column):
                faults.bad.add(column)
        elif not is_known(column):
            faults.add(line, "there is no such key", column, unknown_hint(column))
        elif column in found:
            faults.add(line, "is there twice in this entry", column, "keep one of them")
        elif column.startswith("tag.") and (wrong := bad_tag(column)):
            faults.add(line, wrong, column)
        else:
            found[column] = trim(value.text or ""), line
    return found


def leaves(node: Pairs, faults: Faults) -> Iterator[tuple[str, int, Node]]:
    """Every key with its line and value; those of `tags`, `assets` and `style` as columns of their own."""
    again(node, faults)
    for key, (line, value) in node.items.items():
        prefix = NESTED.get(key)
        if prefix is None:
            yield key, line, value
        elif isinstance(value, Pairs):
            again(value, faults)
            for inner, (inner_line, item) in value.items.items():
                yield prefix + inner, inner_line, item
        elif not isinstance(value, Scalar) or value.text is not None:
            faults.add(line, f"must be a mapping, not {kind_of(value)}", key, _example(key))


def again(node: Pairs, faults: Faults) -> None:
    """Say which keys of `node` came twice."""
    for key, line in node.again:
        faults.add(line, "this key is there twice", key, "keep one of them")


def _example(key: str) -> str:
    examples = {
        "tags": {"lang": "de"},
        "assets": {"video_source": "file", "video_file_path": "…", "audio_file_path": "…"},
        "style": {"generation_mode": "lite"},
    }
    return f"such as {key}: {json.dumps(examples[key], ensure_ascii=False)}".replace('"', "")
