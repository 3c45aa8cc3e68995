"""What a user reads: numbers, tables, errors, JSON. Nothing printed here can play with the terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import click

from batchsync.cli.layout import GAP, cells, clipped, fitted, padded
from batchsync.errors import BatchsyncError, DiskFull, ManifestError, SettingError
from batchsync.model.credits import Totals
from batchsync.model.problem import Problem
from batchsync.model.sheet import guarded
from batchsync.model.states import Shown
from batchsync.model.text import clean as clean
from batchsync.model.text import counted as counted
from batchsync.model.text import dollars
from batchsync.model.text import number as number

MOST_PROBLEMS = 50
_BLOCK = 100_000  # characters that are written at once
STATE_COLOURS: Mapping[Shown, str] = {
    Shown.PENDING: "white",
    Shown.COMPLETE: "green",
    Shown.FAILED: "red",
    Shown.CANCELED: "yellow",
    Shown.HELD: "magenta",
}
AT_WORK = "cyan"  # the colour of all other states
_NOT_ASCII = re.compile(r"[^\n -~]")


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line, or lines as they end; colours fall away where no terminal reads or NO_COLOR is set, and all
    where nobody reads.
    """
    colour = False if os.environ.get("NO_COLOR") else None
    try:
        click.echo(text, err=err, nl=not text.endswith("\n"), color=colour)
    except OSError:
        # `| head`, or a terminal that has gone: no error of ours, and the exit code is what still counts.
        stream = sys.stderr if err else sys.stdout
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def state_colour(state: Shown) -> str:
    """The colour of a state, wherever it has one."""
    return STATE_COLOURS.get(state, AT_WORK)


def print_lines(lines: Iterable[str]) -> None:
    """Print many lines, some at a time."""
    for block in _blocks(lines):
        say(block)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines into a file that appears whole, or stays as it was. Raises SettingError.

    What is no file, such as a pipe, is written to as it is.
    """
    special = path.exists() and not path.is_file()
    target = path if special else Path(os.path.realpath(path))
    part = target if special else target.with_name(f".{target.name[:180]}.{os.getpid()}.part")
    try:
        with open(part, "w", encoding="utf-8", newline="") as file:
            for block in _blocks(lines):
                file.write(click.unstyle(block))
        if not special:
            if target.exists():
                shutil.copymode(target, part)
            part.replace(target)
    except OSError as error:
        raise SettingError(f"{path} can't be written: {error.strerror}") from None
    finally:
        if not special:
            part.unlink(missing_ok=True)


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Lines put together into texts of some length, each with its end."""
    block: list[str] = []
    length = 0
    for line in lines:
        block.append(line)
        length += len(line)
        if length > _BLOCK:
            yield "\n".join(block) + "\n"
            block, length = [], 0
    if block:
        yield "\n".join(block) + "\n"


def duration(seconds: float) -> str:
    """`7 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: int) -> str:
    """`512 B`, `3.1 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def near(path: str) -> str:
    """A path as one types it here: from this folder, if it lies in it."""
    return path.removeprefix(os.getcwd() + os.sep)


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    room: int | None = None,
    least: Sequence[int | None] = (),
    paint: Callable[[int, int, str], str] | None = None,
) -> str:
    """Columns as wide as their widest cell; numbers to the right.

    With `room`, columns that have a `least` width are narrowed until a line takes no more than so many columns of the
    terminal. `paint` colours a cell, told by its row and column.
    """
    lines = [[number(cell) if isinstance(cell, int) else clean(cell) for cell in row] for row in rows]
    widths = [max(map(cells, column)) for column in zip(headers, *lines, strict=True)]
    if room is not None:
        widths = fitted(widths, least, room)
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(headers))]

    def line(parts: Sequence[str], row: int = -1) -> str:
        shown = [
            padded(clipped(part, width), width, right=to_right)
            for part, width, to_right in zip(parts, widths, right, strict=True)
        ]
        shown[-1] = shown[-1].rstrip()
        if paint is not None and row >= 0:
            shown = [paint(row, place, text) for place, text in enumerate(shown)]
        return (" " * GAP).join(shown).rstrip()

    head = [line(headers), line(["─" * width for width in widths])]
    return "\n".join([*head, *(line(parts, row) for row, parts in enumerate(lines))])


def csv_text(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated values with a header line; no text in them is a formula."""
    return csv_rows(
        [guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in chain([headers], rows)
    )


def csv_rows(rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated values as they are: texts from elsewhere must have been `guarded`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # only then is a lone CR in a cell quoted
    writer.writerows(rows)
    return text.getvalue()


def json_text(value: Any, *, indent: int | None = 2, separators: tuple[str, str] | None = None) -> str:
    """JSON that people can read and that can't play with the terminal: what isn't printable is escaped."""
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False)
    return _NOT_ASCII.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    say(json_text(value))


def summary_json(
    run: str | None,
    ledger: str | None,
    stopped: str | None,
    counts: Mapping[Shown, int],
    credits: Totals,
    elapsed: float,
) -> dict[str, Any]:
    """The object that `run`, `resume` and `status` end with, as the contract has it."""
    return {
        "run": run,
        "ledger": ledger,
        "stopped": stopped,
        "jobs": {"total": sum(counts.values()), **{state.value: counts[state] for state in Shown}},
        "credits": {
            "estimated": credits.estimated,
            "charged": credits.charged,
            "refunded": credits.refunded,
            "net": credits.net,
        },
        "elapsed_seconds": round(elapsed, 3),
    }


def credit_line(credits: Totals, usd: Decimal | None) -> str:
    """`Credits: 1,240 net (estimated 1,300 · charged 1,240 · refunded 0)`, and money where it is known."""
    text = (
        f"Credits: {number(credits.net)} net (estimated {number(credits.estimated)} · "
        f"charged {number(credits.charged)} · refunded {number(credits.refunded)})"
    )
    if credits.reserved:
        text += f"; up to {number(credits.reserved)} more may be owed for jobs in flight or held"
    if usd is not None:
        text += f" · {dollars(usd)}"
    return text


def pace(rate: float | None, left: float | None) -> list[str]:
    """How fast jobs end (per second) and how long the rest will take (seconds), where that is known."""
    parts = []
    if rate is not None:
        parts.append(f"{rate * 60:,.3g} jobs/min" if rate < 10 else f"{rate:,.0f} jobs/s")
    if left:
        parts.append(f"about {duration(left)} left")
    return parts


def problem_json(problem: Problem) -> dict[str, Any]:
    """A fault or warning as data."""
    return {
        "severity": problem.severity,
        "file": problem.place.file,
        "line": problem.place.line,
        "entry": problem.place.entry,
        "combination": problem.place.combination,
        "column": problem.column,
        "value": problem.value,
        "message": problem.message,
        "hint": problem.hint,
    }


def print_problems(problems: Sequence[Problem]) -> None:
    """Faults and warnings on standard error, the first of them in full."""
    for problem in problems[:MOST_PROBLEMS]:
        mark = click.style("warning: ", fg="yellow") if problem.severity == "warning" else ""
        say(f"{mark}{clean(problem)}", err=True)
    if len(problems) > MOST_PROBLEMS:
        say(f"… and {len(problems) - MOST_PROBLEMS:,} more", err=True)


def print_error(error: BatchsyncError) -> None:
    """An error for people, on standard error; as data on standard output too, if --json was asked for."""
    faults = [one for one in error.problems if one.severity == "error"] if isinstance(error, ManifestError) else []
    if faults and error.message != str(faults[0]):  # what can't be read at all is said once
        print_problems(faults)
        say("", err=True)
    say(f"{click.style('Error:', fg='red')} {clean(error.message)}", err=True)
    if error.hint:
        say(f"  {clean(error.hint)}", err=True)
    if isinstance(error, ManifestError):
        say("  Nothing was sent, and nothing was charged.", err=True)
    if "--json" in sys.argv[1:] or os.environ.get("BATCHSYNC_JSON", "").lower() in ("1", "true", "yes", "on"):
        problems = error.problems if isinstance(error, ManifestError) else ()
        told: dict[str, Any] = {
            "error": {"code": error.code, "message": error.message, "hint": error.hint},
            "problems": [problem_json(problem) for problem in problems],
        }
        if isinstance(error, DiskFull):
            # It may end a run before that has begun: scripts read the same object as of any run that stopped early.
            told |= summary_json(None, None, "disk-full", dict.fromkeys(Shown, 0), Totals(), 0.0)
        print_json(told)
