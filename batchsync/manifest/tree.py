"""The tree of text that YAML and JSON are read into: scalars as the user wrote them, every node with its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from sys import intern

from batchsync.model.problem import Place, Problem

# Enough for the most entries with every key; what aliases unfold to counts as if it were written out.
MAX_NODES = 5_000_000


@dataclass(slots=True)
class Scalar:
    """A value as text; None where the user wrote null or nothing."""

    text: str | None
    line: int = 1


@dataclass(slots=True)
class Items:
    """A list."""

    line: int = 1
    items: list[Node] = field(default_factory=list)
    size: int = 1


@dataclass(slots=True)
class Pairs:
    """A mapping: key → (line of the key, value). `again` holds keys that came twice, with the later lines."""

    line: int = 1
    items: dict[str, tuple[int, Node]] = field(default_factory=dict)
    again: list[tuple[str, int]] = field(default_factory=list)
    size: int = 1

    def put(self, key: str, line: int, value: Node) -> None:
        """Add a pair; the first of two with one key stays."""
        key = intern(key)  # every entry has the same ones
        if key in self.items:
            self.again.append((key, line))
        else:
            self.items[key] = (line, value)


Node = Scalar | Items | Pairs


def kind_of(node: Node) -> str:
    """What `node` is, in words."""
    return {Scalar: "a single value", Items: "a list", Pairs: "a mapping"}[type(node)]


def too_many_values(place: Place) -> Problem:
    """The fault of a document that holds more than MAX_NODES values."""
    return Problem(place, f"holds more than {MAX_NODES:,} values, aliases unfolded", hint="split it into several")
