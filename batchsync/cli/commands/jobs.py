"""`batchsync jobs`: a row per job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from textwrap import indent
from typing import Any

import click

from batchsync.cli import options as o
from batchsync.cli.columns import ColumnList, column, jobs_table, saved
from batchsync.cli.completing import jobs as complete_jobs
from batchsync.cli.completing import runs as complete_runs
from batchsync.cli.completing import tags as complete_tags
from batchsync.cli.held import held_lines
from batchsync.cli.layout import terminal_width
from batchsync.cli.output import csv_text, json_text, say
from batchsync.errors import SettingError
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.listing import SORTS, JobFilter
from batchsync.ledger.rows import JobView
from batchsync.ledger.views import Views
from batchsync.model.sheet import RESULTS
from batchsync.model.states import Shown

STATES = [state.value for state in Shown]


@click.command("jobs", short_help="a row per job")
@click.argument("patterns", nargs=-1, metavar="[ID]...", shell_complete=complete_jobs())
@o.ledger_option
@o.option(
    "--state",
    "states",
    multiple=True,
    metavar="STATE",
    type=click.Choice(STATES),
    help=f"Only jobs that are {', '.join(STATES[:-1])} or {STATES[-1]}. Repeatable.",
)
@o.option(
    "--manifest",
    metavar="FILE",
    shell_complete=o.complete_file,
    help="Only the jobs of this manifest, in its order.",
)
@o.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="K=V",
    shell_complete=complete_tags,
    help="Only jobs with this tag. Repeatable.",
)
@o.option(
    "--run",
    "run_name",
    metavar="RUN",
    shell_complete=complete_runs,
    help="Only jobs that this run took on; `last` is the newest.",
)
@o.option("--error", "codes", multiple=True, metavar="CODE", help="Only jobs with this error. Repeatable.")
@o.option("--stalled", is_flag=True, help="Only renders far beyond the usual time.")
@o.option("--sort", type=click.Choice(SORTS), help="What to sort by, instead of the order in which jobs were added.")
@o.option("--reverse", is_flag=True, help="The last first.")
@o.option("--limit", env="JOBS_LIMIT", type=o.COUNT, help="The first N only.")
@o.option(
    "--columns", type=ColumnList(), metavar="A,B,…", help="What to show in a table or CSV, such as id,tag.lang."
)
@o.format_option
def command(
    ledger: str,
    manifest: str | None,
    tags: tuple[str, ...],
    run_name: str | None,
    columns: tuple[str, ...] | None,
    how: str,
    **filters: Any,
) -> int:
    """List jobs: all of them, or those whose ID is given, with * and ? for what may stand there.

    A table shows as much as the terminal has room for. CSV gives the manifest's own columns back, and then what
    became of each row; it is a manifest again, of which `batchsync run` passes over what became of the rows.

    \b
    batchsync jobs --state failed
    batchsync jobs 'intro-*' --sort credits --reverse --limit 20
    batchsync jobs --manifest night.csv --format csv > done.csv
    batchsync jobs --columns id,state,duration,error,tag.lang
    """
    wanted = JobFilter(tags=dict(_tag(text) for text in tags), **filters)

    def look(views: Views) -> str | list[JobView]:
        number = views.manifest_number(manifest) if manifest else None
        run_id = views.run_id(run_name) if run_name else None
        found = replace(wanted, manifest_id=number, run_id=run_id)
        if how == "csv":
            return _csv(views, found, columns)
        return _json(views, found) if how == "json" else views.jobs(found)

    with Ledger(ledger) as book:
        found = book.read(look)
    if isinstance(found, str):
        say(found)
    elif not found:
        say("No such jobs.")
    elif wanted.states == (Shown.HELD.value,) and columns is None:
        for line in held_lines(found, most=None):
            say(line)
    else:
        say(jobs_table(found, columns, terminal_width()))
    return 0


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise SettingError(f"--tag {text!r} is not of the form KEY=VALUE")
    return key, value


def as_json(job: JobView) -> dict[str, Any]:
    """A job as the contract's JSON."""
    error = None
    if job.error_code is not None:
        error = {"code": job.error_code, "message": job.error_message}
    return {
        "id": job.id,
        "name": job.name,
        "token": job.token,
        "state": job.state.value,
        "project_id": job.project_id,
        "output": saved(job) or job.output,
        "files": list(job.saved),
        "credits": job.credits,
        "credits_estimated": job.estimate,
        "credits_at_risk": job.reserved,
        "attempts": job.attempts,
        "stalled": job.stalled,
        "error": error,
        "tags": dict(job.tags),
        "added_at": o.iso(job.added_at),
        "submitted_at": o.iso(job.submitted_at),
        "finished_at": o.iso(job.finished_at),
    }


def _json(views: Views, wanted: JobFilter) -> str:
    """A JSON list of the jobs: the text of all of it, but never all the jobs at once."""
    texts = [indent(json_text(as_json(job)), "  ") for job in views.each(wanted)]
    return "[\n" + ",\n".join(texts) + "\n]" if texts else "[]"


def _csv(views: Views, wanted: JobFilter, columns: Sequence[str] | None) -> str:
    """Likewise, a CSV."""
    own = [] if columns else views.own_columns(wanted)
    names = columns or RESULTS
    results = [column(name) for name in names]

    def rows() -> Iterator[list[object]]:
        for job in views.each(wanted):
            yield [*(job.row.get(name, "") for name in own), *(result.value(job) for result in results)]

    return csv_text([*own, *names], rows())
