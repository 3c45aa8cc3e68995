"""The progress of a run, and of reading files before it: a bar on a terminal, else a log line now and then."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any, Self

from tqdm import tqdm

from batchsync.cli.layout import clipped
from batchsync.cli.logs import PROGRESS, logs_are_json
from batchsync.cli.output import counted, number, pace
from batchsync.model.states import Shown
from batchsync.runner.snapshot import Snapshot, Watcher

BAR_SECONDS = 0.5
FIRST_LINE_SECONDS = 10.0
LINE_SECONDS = 60.0
READING_SECONDS = 1.0  # that reading files may take without a bar
BAR = "{n_fmt}/{total_fmt} |{bar}| {percentage:3.0f}%{desc}"


def states(snapshot: Snapshot) -> str:
    """The jobs by state, but for the complete ones that the bar counts: `pending 2 · rendering 12 · failed 1`."""
    there = [state for state in Shown if snapshot.counts[state] and state is not Shown.COMPLETE]
    return " · ".join(f"{state.value} {number(snapshot.counts[state])}" for state in there)


def credits(snapshot: Snapshot) -> str:
    """Credits settled, in flight, and the cap: `2,310 credits settled · 400 in flight · of at most 5,000`."""
    parts = [f"{number(snapshot.credits.net - snapshot.flight.charged)} credits settled"]
    if snapshot.flight.credits:
        parts.append(f"{number(snapshot.flight.credits)} in flight")
    if snapshot.cap is not None:
        parts.append(f"of at most {number(snapshot.cap)}")
    return " · ".join(parts)


def line(snapshot: Snapshot) -> str:
    """All of it in one line, for logs."""
    done = f"{number(snapshot.ended)} of {counted(snapshot.total, 'job')} ended"
    parts = [done, states(snapshot), credits(snapshot), *pace(snapshot.rate, snapshot.left), snapshot.waiting]
    return " · ".join(part for part in parts if part)


def progress_fields(snapshot: Snapshot) -> dict[str, Any]:
    """The same for log systems."""
    return {
        "event": "progress",
        "run": snapshot.run_id,
        "jobs": {state.value: count for state, count in snapshot.counts.items() if count},
        "credits": snapshot.credits.net,
        "credits_in_flight": snapshot.flight.credits,
        **snapshot.speed,
        "waiting": snapshot.waiting,
    }


def _how() -> dict[str, Any]:
    """How every bar is drawn."""
    return {"file": sys.stderr, "dynamic_ncols": True, "leave": False}


class _Bars:
    """Bars for people at a terminal, closed at the end; a terminal that has gone is no fault."""

    def __init__(self, *, enabled: bool, quiet: bool) -> None:
        self._use_bar = enabled and not quiet and sys.stderr.isatty() and not logs_are_json()
        self._bars: list[tqdm[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, ValueError):
            for bar in reversed(self._bars):
                bar.close()


class Progress(_Bars):
    """Shows snapshots of a run as they come: a bar and lines below it on a terminal, else a log line a minute."""

    def __init__(self, *, enabled: bool, quiet: bool) -> None:
        super().__init__(enabled=enabled, quiet=quiet)
        self._lines = enabled and not quiet and not self._use_bar
        self._next_line = FIRST_LINE_SECONDS
        self._log = logging.getLogger(PROGRESS)

    @property
    def watcher(self) -> Watcher | None:
        """Whom the run tells how it stands, None if nobody wants to know."""
        if not (self._use_bar or self._lines):
            return None
        return Watcher(self.show, BAR_SECONDS if self._use_bar else FIRST_LINE_SECONDS)

    def show(self, snapshot: Snapshot) -> None:
        """Bring the display up to date, if there still is one: a terminal that has gone is no fault."""
        with suppress(OSError, ValueError):
            if self._use_bar:
                self._draw(snapshot)
            elif self._lines and snapshot.elapsed >= self._next_line:
                self._next_line = snapshot.elapsed + LINE_SECONDS
                self._log.info("%s", line(snapshot), extra={"fields": progress_fields(snapshot)})

    def _draw(self, snapshot: Snapshot) -> None:
        if not self._bars:
            how = _how()
            # With nothing but the counter as text: tqdm's own rate and time left know nothing of rounds of renders.
            counter = tqdm(total=snapshot.total, unit="job", bar_format=BAR, position=0, **how)
            self._bars = [counter, *(tqdm(bar_format="{desc}", position=n, **how) for n in (1, 2, 3))]
        bar, *below = self._bars
        bar.n, bar.total = snapshot.ended, snapshot.total
        bar.set_description_str("".join(f" · {part}" for part in pace(snapshot.rate, snapshot.left)), refresh=True)
        for text, words in zip(below, (states(snapshot), credits(snapshot), snapshot.waiting or ""), strict=True):
            # What doesn't fit would push the lines below it around.
            shown = words if bar.ncols is None else clipped(words, bar.ncols)
            text.set_description_str(shown, refresh=True)


class Reading(_Bars):
    """A bar while local files are read, for people at a terminal who wait for it longer than a moment."""

    def show(self, done: int, total: int) -> None:
        """Say that `done` of `total` files are read."""
        if not self._use_bar:
            return
        with suppress(OSError, ValueError):
            if not self._bars:
                how = _how()
                self._bars = [tqdm(total=total, desc="Reading media", unit="file", delay=READING_SECONDS, **how)]
            self._bars[0].update(done - self._bars[0].n)
