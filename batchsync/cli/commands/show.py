"""`batchsync show JOB`: one job's whole history."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from batchsync.cli import options as o
from batchsync.cli.commands.jobs import as_json as job_json
from batchsync.cli.completing import jobs as complete_jobs
from batchsync.cli.held import LIBRARY
from batchsync.cli.layout import terminal_width
from batchsync.cli.output import clean, duration, near, number, print_json, say, size, state_colour, table
from batchsync.cli.story import History, Row, story, where
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.rows import JobView
from batchsync.ledger.views import Views
from batchsync.model.credits import MONEY_KINDS
from batchsync.model.states import Shown

LABEL = 12  # the column in which the facts begin
TIME = 20  # and that in which the events do
DIGITS = 12  # of a digest: enough to tell files apart


@click.command("show", short_help="one job's whole history")
@click.argument("job", shell_complete=complete_jobs())
@o.ledger_option
@o.json_option
def command(job: str, ledger: str, as_json: bool) -> int:
    """Show everything that happened to JOB: an id, a token or a project id.

    \b
    batchsync show intro-es
    batchsync show clx1abc…                      the job of that project
    batchsync show intro-es --json | jq .credits
    """

    def look(views: Views) -> tuple[JobView, dict[str, list[dict[str, Any]]]]:
        found = views.job(job)
        return found, views.history(found.seq)

    with Ledger(ledger) as book:
        view, history = book.read(look)
    if as_json:
        print_json(job_json(view) | history)
        return 0
    stalled = " (stalled: far beyond the usual time, still followed)" if view.stalled else ""
    say(f"{clean(view.id)}: {click.style(view.state.value, fg=state_colour(view.state))}{stalled}")
    for label, fact in _facts(view, history):
        _say(f"  {label:<{LABEL - 2}}{fact}", LABEL)
    _story(history)
    _credits(history)
    for line in _next(view):
        say(line)
    return 0


def _say(text: str, indent: int) -> None:
    """A line, wrapped where a terminal reads; paths and addresses stay whole, so that they can be copied."""
    room = terminal_width()
    if room is not None and len(text) > room:
        text = textwrap.fill(
            text, max(room, indent + 20), subsequent_indent=" " * indent,
            break_long_words=False, break_on_hyphens=False, drop_whitespace=True, replace_whitespace=False,
        )  # fmt: skip
    say(text)


def _facts(job: JobView, history: History) -> Iterator[tuple[str, str]]:
    for place in history["places"]:
        yield "from", where(place) + ("" if place["current"] else " (no longer there)")
    media = {row["kind"]: row for row in history["media"]}
    for kind, source in (("video", job.video), ("audio", job.audio)):
        yield kind, near(clean(source)) + _media(media.get(kind))
    yield "clip", f"{job.start_seconds:g} s to {job.end_seconds:g} s, {job.generation_mode}"
    if job.tags:
        yield "tags", ", ".join(f"{clean(key)}={clean(value)}" for key, value in job.tags.items())
    yield "name", f"{clean(job.name or job.id)} · {job.token}"
    yield "project", clean(job.project_id or "none")
    risk = f", up to {number(job.reserved)} more at risk" if job.reserved else ""
    yield "credits", f"{number(job.credits)} net, {number(job.estimate)} estimated{risk}"
    if job.error_code:
        yield "error", f"{clean(job.error_code)}: {clean(job.error_message)}"
    for output in history["outputs"]:
        if output["saved_at"] is not None:
            facts = (size(output["size"] or 0), f"sha256 {(output['digest'] or '')[:DIGITS]}…", _still_there(output))
            yield "file", f"{near(clean(output['path']))} ({', '.join(facts)})"


def _media(row: Row | None) -> str:
    """What is known of a local file."""
    if row is None:
        return ""
    facts = [
        f"{row['duration']:.4g} s" if row["duration"] else "",
        f"{row['fps']:.4g} frames per second" if row["fps"] and row["kind"] == "video" else "",
        size(row["size"]) if row["size"] is not None else "",
        f"sha256 {row['digest'][:DIGITS]}…" if row["digest"] else "",
    ]
    return f" ({', '.join(fact for fact in facts if fact)})" if any(facts) else ""


def _still_there(output: Row) -> str:
    """Whether a file stands where it was put."""
    try:
        found = Path(output["path"]).stat().st_size
    except OSError:
        return "no longer there"
    return "still there" if found == output["size"] else f"changed since: {size(found)} now"


def _story(history: History) -> None:
    happened = story(history)
    if not happened:
        return
    say(f"\nWhat happened (local time, {_zone(happened[0].at)})")
    day, before = "", None
    for one in happened:
        date, clock = o.local(one.at).split(" ")
        if date != day:
            say(f"  {date}")
            day = date
        since = "" if before is None else _gap(one.at - before)
        before = one.at
        mark = click.style("✗ ", fg="red") if one.bad else ""
        _say(f"  {clock}  {since:>8}  {mark}{one.text}", TIME + 2)


def _zone(at: float) -> str:
    """The local zone: `CET, UTC+01:00`."""
    then = datetime.fromtimestamp(at).astimezone()
    offset = then.strftime("%z")
    return "UTC" if offset == "+0000" else f"{then:%Z}, UTC{offset[:3]}:{offset[3:5]}"


def _gap(seconds: float) -> str:
    """The time between two events."""
    return f"+{seconds:.1f} s" if seconds < 9.95 else f"+{duration(seconds)}"


def _credits(history: History) -> None:
    """What each project came to, and all of them."""
    money = [row for row in history["credits"] if row["kind"] in MONEY_KINDS]
    if not money:
        return
    numbers = {row["project_id"]: str(row["number"]) for row in history["submissions"] if row["project_id"]}
    projects = dict.fromkeys(row["project_id"] for row in money)
    rows = [
        [project or "", numbers.get(project, ""), *_sums(row for row in money if row["project_id"] == project)]
        for project in projects
    ]
    if len(rows) > 1:
        rows.append(["together", "", *_sums(money)])
    say("\nCredits")
    for line in table(["project", "submission", "charged", "settled", "refunded", "net"], rows).split("\n"):
        say(f"  {line}")


def _sums(entries: Iterable[Row]) -> list[int]:
    found = list(entries)
    sums = [sum(row["amount"] for row in found if row["kind"] == kind) for kind in MONEY_KINDS]
    return [*sums, sum(sums)]


def _next(job: JobView) -> list[str]:
    """What a person may do about the job."""
    name = clean(job.id)
    if job.state is Shown.HELD:
        return [
            f"\nWhat next: look in {LIBRARY} for “{clean(job.sent_as or job.token)}”.",
            f"  There:         batchsync resolve {name} --project ID",
            f"  Not there:     batchsync resolve {name} --not-created",
            f"  Hard to tell:  batchsync resolve {name} --suggest",
        ]
    if job.state in (Shown.FAILED, Shown.CANCELED) and job.error_code != "abandoned":
        return [f"\nWhat next: `batchsync retry {name}`, and then `batchsync resume`."]
    return []
