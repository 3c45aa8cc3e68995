"""The bar while files are read: for a terminal, and gone when it is over."""

from __future__ import annotations

import io

import pytest

from batchsync.cli import progress
from batchsync.cli.progress import Reading


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, seconds: float, **how: bool) -> str:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "READING_SECONDS", seconds)
    with Reading(**how) as reading:
        for done in (1, 2, 3):
            reading.show(done, 4)
            for bar in reading._bars:
                assert (bar.n, bar.total) == (done, 4)
                if not seconds:
                    bar.refresh()
    return stream.getvalue()


def test_a_person_who_waits_sees_how_many_files_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, Terminal(), 0.0, enabled=True, quiet=False)
    assert "Reading media" in text
    assert "3/4" in text
    assert text.endswith("\r"), "nothing is left of it"


def test_what_takes_a_moment_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, Terminal(), 60.0, enabled=True, quiet=False) == ""


def test_nobody_else_sees_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, enabled, quiet in (
        (io.StringIO(), True, False),
        (Terminal(), False, False),
        (Terminal(), True, True),
    ):
        assert shown(monkeypatch, stream, 0.0, enabled=enabled, quiet=quiet) == ""
