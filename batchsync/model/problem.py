"""A fault or warning in what the user gave us, with the place where it stands in their file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: the file as the user named it, then a line, or an entry (where several share a line),
    both from 1. `combination` says for which values of a matrix's axes, as `lang=fr, video=masters/outro.mp4`.
    """

    file: str
    line: int | None = None
    entry: int | None = None
    combination: str | None = None

    @property
    def order(self) -> int:
        """Where it stands among others of its file."""
        return self.line or self.entry or 0

    def __str__(self) -> str:
        told = f" for {self.combination}" if self.combination else ""
        if self.line is not None:
            return f"{self.file}:{self.line}{told}"
        if self.entry is not None:
            return f"{self.file}: entry {self.entry}{told}"
        return f"{self.file}{told}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault (`error`) or `warning`: where, which column or key, the value found, what is wrong, what is right."""

    place: Place
    message: str
    column: str | None = None
    value: str | None = None
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        column = f" {self.column}" if self.column else ""
        value = f" {self.value!r}" if self.value is not None else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.place}:{column}{value}{':' if column or value else ''} {self.message}{hint}"
