"""`batchsync jobs`: a row per job."""

from __future__ import annotations

from typing import Any

import click

from batchsync.cli import options as o
from batchsync.cli.held import held_lines
from batchsync.cli.output import csv_text, print_json, say, table
from batchsync.errors import SettingError
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.rows import JobFilter, JobView
from batchsync.model.states import Shown

RESULT_COLUMNS = ("state", "project_id", "output_file", "credits", "attempts", "error_code", "error_message")


@click.command("jobs", short_help="a row per job")
@o.ledger_option
@o.option("--state", "states", multiple=True, type=click.Choice([s.value for s in Shown]), help="Repeatable.")
@o.option("--manifest", metavar="FILE", help="Only the jobs of this manifest.")
@o.option("--tag", "tags", multiple=True, metavar="K=V", help="Only jobs with this tag. Repeatable.")
@o.option("--limit", env="JOBS_LIMIT", type=o.COUNT, help="The first N only.")
@o.format_option
def command(
    ledger: str, states: tuple[str, ...], manifest: str | None, tags: tuple[str, ...], limit: int | None, how: str
) -> int:
    """List jobs. As CSV: the manifest's own columns, and then what became of each job.

    \b
    batchsync jobs --state failed
    batchsync jobs --tag lang=es --format csv > es.csv
    """
    wanted = dict(_tag(text) for text in tags)
    with Ledger(ledger) as book:
        manifest_id = book.read(lambda v: v.manifest_number(manifest)) if manifest else None
        found = book.read(lambda v: v.jobs(JobFilter(states, manifest_id, wanted, limit)))
    if how == "json":
        print_json([as_json(job) for job in found])
    elif how == "csv":
        say(_csv(found))
    elif found and states == (Shown.HELD.value,):
        for line in held_lines(found, most=None):
            say(line)
    elif found:
        say(_table(found))
    else:
        say("No such jobs.")
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
        "output": job.saved[0] if job.saved else job.output,
        "files": list(job.saved),
        "credits": job.credits,
        "credits_estimated": job.estimate,
        "credits_at_risk": job.reserved,
        "attempts": job.attempts,
        "stalled": job.stalled,
        "error": error,
        "tags": dict(job.tags),
        "submitted_at": o.iso(job.submitted_at),
        "finished_at": o.iso(job.finished_at),
    }


def _csv(jobs: list[JobView]) -> str:
    own = list(dict.fromkeys(column for job in jobs for column in job.row))
    # A manifest may well have a column of ours, for example when this very file is run again.
    results = [f"batchsync_{column}" if column in own else column for column in RESULT_COLUMNS]
    rows = [
        [
            *(job.row.get(column, "") for column in own),
            job.state.value,
            job.project_id,
            job.saved[0] if job.saved else None,
            job.credits,
            job.attempts,
            job.error_code,
            job.error_message,
        ]
        for job in jobs
    ]
    return csv_text([*own, *results], rows)


def _table(jobs: list[JobView]) -> str:
    held = any(job.state is Shown.HELD for job in jobs)
    headers = ["id", "state", "credits", "project", "output"]
    rows: list[list[object]] = [
        [
            job.id,
            job.state.value + (" (stalled)" if job.stalled else ""),
            job.credits,
            job.project_id or "",
            job.saved[0] if job.saved else job.output,
        ]
        for job in jobs
    ]
    if held:
        # What a person needs to find a held job in the vendor's library.
        headers += ["token", "submitted", "at risk"]
        for row, job in zip(rows, jobs, strict=True):
            row += [job.token, o.local(job.submitted_at), job.reserved]
    if any(job.error_code for job in jobs):
        headers.append("error")
        for row, job in zip(rows, jobs, strict=True):
            row.append(f"{job.error_code}: {job.error_message}" if job.error_code else "")
    return table(headers, rows)
