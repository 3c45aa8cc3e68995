"""The templates of a matrix: `{lang}`, `{video.stem}` and the other columns' values in a text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from batchsync.manifest.columns import AUDIO_PART
from batchsync.manifest.sources import file_name, file_stem
from batchsync.model.job import OUTPUT_FIELDS, PLACEHOLDER

_ROLES = {
    "video": ("video", "assets.video_file_path", "assets.youtube_url"),
    "audio": ("audio", AUDIO_PART),
}
_DERIVED: dict[str, Callable[[str], str]] = {"stem": file_stem, "name": file_name}
DERIVED = tuple(f"{role}.{what}" for role in _ROLES for what in _DERIVED)


@dataclass(frozen=True, slots=True)
class Step:
    """How one value of a job is made of others: `pieces` are a text, a name, a text, a name, … and a text.

    With `derive`, the value is made of the only name's one.
    """

    name: str
    line: int
    pieces: tuple[str, ...]
    derive: Callable[[str], str] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        return self.pieces[1::2]

    def fill(self, values: Mapping[str, str]) -> str:
        """The value, with `values` for the names."""
        if self.derive is not None:
            return self.derive(values[self.pieces[1]])
        if len(self.pieces) == 1:
            return self.pieces[0]
        return "".join([values[piece] if odd % 2 else piece for odd, piece in enumerate(self.pieces)]).strip()

    def longest(self, lengths: Mapping[str, int]) -> int:
        """How many characters the value can have, by those of the names."""
        return sum(lengths[piece] if odd % 2 else len(piece) for odd, piece in enumerate(self.pieces))


def step(column: str, text: str, line: int, axes: Iterable[str]) -> Step:
    """The step of a column's template. An `output` keeps its own placeholders: only `axes` are filled in there."""
    pieces = PLACEHOLDER.split(text)
    if column != "output":
        return Step(column, line, tuple(pieces))
    merged = [pieces[0]]
    for name, literal in zip(pieces[1::2], pieces[2::2], strict=True):
        if name in axes and not is_output_field(name):
            merged += [name, literal]
        else:
            merged[-1] += f"{{{name}}}{literal}"
    return Step(column, line, tuple(merged))


def is_output_field(name: str) -> bool:
    """Whether an output template fills in `name` by itself."""
    return name in OUTPUT_FIELDS or name.startswith("tag.")


def derived(name: str, columns: Iterable[str], line: int) -> Step | None:
    """The step of `video.stem` and the like, if the entry has such a column."""
    role, _, what = name.partition(".")
    base = next((column for column in _ROLES.get(role, ()) if column in columns), None)
    if base is None or what not in _DERIVED:
        return None
    return Step(name, line, ("", base, ""), _DERIVED[what])


class Circle(Exception):
    """Templates that wait for each other; `names` begin and end with the same one."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(" → ".join(names))
        self.names = names


def ordered(steps: Mapping[str, Step]) -> list[Step]:
    """The steps, each after those that it needs. Raises Circle."""
    sorter = TopologicalSorter({name: step.needs for name, step in steps.items()})
    try:
        return [steps[name] for name in sorter.static_order() if name in steps]
    except CycleError as error:
        raise Circle(list(error.args[1])[::-1]) from None
