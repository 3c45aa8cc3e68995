"""JSON into the tree: scalars stay what the user wrote, every key and item knows its line, faults are in words."""

from __future__ import annotations

import json
import re

from batchsync.manifest.entry import Broken
from batchsync.manifest.tree import MAX_NODES, Items, Node, Pairs, Scalar, too_many_values
from batchsync.manifest.values import TYPOGRAPHIC_QUOTES
from batchsync.model.problem import Place, Problem

MAX_DEPTH = 50  # a manifest needs six

_SPACE = re.compile(r"[ \t\r\n]*")
# A pair whose value is one plain scalar, and what follows it: nearly all that a manifest holds.
_PAIR = re.compile(
    r'[ \t\r\n]*"([^"\\\x00-\x1f]*)"[ \t\r\n]*:[ \t\r\n]*'
    r'(?:"([^"\\\x00-\x1f]*)"|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))[ \t\r\n]*([,}])',
    re.ASCII,
)
_SCALARS = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def read_json(text: str, place: Place) -> Node:
    """The tree of a JSON text that begins at `place`. Raises Broken."""
    return _Reader(text, place).read()


class _Reader:
    """Reads from `at` on; `line` is that of `counted`, the place up to which line ends are counted."""

    def __init__(self, text: str, place: Place) -> None:
        self.text = text
        self.file = place.file
        self.at = 0
        self.line = place.line or 1
        self.counted = 0
        self.total = 0

    def read(self) -> Node:
        node = self.value(0)
        if self.next():
            raise self.broken("it goes on after its end", "one job a line is JSON Lines: name the file .jsonl")
        return node

    def value(self, depth: int) -> Node:
        char = self.next()
        if depth > MAX_DEPTH:
            raise Broken(Problem(Place(self.file, self.here()), "is nested too deeply"))
        if char == "{":
            return self.pairs(depth)
        if char == "[":
            return self.items(depth)
        line = self.here()
        return Scalar(self.scalar("a value"), line)

    def pairs(self, depth: int) -> Pairs:
        node = Pairs(self.here())
        end = self.opened("}")
        while end != "}":
            if found := _PAIR.match(self.text, self.at):
                key, string, other, end = found.groups()
                line = self.here(found.start(1))
                self.at = found.end()
                value: Node = Scalar(string if other is None else None if other == "null" else other, line)
            else:
                key, line = self.key()
                value = self.value(depth + 1)
                end = self.after("}")
            self.count()
            node.put(key, line, value)
        return node

    def items(self, depth: int) -> Items:
        node = Items(self.here())
        end = self.opened("]")
        while end != "]":
            if self.next() == "]":
                raise self.broken("there is a comma too many before ]")
            node.items.append(self.value(depth + 1))
            end = self.after("]")
            self.count()
        return node

    def opened(self, closing: str) -> str:
        """Go into an object or list; `closing` if it ends at once."""
        self.at += 1
        if self.next() != closing:
            return ""
        self.at += 1
        return closing

    def key(self) -> tuple[str, int]:
        char = self.next()
        if char == "}":
            raise self.broken("there is a comma too many before }")
        if char != '"':
            raise self.unexpected("a key in double quotes")
        line = self.here()
        key = self.scalar("a key in double quotes")
        if self.next() != ":":
            raise self.unexpected(f"a colon after the key {key!r}")
        self.at += 1
        return key or "", line

    def scalar(self, wanted: str) -> str | None:
        start = self.at
        try:
            value, self.at = _SCALARS.raw_decode(self.text, start)
        except json.JSONDecodeError as error:
            if self.text[start : start + 1] == '"':
                raise self.bad_string(error) from None
            raise self.unexpected(wanted) from None
        if isinstance(value, bool):
            return "true" if value else "false"
        return None if value is None else str(value)

    def after(self, closing: str) -> str:
        """The comma or `closing` that follows a value."""
        char = self.next()
        if char not in (",", closing):
            raise self.unexpected(f"a comma or {closing}")
        self.at += 1
        return char

    def next(self) -> str:
        """Go on to what isn't blank; its first character, or nothing at the end of the text."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def here(self, at: int | None = None) -> int:
        """The line of `at`, or of where the reader is."""
        place = self.at if at is None else at
        self.line += self.text.count("\n", self.counted, place)
        self.counted = place
        return self.line

    def count(self) -> None:
        self.total += 1
        if self.total > MAX_NODES:
            raise Broken(too_many_values(Place(self.file, self.here())))

    # --- faults ---

    def broken(self, message: str, hint: str | None = None) -> Broken:
        column = self.at - self.text.rfind("\n", 0, self.at)
        said = f"this is not JSON: {message} (column {column})"
        return Broken(Problem(Place(self.file, self.here()), said, hint=hint))

    def unexpected(self, wanted: str) -> Broken:
        char = self.text[self.at : self.at + 1]
        if not char:
            return self.broken(f"it ends where {wanted} should be")
        if char in TYPOGRAPHIC_QUOTES:
            return self.broken(f"{char} is a typographic quote", 'JSON takes straight ones only: "')
        hints = {"'": "JSON's quotes are double: \"", "#": "JSON has no comments", "/": "JSON has no comments"}
        return self.broken(f"{char!r} where {wanted} should be", hints.get(char))

    def bad_string(self, error: json.JSONDecodeError) -> Broken:
        rest = self.text[self.at : self.at + 10_000].partition("\n")[0]
        quote = next((char for char in rest if char in TYPOGRAPHIC_QUOTES), None)
        if quote and not rest.count('"', 1):
            return self.broken("the quote that opens here is not closed", f'{quote} is not a straight quote: "')
        if error.msg.startswith("Unterminated"):
            return self.broken("the quote that opens here is not closed")
        self.at = error.pos
        if error.msg.startswith("Invalid control"):
            return self.broken("a line end or control character inside quotes", "a line end is written \\n")
        return self.broken(error.msg, "a backslash is written \\\\" if "scape" in error.msg else None)
