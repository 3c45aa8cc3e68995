"""The axes of a matrix: lists of single values, each with its line."""

from __future__ import annotations

from dataclasses import dataclass

from batchsync.manifest.columns import is_known
from batchsync.manifest.flat import Faults
from batchsync.manifest.template import is_output_field
from batchsync.manifest.tree import Items, Node, Scalar, kind_of
from batchsync.manifest.values import trim
from batchsync.model.job import PLACEHOLDER


@dataclass(frozen=True, slots=True)
class Axis:
    """A list in an entry of `matrix`: its values in order, and the lines that they stand on."""

    name: str
    line: int
    values: tuple[str, ...]
    lines: tuple[int, ...]

    @property
    def longest(self) -> int:
        return max(map(len, self.values))


def read_axis(name: str, line: int, node: Items, faults: Faults) -> Axis | None:
    """The axis of a list; None, and its faults are said, if there is something wrong with it."""
    if not node.items:
        hint = f"such as {name}: [a, b]; or take the key out"
        faults.add(line, "is an empty list: there is nothing to combine", name, hint)
        return None
    seen: dict[str, int] = {}
    wrong = False
    for item in node.items:
        text = trim(item.text or "") if isinstance(item, Scalar) else ""
        fault = _fault(name, item, text, seen)
        if fault is None:
            seen[text] = item.line
        else:
            wrong = True
            faults.add(item.line, fault[0], name, fault[1], text or None)
    return None if wrong else Axis(name, line, tuple(seen), tuple(seen.values()))


def _fault(name: str, item: Node, text: str, seen: dict[str, int]) -> tuple[str, str] | None:
    if not isinstance(item, Scalar):
        return f"an axis holds single values, not {kind_of(item)}", f"such as {name}: [a, b]"
    if not text:
        return "has a blank value in its list", "write the value, or take it out"
    if text in seen:
        return "is there twice in this axis", "keep one of them"
    fields = PLACEHOLDER.findall(text)
    filled = next((field for field in fields if name != "output" or not is_output_field(field)), None)
    if filled is None:
        return None
    example = f"a list of your own, such as take: [a, b], and {name}: with {{take}} in it"
    hint = example if is_known(name) else "write the value itself"
    return f"is a value of an axis, where {{{filled}}} is not filled in: only single values are templates", hint
