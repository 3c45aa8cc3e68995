"""An entry of `matrix` into jobs: every list is an axis, all else a template, every combination an entry. Pure.

What it would take is known before anything is built: `count` entries, `values` and `characters` in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod

from batchsync.manifest.axes import Axis, read_axis
from batchsync.manifest.columns import SAME, bad_tag, is_known, meant, unknown_hint
from batchsync.manifest.entry import Entry
from batchsync.manifest.excludes import Excludes
from batchsync.manifest.flat import Defaults, Faults, leaves
from batchsync.manifest.template import DERIVED, Circle, Step, derived, is_output_field, ordered, step
from batchsync.manifest.tree import Items, Node, Pairs, Scalar, kind_of
from batchsync.manifest.values import trim
from batchsync.model.job import PLACEHOLDER
from batchsync.model.problem import Place

Choice = tuple[int, ...]  # for each axis, which of its values

MAX_AXES = 50
MAX_SHOWN = 20  # names in a hint


def read_matrix(node: Pairs, defaults: Defaults, faults: Faults) -> Matrix | None:
    """The matrix that an entry describes; None where its faults leave nothing to combine."""
    reader = _Reader(faults)
    reader.read(node)
    reader.complete(defaults)
    try:
        steps = ordered(reader.steps)
    except Circle as circle:
        first = next(reader.steps[name] for name in circle.names if name not in DERIVED)
        hint = "a value can't be made of itself"
        faults.add(first.line, f"is a template that goes in a circle: {circle}", first.name, hint)
        return None
    return Matrix(reader, steps)


class _Reader:
    """Reads an entry's axes and templates. `bad` are the names that something was found wrong with."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.axes: dict[str, Axis] = {}
        self.texts: Defaults = {}
        self.steps: dict[str, Step] = {}
        self.order: dict[str, None] = {}
        self.bad: set[str] = set()
        self.excludes = Excludes()
        self.used: set[str] = set()
        self.columns: tuple[str, ...] = ()

    def read(self, node: Pairs) -> None:
        exclude: tuple[int, Node] | None = None
        for name, line, value in leaves(node, self.faults):
            self.order[name] = None
            if name == "exclude":
                exclude = line, value
            elif name in self.axes or name in self.texts or name in self.bad:
                self.fault(name, line, "is there twice in this entry", "keep one of them")
            elif name.startswith("tag.") and (wrong := bad_tag(name)):
                self.fault(name, line, wrong)
            elif isinstance(value, Items):
                self.axis(name, line, value)
            elif isinstance(value, Scalar):
                self.text(name, line, value)
            else:
                self.fault(name, line, f"must be a single value or a list, not {kind_of(value)}")
        if exclude is not None and not self.bad:  # else a rule may be about what is wrong already
            self.excludes.read(*exclude, self.axes, self.texts, self.faults)

    def fault(self, name: str, line: int, message: str, hint: str | None = None, value: str | None = None) -> None:
        self.bad.add(name)
        self.faults.add(line, message, name, hint, value)

    def axis(self, name: str, line: int, node: Items) -> None:
        if not is_known(name) and (not name.isprintable() or name in DERIVED or set("{} ") & set(name) or not name):
            self.fault(name, line, "can't be the name of an axis", "a word of your own, such as lang")
            return
        if len(self.axes) == MAX_AXES:
            self.fault(name, line, f"is one axis too many: a matrix has at most {MAX_AXES}", "write the jobs out")
            return
        axis = read_axis(name, line, node, self.faults)
        if axis is None:
            self.bad.add(name)
        else:
            self.axes[name] = axis

    def text(self, name: str, line: int, node: Scalar) -> None:
        if is_known(name):
            self.texts[name] = trim(node.text or ""), line
            return
        own = f"; an axis of your own is a list: {name}: [{trim(node.text or '…')}]"
        self.fault(name, line, "there is no such key", unknown_hint(name).partition("; a column")[0] + own)

    def complete(self, defaults: Defaults) -> None:
        """Take in what `defaults` say for it, and find what each template needs."""
        written = [name for name in self.order if name in self.axes or name in self.texts]
        own = {*written, *self.bad}
        said = [same for same in SAME if same & own]
        kept = {c: pair for c, pair in defaults.items() if c not in own and not any(c in same for same in said)}
        self.texts = kept | self.texts
        self.columns = (*kept, *(name for name in written if is_known(name)))
        for role, other in (("video", SAME[0]), ("audio", SAME[1])):
            if not other & {*self.columns, *self.bad}:
                hint = f"every job needs a{'n' if role == 'audio' else ''} {role}"
                self.fault(role, self.faults.line, "is missing", hint)
        for column, (text, line) in self.texts.items():
            self.template(column, text, line)
        for axis in self.axes.values():
            if not is_known(axis.name) and axis.name not in self.used:
                hint = meant(axis.name, self.others()) or f"use {{{axis.name}}} in a template, or take it out"
                self.fault(axis.name, axis.line, "is an axis that nothing uses: its jobs would be the same", hint)

    def others(self) -> tuple[str, ...]:
        """Columns that the entry doesn't have: one of them may have been meant."""
        names = ("id", "name", "video", "audio", "start_seconds", "end_seconds", "max_fps_limit", "generation_mode")
        return tuple(name for name in (*names, "output", "exclude") if name not in self.columns)

    def template(self, column: str, text: str, line: int) -> None:
        self.used.update(PLACEHOLDER.findall(text))
        made = step(column, text, line, self.axes.keys() | self.bad)
        if column != "output" and any(set("{}") & set(literal) for literal in made.pieces[::2]):
            self.used.update(self.axes)  # one of them may stand there
            self.fault(column, line, "has a brace without its other half", "such as {lang}", text)
            return
        needs = PLACEHOLDER.findall(text) if column == "output" else made.needs
        wrong = next((name for name in dict.fromkeys(needs) if not self.resolve(name, line, column)), None)
        if wrong is not None:
            self.used.update(self.axes)  # one of them was meant
            self.fault(column, line, *self.unknown(wrong), text)
            return
        self.steps[column] = made

    def resolve(self, name: str, line: int, column: str) -> bool:
        """Whether `{name}` stands for something here; `video.stem` and the like become steps of their own."""
        if column == "output":
            # What only an output can't use is said with all other faults of outputs.
            own = tuple(axis for axis in self.axes if not is_known(axis))
            return is_output_field(name) or name in own or name in self.bad or meant(name, own) is None
        if name in self.axes or name in self.texts or name in self.bad or name in self.steps:
            return True
        found = derived(name, {*self.columns, *self.bad}, line)
        if found is None:
            return False
        self.steps[name] = found
        return True

    def unknown(self, name: str) -> tuple[str, str]:
        if is_known(name) or name in DERIVED:
            column = name.partition(".")[0] if name in DERIVED else name
            return f"uses {{{name}}}, but this entry has no {column}", f"add {column}, or take {{{name}}} out"
        own = tuple(name for name in self.axes if not is_known(name))
        can = tuple(dict.fromkeys((*own, *DERIVED, *(name for name in self.columns if name != "output"))))
        listed = ", ".join(f"{{{choice}}}" for choice in can[:MAX_SHOWN])
        return f"uses {{{name}}}, which is no axis and no column", meant(name, can) or f"it can use {listed}"


class Matrix:
    """Axes and the steps that make an entry of each combination, in the order in which the axes stand."""

    def __init__(self, reader: _Reader, steps: list[Step]) -> None:
        self.faults = reader.faults
        self.axes = [axis for axis in reader.axes.values() if axis.name not in reader.bad]
        self.excludes = reader.excludes
        self.absent = frozenset(reader.bad)
        self.steps: dict[str, Step] = {}
        # For each name the axes that it depends on, as bits; and how long it can get.
        self.depends = {axis.name: 1 << number for number, axis in enumerate(self.axes)}
        lengths = {axis.name: axis.longest for axis in self.axes}
        for made in steps:
            if any(name in self.absent for name in made.needs):
                self.absent |= {made.name}  # what is wrong with it was said where it is wrong
                continue
            self.steps[made.name] = made
            lengths[made.name] = made.longest(lengths)
            self.depends[made.name] = 0
            for name in made.needs:
                self.depends[made.name] |= self.depends[name]
        self.columns = tuple(column for column in reader.columns if column not in self.absent)
        self.count = prod(len(axis.values) for axis in self.axes)
        self.values = self.count * (len(self.columns) + len(self.axes))
        self.characters = self.count * sum(lengths[made.name] for made in self.steps.values() if made.needs)

    def entries(self) -> Iterator[Entry]:
        """An entry for every combination that isn't excluded; then what is to be said about the excludes."""
        names = [axis.name for axis in self.axes]
        steps = list(self.steps.values())
        left = 0
        test = self.excludes.matcher(self.axes)
        for choice in product(*(range(len(axis.values)) for axis in self.axes)):
            if test(choice):
                continue
            left += 1
            picked = (axis.values[number] for axis, number in zip(self.axes, choice, strict=True))
            values = dict(zip(names, picked, strict=True))
            for made in steps:
                values[made.name] = made.fill(values)
            row = {column: text for column in self.columns if (text := values[column])}
            place = replace(self.faults.place, combination=self.told(choice, -1))
            yield _Job(place, row, absent=self.absent, matrix=self, choice=choice)
        if not self.absent:  # else it isn't what the user meant to combine
            self.excludes.finish(self.axes, left, self.faults)

    def at(self, column: str, choice: Choice, place: Place) -> Place:
        """Where the value of `column` stands: that of an axis, or a template, for the axes that it depends on."""
        for axis, number in zip(self.axes, choice, strict=True):
            if axis.name == column:
                return self.faults.at(axis.lines[number])
        made = self.steps.get(column)
        if made is None:
            return place
        return replace(self.faults.at(made.line), combination=self.told(choice, self.depends[column]))

    def told(self, choice: Choice, bits: int) -> str | None:
        """`lang=fr, video=masters/outro.mp4`: the values of those axes that `bits` name and that vary."""
        named = [
            f"{axis.name}={axis.values[number]}"
            for bit, (axis, number) in enumerate(zip(self.axes, choice, strict=True))
            if bits >> bit & 1 and len(axis.values) > 1
        ]
        return ", ".join(named) or None


@dataclass(slots=True)
class _Job(Entry):
    """One combination: where its values stand is worked out only when something is wrong with them."""

    matrix: Matrix = field(kw_only=True)
    choice: Choice = field(kw_only=True)

    def at(self, column: str) -> Place:
        return self.matrix.at(column, self.choice, self.place)
