"""`exclude`: the combinations of a matrix that make no job."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from batchsync.manifest.axes import Axis
from batchsync.manifest.columns import meant
from batchsync.manifest.flat import Faults, leaves
from batchsync.manifest.tree import Items, Node, Pairs, Scalar, kind_of
from batchsync.manifest.values import trim
from batchsync.model.problem import Problem

MAX_EXCLUDES = 10_000
MAX_SUGGESTED = 20  # looking for what was meant takes its time


class Excludes:
    """Each rule is column → value; a combination that has all the values of one is left out."""

    def __init__(self) -> None:
        self.rules: list[tuple[int, dict[str, str]]] = []
        self.faults = 0
        self.matched = 0

    def read(self, line: int, node: Node, axes: Mapping[str, Axis], others: Collection[str], faults: Faults) -> None:
        """Read the rules; `others` are keys of the entry that aren't axes, or have a fault of their own."""
        if isinstance(node, Scalar) and node.text is None:
            return
        items = node.items if isinstance(node, Items) else [node]
        if len(items) > MAX_EXCLUDES:
            faults.add(line, f"has {len(items):,} rules: at most {MAX_EXCLUDES:,}", "exclude", "write the jobs out")
            return
        for item in items:
            if isinstance(item, Pairs) and item.items:
                self._rule(item, axes, others, faults)
            else:
                what = "an empty mapping" if isinstance(item, Pairs) else kind_of(item)
                hint = f"such as exclude: [{{{next(iter(axes), 'lang')}: …}}]"
                faults.add(item.line, f"must be a list of mappings, not {what}", "exclude", hint)

    def _rule(self, item: Pairs, axes: Mapping[str, Axis], others: Collection[str], faults: Faults) -> None:
        rule: dict[str, str] = {}
        before = len(faults.problems)
        for name, line, value in leaves(item, faults):
            listed = f"the axes are {', '.join(list(axes)[:MAX_SUGGESTED]) or 'none'}"
            if name in axes and isinstance(value, Scalar):
                rule[name] = trim(value.text or "")
            elif name in axes:
                message = f"must be a single value, not {kind_of(value)}"
                faults.add(line, message, f"exclude.{name}", "a rule for each value")
            elif name in others:
                faults.add(line, "is not an axis of this matrix", f"exclude.{name}", listed)
            else:
                faults.add(line, "there is no such axis", f"exclude.{name}", meant(name, tuple(axes)) or listed)
        if len(faults.problems) == before and rule:
            self.rules.append((item.line, rule))

    def matcher(self, axes: Sequence[Axis]) -> Callable[[tuple[int, ...]], bool]:
        """Whether a combination is excluded. Each rule is a bit, and those that match are the ones of all values."""
        if not self.rules:
            return lambda choice: False
        every = (1 << len(self.rules)) - 1
        masks = [self._masks(axis) for axis in axes]

        def test(choice: tuple[int, ...]) -> bool:
            found = every
            for values, number in zip(masks, choice, strict=True):
                found &= values[number]
                if not found:
                    return False
            self.matched |= found
            return True

        return test

    def _masks(self, axis: Axis) -> list[int]:
        """For each value of `axis`, the rules that it is right for: those that ask for it, or for none of them."""
        free = sum(1 << bit for bit, (_, rule) in enumerate(self.rules) if axis.name not in rule)
        asked: dict[str, int] = {}
        for bit, (_, rule) in enumerate(self.rules):
            if axis.name in rule:
                asked[rule[axis.name]] = asked.get(rule[axis.name], 0) | 1 << bit
        return [free | asked[value] if value in asked else free for value in axis.values]

    def finish(self, axes: Sequence[Axis], left: int, faults: Faults) -> None:
        """Warn of rules that matched nothing; it's a fault if they left nothing."""
        if self.rules and not left:
            faults.add(self.rules[0][0], "leaves no combination", "exclude", "take one of its rules out")
        values = {axis.name: axis.values for axis in axes}
        idle = [rule for bit, rule in enumerate(self.rules) if not self.matched >> bit & 1]
        for number, (line, rule) in enumerate(idle):
            odd = next((name for name in rule if rule[name] not in values.get(name, ())), None)
            hint = meant(rule[odd], values[odd][:1000]) if odd in values and odd and number < MAX_SUGGESTED else None
            told = ", ".join(f"{name}={value}" for name, value in rule.items())
            message = "leaves nothing out: no combination is like that"
            faults.problems.append(Problem(faults.at(line), message, "exclude", told, hint, "warning"))
