"""The progress of a run, and of reading files before it: a bar on a terminal, else a log line now and then."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from batchsync.cli.logs import PROGRESS
from batchsync.cli.output import number
from batchsync.model.states import Shown
from batchsync.runner.snapshot import Snapshot, Watcher

BAR_SECONDS = 0.5
FIRST_LINE_SECONDS = 10.0
LINE_SECONDS = 60.0
READING_SECONDS = 1.0  # that reading files may take without a bar
_ENDED = (Shown.COMPLETE, Shown.FAILED, Shown.CANCELED, Shown.HELD)
_TOLD = (
    Shown.UPLOADING,
    Shown.SUBMITTING,
    Shown.QUEUED,
    Shown.RENDERING,
    Shown.DOWNLOADING,
    Shown.FAILED,
    Shown.CANCELED,
    Shown.HELD,
)


def told(snapshot: Snapshot) -> str:
    """The jobs that are under way or ended badly, and the credits: `rendering 12 · failed 1 · 2,310 credits`."""
    states = [f"{state.value} {number(snapshot.counts[state])}" for state in _TOLD if snapshot.counts[state]]
    parts = [*states, f"{number(snapshot.credits.net)} credits"]
    if snapshot.waiting:
        parts.append(snapshot.waiting)
    return " · ".join(parts)


def ended(snapshot: Snapshot) -> int:
    """How many jobs are at their end, good or bad."""
    return sum(snapshot.counts[state] for state in _ENDED)


class _WithBar:
    """Closes its bar, if it has come to have one; a terminal that has gone is no fault."""

    _bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with suppress(OSError, ValueError):
                self._bar.close()


class Progress(_WithBar):
    """Shows snapshots of a run as they come. `watcher` is whom the run tells."""

    def __init__(self, *, enabled: bool, quiet: bool) -> None:
        self._use_bar = enabled and not quiet and sys.stderr.isatty()
        self._lines = enabled and not quiet and not self._use_bar
        self._next_line = FIRST_LINE_SECONDS
        self._first: int | None = None
        self._log = logging.getLogger(PROGRESS)

    @property
    def watcher(self) -> Watcher | None:
        """Whom the run tells how it stands, None if nobody wants to know."""
        if not (self._use_bar or self._lines):
            return None
        return Watcher(self.show, BAR_SECONDS if self._use_bar else FIRST_LINE_SECONDS)

    def show(self, snapshot: Snapshot) -> None:
        """Bring the display up to date, if there still is one."""
        with suppress(OSError, ValueError):
            self._show(snapshot)

    def _show(self, snapshot: Snapshot) -> None:
        done, total = ended(snapshot), sum(snapshot.counts.values())
        if self._first is None:
            self._first = done
        if self._use_bar:
            if self._bar is None:
                self._bar = tqdm(
                    total=total, initial=done, unit="job", file=sys.stderr, dynamic_ncols=True, smoothing=0.1
                )
            self._bar.n = done
            self._bar.total = total
            self._bar.set_postfix_str(told(snapshot), refresh=True)
        elif self._lines and snapshot.elapsed >= self._next_line:
            self._next_line = snapshot.elapsed + LINE_SECONDS
            line = f"{number(done)} of {number(total)} jobs ended · {told(snapshot)}{self._eta(snapshot)}"
            self._log.info("%s", line)

    def _eta(self, snapshot: Snapshot) -> str:
        done, total = ended(snapshot), sum(snapshot.counts.values())
        finished = done - (self._first or 0)
        if not finished or done == total:
            return ""
        minutes = snapshot.elapsed / finished * (total - done) / 60
        return f" · about {minutes:.0f} min left" if minutes >= 1 else " · less than a minute left"


class Reading(_WithBar):
    """A bar while local files are read, for people at a terminal who wait for it longer than a moment."""

    def __init__(self, *, enabled: bool, quiet: bool) -> None:
        self._use_bar = enabled and not quiet and sys.stderr.isatty()

    def show(self, done: int, total: int) -> None:
        """Say that `done` of `total` files are read."""
        if not self._use_bar:
            return
        with suppress(OSError, ValueError):
            if self._bar is None:
                self._bar = tqdm(
                    total=total,
                    desc="Reading media",
                    unit="file",
                    file=sys.stderr,
                    dynamic_ncols=True,
                    leave=False,
                    delay=READING_SECONDS,
                )
            self._bar.update(done - self._bar.n)
