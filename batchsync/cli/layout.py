"""How text fits a terminal: how wide it is there, how it is clipped, and how columns share a line."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Sequence

GAP = 2  # blanks between columns


def terminal_width() -> int | None:
    """The columns of the terminal that standard output is, None where it is a file or a pipe."""
    try:
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    except ValueError:  # closed
        return None


def cells(text: str) -> int:
    """How many columns `text` takes on a terminal: East Asian characters take two, accents of their own none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def padded(text: str, width: int, *, right: bool = False) -> str:
    """`text` with blanks up to `width` columns."""
    blanks = " " * (width - cells(text))
    return blanks + text if right else text + blanks


def clipped(text: str, width: int) -> str:
    """`text` in at most `width` columns, with an ellipsis for what is left out: the end of prose, else the middle."""
    if cells(text) <= width:
        return text
    tail = 0 if " " in text else (width - 1) // 2
    ending = _within(text[::-1], tail)[::-1]
    return _within(text, width - 1 - cells(ending)) + "…" + ending


def _within(text: str, width: int) -> str:
    """As much of the beginning of `text` as takes no more than `width` columns."""
    taken = 0
    for place, char in enumerate(text):
        taken += cells(char)
        if taken > width:
            return text[:place]
    return text


def fitted(widths: Sequence[int], least: Sequence[int | None], room: int) -> list[int]:
    """`widths` narrowed until they fit into `room`: the widest first, none below its `least` (None: never)."""
    found = list(widths)
    too_much = sum(found) + GAP * (len(found) - 1) - room
    for _ in range(too_much):
        wide = [place for place, most in enumerate(least) if most is not None and found[place] > most]
        if not wide:
            break
        found[max(wide, key=lambda place: found[place])] -= 1
    return found
