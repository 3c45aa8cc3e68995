"""Draws the same lines again and again in one place: no flicker, and nothing scrolls away."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable

import click

from batchsync.cli.layout import cells, clipped
from batchsync.cli.output import say

SECONDS = 2.0
_CLEAR, _HOME = "\x1b[2J", "\x1b[H"
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K", "\x1b[J"


def redraw(lines: Callable[[], Iterable[str]], seconds: float = SECONDS) -> None:
    """Show `lines()` every so many seconds, until interrupted: over one another on a terminal, else one by one."""
    on_terminal = sys.stdout.isatty()
    try:
        if on_terminal:
            _write(_CLEAR)
        while True:
            if on_terminal:
                width, height = shutil.get_terminal_size()
                _write(screen(lines(), width, height))
            else:
                say("\n".join([*lines(), ""]))
            time.sleep(seconds)
    except KeyboardInterrupt:
        return


def screen(lines: Iterable[str], width: int, height: int) -> str:
    """One picture: each line overwrites the one before it and clears what stood behind it.

    What doesn't fit is clipped: a line that wraps, or one too many, would move all others.
    """
    bare = bool(os.environ.get("NO_COLOR"))
    drawn = [_fitted(line, width, bare=bare) for line in lines]
    if len(drawn) >= height:
        drawn = [*drawn[: height - 2], "…"]
    return _HOME + "".join(f"{line}{_REST_OF_LINE}\n" for line in drawn) + _REST_OF_SCREEN


def _fitted(line: str, width: int, *, bare: bool) -> str:
    plain = click.unstyle(line)
    if cells(plain) > width:
        return clipped(plain, width)
    return plain if bare else line


def _write(text: str) -> None:
    """All of it at once: no half of a picture is ever seen."""
    sys.stdout.write(text)
    sys.stdout.flush()
