"""`batchsync show JOB`: one job's whole history."""

from __future__ import annotations

from typing import Any

import click

from batchsync.cli import options as o
from batchsync.cli.commands.jobs import as_json as job_json
from batchsync.cli.output import clean, number, print_json, say
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.rows import JobView
from batchsync.ledger.views import Views


@click.command("show", short_help="one job's whole history")
@click.argument("job")
@o.ledger_option
@o.json_option
def command(job: str, ledger: str, as_json: bool) -> int:
    """Show everything that happened to JOB: an id, a token or a project id.

    \b
    batchsync show intro-es
    """

    def look(views: Views) -> tuple[JobView, dict[str, list[dict[str, Any]]]]:
        found = views.job(job)
        return found, views.history(found.seq)

    with Ledger(ledger) as book:
        view, history = book.read(look)
    if as_json:
        print_json(job_json(view) | history)
        return 0
    _head(view, history)
    _story(history)
    return 0


def _head(job: JobView, history: dict[str, list[dict[str, Any]]]) -> None:
    stalled = " (stalled: far beyond the usual time, still followed)" if job.stalled else ""
    say(f"{clean(job.id)}: {job.state.value}{stalled}")
    for place in history["places"]:
        line = f":{place['line']}" if place["line"] else ""
        gone = "" if place["current"] else " (no longer there)"
        say(f"  from      {clean(place['path'])}{line}{gone}")
    say(f"  video     {clean(job.video)}")
    say(f"  audio     {clean(job.audio)}")
    say(f"  clip      {job.start_seconds:g} s to {job.end_seconds:g} s, {job.generation_mode}")
    if job.tags:
        say("  tags      " + ", ".join(f"{clean(key)}={clean(value)}" for key, value in job.tags.items()))
    say(f"  name      {clean(job.name or job.id)} · {job.token}")
    say(f"  project   {clean(job.project_id or 'none')}")
    risk = f", up to {number(job.reserved)} more at risk" if job.reserved else ""
    say(f"  credits   {number(job.credits)} net, {number(job.estimate)} estimated{risk}")
    if job.error_code:
        say(f"  error     {clean(job.error_code)}: {clean(job.error_message)}")
    for output in history["outputs"]:
        if output["saved_at"] is not None:
            say(f"  file      {clean(output['path'])} ({number(output['size'])} bytes, sha256 {output['digest']})")


def _story(history: dict[str, list[dict[str, Any]]]) -> None:
    say("\nWhat happened")
    lines = [(event["at"], _event(event)) for event in history["events"]]
    lines += [(entry["at"], f"credits: {entry['kind']} {entry['amount']:+,}") for entry in history["credits"]]
    for at, text in sorted(lines, key=lambda line: line[0]):
        say(f"  {o.local(at)}  {text}")


def _event(event: dict[str, Any]) -> str:
    detail = event["detail"] or {}
    told = ", ".join(f"{key} {clean(value)}" for key, value in detail.items() if value is not None)
    moved = "" if event["from_state"] == event["to_state"] else f" → {event['to_state']}"
    return f"{event['event'].replace('_', ' ')}{moved}" + (f" ({told})" if told else "")
