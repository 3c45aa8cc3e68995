"""The picture that `status --watch` draws: in place, never wider or higher than the terminal."""

from __future__ import annotations

import re

import click
import pytest

from batchsync.cli.watching import screen


def shown(picture: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", picture).split("\n")[:-1]


def test_it_is_drawn_over_the_one_before_without_clearing_the_screen() -> None:
    picture = screen(["one", "two"], 80, 24)
    assert picture.startswith("\x1b[H")
    assert "\x1b[2J" not in picture, "an empty screen between two pictures is what flickers"
    assert picture.count("\x1b[K") == 2
    assert picture.endswith("\x1b[J")
    assert shown(picture) == ["one", "two"]


def test_a_line_that_would_wrap_is_clipped_and_so_are_lines_below_the_screen() -> None:
    lines = shown(screen([f"{n} " + "x" * 100 for n in range(40)], 40, 10))
    assert len(lines) == 9, "the last line of a terminal scrolls it when it ends"
    assert all(len(line) <= 40 for line in lines)
    assert lines[-1] == "…"


def test_colours_stay_unless_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    line = click.style("complete", fg="green")
    assert line in screen([line], 80, 24)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in screen([line], 80, 24)
    assert shown(screen([line], 80, 24)) == ["complete"]
