"""What every format is read into before its values are checked: flat entries of column and text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchsync.model.problem import Place, Problem

MAX_ENTRIES = 200_000


class Broken(Exception):
    """The file can't be read beyond this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(slots=True)
class Entry:
    """One entry: column → text, blanks left out. `lines` says on which lines values stand, if not at `place`.

    `absent` are columns that can't be had because of a fault that was said already, such as a required one that the
    whole table lacks: an entry that lacks one makes no job.
    """

    place: Place
    values: dict[str, str]
    lines: Mapping[str, int] = field(default_factory=dict)
    decimal_comma: bool = False
    absent: frozenset[str] = frozenset()

    def at(self, column: str) -> Place:
        """Where the value of `column` stands."""
        line = self.lines.get(column)
        return self.place if line is None else Place(self.place.file, line)


@dataclass(slots=True)
class Raw:
    """A manifest as read: its columns in order, its entries, and what was wrong already."""

    columns: tuple[str, ...] = ()
    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def too_many(place: Place) -> Problem:
    """The fault of a manifest with more entries than one may have."""
    return Problem(
        place, f"a manifest has at most {MAX_ENTRIES:,} entries; the rest was not read", hint="split it into several"
    )


def no_entries(file: str) -> Problem:
    """The fault of a manifest without a job."""
    return Problem(Place(file), "has no jobs", hint="every job needs at least `video` and `audio`")
