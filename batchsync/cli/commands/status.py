"""`batchsync status`: how the jobs stand, and what was spent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import click

from batchsync.cli import options as o
from batchsync.cli.held import held_lines
from batchsync.cli.output import (
    clean,
    counted,
    credit_line,
    duration,
    number,
    pace,
    print_json,
    say,
    state_colour,
    summary_json,
)
from batchsync.cli.watching import redraw
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.rows import JobFilter, JobView
from batchsync.ledger.views import Views
from batchsync.model.states import Shown
from batchsync.model.throughput import WINDOW_SECONDS, per_second, seconds_left
from batchsync.planning.pricing import Price
from batchsync.report.money import worth
from batchsync.runner.options import Stopped
from batchsync.runner.process import is_dead
from batchsync.runner.snapshot import Snapshot


@click.command("status", short_help="how the jobs stand, and what was spent")
@o.ledger_option
@o.option("--manifest", metavar="FILE", help="Only the jobs of this manifest.")
@o.option("--watch", is_flag=True, help="Draw it again every two seconds, until interrupted.")
@o.price_option
@o.json_option
def command(ledger: str, manifest: str | None, watch: bool, price: str | None, as_json: bool) -> int:
    """Count jobs by state, and show the credits so far, while a run goes on or after it.

    \b
    batchsync status
    batchsync status --ledger night.db --watch
    """
    money = Price.parse(price) if price else None
    with Ledger(ledger) as book:
        if as_json:
            print_json(_json(book.read(lambda v: _look(v, manifest, None)), book.location))
        elif watch:
            redraw(lambda: _lines(book.read(lambda v: _look(v, manifest, money))))
        else:
            for line in _lines(book.read(lambda v: _look(v, manifest, money))):
                say(line)
    return 0


@dataclass(frozen=True, slots=True)
class Look:
    """How the ledger stands, a line on its newest run, and the jobs that need a person's eye."""

    snapshot: Snapshot
    usd: Decimal | None
    last_run: str
    held: list[JobView]
    stalled: list[JobView]


def _look(views: Views, manifest: str | None, price: Price | None) -> Look:
    manifest_id = views.manifest_number(manifest) if manifest else None
    run = views.last_run()
    snapshot, line = Snapshot("", views.counts(manifest_id), views.credits(manifest_id), 0.0), ""
    if run is not None:
        elapsed = (run["ended_at"] or views.now) - run["started_at"]
        stopped = Stopped(run["stopped"]) if run["stopped"] else None
        snapshot = replace(snapshot, run_id=run["id"], elapsed=elapsed, stopped=stopped)
        line = f"Last run {clean(run['id'])}: {_how(run, elapsed)}"
        if run["ended_at"] is None:
            snapshot = _speed(views, snapshot, manifest_id)
    snapshot = replace(snapshot, flight=views.flight(manifest_id))
    held = views.jobs(JobFilter((Shown.HELD.value,), manifest_id))
    usd = worth(views, price, manifest_id) if price else None
    return Look(snapshot, usd, line, held, views.stalled(manifest_id))


def _speed(views: Views, snapshot: Snapshot, manifest_id: int | None) -> Snapshot:
    """With what is known of a run that goes on: how fast jobs end of late, and how long the rest will take."""
    seconds = min(WINDOW_SECONDS, snapshot.elapsed)
    rate = per_second(views.ended_since(views.now - seconds, manifest_id), seconds)
    return replace(snapshot, rate=rate, left=seconds_left(snapshot.total - snapshot.ended, rate, None, 0))


def _json(look: Look, ledger: str) -> dict[str, Any]:
    """The contract's object, and what only a watcher wants to know."""
    snapshot, flight = look.snapshot, look.snapshot.flight
    stopped = snapshot.stopped.value if snapshot.stopped else None
    summary = summary_json(
        snapshot.run_id or None, ledger, stopped, snapshot.counts, snapshot.credits, snapshot.elapsed
    )
    return summary | {
        "in_flight": {"jobs": flight.jobs, "credits": flight.credits, "oldest_job": flight.oldest_id},
        **snapshot.speed,
        "stalled": len(look.stalled),
    }


def _how(run: dict[str, Any], elapsed: float) -> str:
    if run["ended_at"] is not None:
        why = f" ({run['stopped']})" if run["stopped"] else ""
        return f"ended after {duration(elapsed)}{why}"
    if is_dead(run["host"], run["pid"], run["pid_born"]):
        return "was cut short; `batchsync resume` goes on where it was"
    return f"has been going on for {duration(elapsed)}"


def _lines(look: Look) -> Iterator[str]:
    snapshot, flight = look.snapshot, look.snapshot.flight
    share = f" ({snapshot.counts[Shown.COMPLETE] * 100 // snapshot.total} %)" if snapshot.total else ""
    yield f"{counted(snapshot.total, 'job')}, {number(snapshot.counts[Shown.COMPLETE])} complete{share}"
    for state in Shown:
        if snapshot.counts[state]:
            yield f"  {click.style(f'{state.value:<12}', fg=state_colour(state))}{snapshot.counts[state]:>9,}"
    yield credit_line(snapshot.credits, look.usd)
    if flight.jobs and flight.oldest_at is not None:
        age = duration(time.time() - flight.oldest_at)
        yield f"In flight: {counted(flight.jobs, 'job')}, the oldest for {age} ({clean(flight.oldest_id)})"
    if look.last_run:
        yield look.last_run
    if speed := pace(snapshot.rate, snapshot.left):
        yield f"  {' · '.join(speed)}"
    if look.stalled:
        oldest = look.stalled[0]
        age = duration(time.time() - (oldest.submitted_at or 0.0))
        late = counted(len(look.stalled), "render")
        yield f"Stalled: {late} far beyond the usual time; still followed, never sent again."
        yield f"  The oldest is {clean(oldest.id)} (project {clean(oldest.project_id)}), for {age}."
    yield from held_lines(look.held)
