"""YAML into the tree: nothing is constructed whatever its tags say, and aliases are bounded."""

from __future__ import annotations

from typing import Any

import yaml

from batchsync.manifest.entry import Broken
from batchsync.manifest.tree import MAX_NODES, Items, Node, Pairs, Scalar, too_many_values
from batchsync.model.problem import Place, Problem

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TEXT_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str"})


def read_yaml(text: str, file: str) -> Node:
    """The tree of a YAML text. Nothing is constructed, whatever its tags say. Raises Broken."""
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.take(event)
    except yaml.YAMLError as error:
        raise Broken(_yaml_fault(error, file)) from None
    except RecursionError:
        raise Broken(Problem(Place(file), "is nested too deeply")) from None
    return builder.root or Scalar(None)


def _yaml_fault(error: yaml.YAMLError, file: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        said = ", ".join(filter(None, [error.context, error.problem]))
        tabs = "indent with spaces, not tabs" if "\\t" in said or "tab" in said else None
        return Problem(Place(file, mark.line + 1 if mark else None), f"this is not YAML: {said}", hint=tabs)
    if isinstance(error, yaml.reader.ReaderError):
        return Problem(Place(file), f"this is not YAML: {error.reason}")
    return Problem(Place(file), f"this is not YAML: {error}")


class _Builder:
    """Builds the tree from the parser's events, without recursion."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.total = 0
        self.open: list[tuple[Items | Pairs, str | None]] = []
        self.keys: list[tuple[str, int] | None] = []  # per open node: a key that waits for its value
        self.anchors: dict[str, Node | None] = {}  # None while its node is still open

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor, line)
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise self._broken(line, "a second document begins here", "a manifest is one YAML document")

    def _broken(self, line: int, message: str, hint: str | None = None) -> Broken:
        return Broken(Problem(Place(self.file, line), message, hint=hint))

    def _count(self, size: int, line: int) -> None:
        self.total += size
        if self.total > MAX_NODES:
            raise Broken(too_many_values(Place(self.file, line)))
        for node, _ in self.open[-1:]:
            node.size += size

    def _scalar(self, event: Any, line: int) -> None:
        if event.tag not in _TEXT_TAGS:
            raise self._broken(line, f"the YAML tag {event.tag!r} is not for manifests", "leave it out")
        waiting = self.keys[-1] if self.keys else None
        if self.open and isinstance(self.open[-1][0], Pairs) and waiting is None:
            self._count(1, line)
            self.keys[-1] = (event.value, line)
            if event.anchor is not None:
                self.anchors[event.anchor] = Scalar(event.value, line)
            return
        null = not event.style and event.value in _NULLS  # plain, not quoted
        self._add(Scalar(None if null else event.value, line), event.anchor, 1, line)

    def _start(self, event: Any, line: int) -> None:
        if event.tag not in (None, "!"):
            raise self._broken(line, f"the YAML tag {event.tag!r} is not for manifests", "leave it out")
        if self.open and isinstance(self.open[-1][0], Pairs) and self.keys[-1] is None:
            raise self._broken(line, "a key must be a single value")
        self.total += 1
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        node: Items | Pairs = Pairs(line) if isinstance(event, yaml.MappingStartEvent) else Items(line)
        self.open.append((node, event.anchor))
        self.keys.append(None)

    def _end(self) -> None:
        node, anchor = self.open.pop()
        self.keys.pop()
        if isinstance(node, Pairs):
            self._merge(node)
        self.total -= node.size  # counted again as the child of its parent
        self._add(node, anchor, node.size, node.line)

    def _alias(self, anchor: str | None, line: int) -> None:
        if anchor is None or anchor not in self.anchors:
            raise self._broken(line, f"the alias *{anchor} has no anchor &{anchor} before it")
        node = self.anchors[anchor]
        if node is None:
            raise self._broken(line, f"the alias *{anchor} stands inside what it stands for")
        if isinstance(self.open[-1][0], Pairs) and self.keys[-1] is None:
            raise self._broken(line, "a key can't be an alias")
        self._add(node, None, 1 if isinstance(node, Scalar) else node.size, line)

    def _add(self, node: Node, anchor: str | None, size: int, line: int) -> None:
        self._count(size, line)
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.open:
            self.root = node
            return
        parent = self.open[-1][0]
        if isinstance(parent, Items):
            parent.items.append(node)
            return
        waiting = self.keys[-1]
        assert waiting is not None
        parent.put(*waiting, node)
        self.keys[-1] = None

    def _merge(self, node: Pairs) -> None:
        """YAML's merge key: `<<: *base` gives what the mapping itself doesn't say."""
        if "<<" not in node.items:
            return
        line, value = node.items.pop("<<")
        for base in value.items if isinstance(value, Items) else [value]:
            if not isinstance(base, Pairs):
                raise self._broken(line, "<< takes a mapping, or a list of them")
            for key, pair in base.items.items():
                node.items.setdefault(key, pair)
