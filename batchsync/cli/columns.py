"""The columns of `batchsync jobs`: what each shows of a job in a table, and what it holds in a CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click
from click.shell_completion import CompletionItem

from batchsync.cli.completing import MOST, ask
from batchsync.cli.layout import GAP, cells
from batchsync.cli.options import iso, local
from batchsync.cli.output import clean, duration, near, number, state_colour, table
from batchsync.ledger.rows import JobView

TAG = "tag."
FEWEST = 8  # what a text that may be clipped is never narrower than


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its value for scripts, and for people where that differs; `least` is how narrow it may become."""

    value: Callable[[JobView], object]
    shown: Callable[[JobView], object] | None = None
    least: int | None = None

    def text(self, job: JobView) -> object:
        """What a table shows."""
        found = (self.shown or self.value)(job)
        return "" if found is None else found


def seconds(job: JobView) -> float | None:
    """How long a job took, from its last submission to its end."""
    if job.submitted_at is None or job.finished_at is None:
        return None
    return round(job.finished_at - job.submitted_at, 3)


def saved(job: JobView) -> str | None:
    """The job's first file, once it is here."""
    return job.saved[0] if job.saved else None


def _error(job: JobView) -> str | None:
    return f"{job.error_code}: {job.error_message}" if job.error_code else None


def _taken(job: JobView) -> str:
    took = seconds(job)
    return "" if took is None else duration(took)


def _tags(job: JobView) -> str:
    return " ".join(f"{key}={value}" for key, value in job.tags.items())


COLUMNS: Mapping[str, Column] = {
    "id": Column(lambda job: job.id, least=24),
    "name": Column(lambda job: job.name, least=FEWEST),
    "state": Column(lambda job: job.state.value, lambda job: job.state.value + (" (stalled)" if job.stalled else "")),
    "credits": Column(lambda job: job.credits),
    "estimated": Column(lambda job: job.estimate),
    "at_risk": Column(lambda job: job.reserved),
    "attempts": Column(lambda job: job.attempts),
    "project_id": Column(lambda job: job.project_id),
    "output_file": Column(saved, lambda job: near(saved(job) or ""), FEWEST),
    "error": Column(_error, least=FEWEST),
    "error_code": Column(lambda job: job.error_code),
    "error_message": Column(lambda job: job.error_message, least=FEWEST),
    "tags": Column(_tags, least=FEWEST),
    "token": Column(lambda job: job.token),
    "sent_as": Column(lambda job: job.sent_as, least=FEWEST),
    "video": Column(lambda job: job.video, lambda job: near(job.video), FEWEST),
    "audio": Column(lambda job: job.audio, lambda job: near(job.audio), FEWEST),
    "start_seconds": Column(lambda job: job.start_seconds),
    "end_seconds": Column(lambda job: job.end_seconds),
    "generation_mode": Column(lambda job: job.generation_mode),
    "added": Column(lambda job: iso(job.added_at), lambda job: local(job.added_at)),
    "submitted": Column(lambda job: iso(job.submitted_at), lambda job: local(job.submitted_at)),
    "finished": Column(lambda job: iso(job.finished_at), lambda job: local(job.finished_at)),
    "duration": Column(seconds, _taken),
}
# A table has the first of these always, and of the others, in their order, those that still fit: each with so many
# cells of what may be clipped.
_ALWAYS = ("id", "state", "credits")
_IF_THEY_FIT = (
    ("error", 24),
    ("output_file", 24),
    ("duration", 24),
    ("tags", 40),
    ("submitted", 40),
    ("project_id", 40),
)
_ORDER = ("id", "state", "credits", "duration", "error", "output_file", "tags", "submitted", "project_id")


def column(name: str) -> Column:
    """The column of a name; `tag.KEY` is the value of a tag. Raises KeyError."""
    if name.startswith(TAG) and len(name) > len(TAG):
        return Column(lambda job: job.tags.get(name[len(TAG) :]), least=FEWEST)
    return COLUMNS[name]


class ColumnList(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """Names of columns with commas between them."""

    name = "columns"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        for name in names:
            try:
                column(name)
            except KeyError:
                there = ", ".join([*COLUMNS, f"{TAG}KEY"])
                self.fail(f"there is no column {name!r}; there are {there}", param, ctx)
        return names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, begun = incomplete.rpartition(",")
        given = before.split(",")
        tags = dict.fromkeys(TAG + key for key, _ in ask(ctx, lambda v: v.tags("", MOST)))
        names = [name for name in (*COLUMNS, *tags) if name.startswith(begun) and name not in given]
        return [CompletionItem(before + comma + name) for name in names]


def jobs_table(jobs: Sequence[JobView], names: Sequence[str] | None, room: int | None) -> str:
    """A table of `jobs` with the columns of these `names`, or else with those that fit into `room`."""
    names = names or _fitting(jobs, room)
    columns = [column(name) for name in names]
    rows = [[one.text(job) for one in columns] for job in jobs]

    def paint(row: int, place: int, text: str) -> str:
        return click.style(text, fg=state_colour(jobs[row].state)) if names[place] == "state" else text

    return table(names, rows, room=room, least=[one.least for one in columns], paint=paint)


def _fitting(jobs: Sequence[JobView], room: int | None) -> list[str]:
    """The columns for which there is something to show, and room beside the more important ones."""
    widths = {name: _width(name, jobs) for name in _ORDER}
    found = list(_ALWAYS)
    for name, most in _IF_THEY_FIT:
        line = [min(widths[one], most) if COLUMNS[one].least else widths[one] for one in (*found, name)]
        if widths[name] and (room is None or sum(line) + GAP * (len(line) - 1) <= room):
            found.append(name)
    return sorted(found, key=_ORDER.index)


def _width(name: str, jobs: Sequence[JobView]) -> int:
    """How many cells a column takes; 0 for one that is empty."""
    shown = (COLUMNS[name].text(job) for job in jobs)
    widest = max(cells(number(text) if isinstance(text, int) else clean(text)) for text in shown)
    return max(len(name), widest) if widest else 0
