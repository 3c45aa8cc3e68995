"""`batchsync status`: how the jobs stand, and what was spent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import click

from batchsync.cli import options as o
from batchsync.cli.held import held_lines
from batchsync.cli.output import clean, counted, credit_line, duration, number, print_json, say, summary_json
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.rows import JobFilter, JobView
from batchsync.ledger.views import Views
from batchsync.model.states import Shown
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
            snapshot = book.read(lambda v: _look(v, manifest, None)).snapshot
            stopped = snapshot.stopped.value if snapshot.stopped else None
            print_json(
                summary_json(
                    snapshot.run_id or None,
                    book.location,
                    stopped,
                    snapshot.counts,
                    snapshot.credits,
                    snapshot.elapsed,
                )
            )
            return 0
        while True:
            look = book.read(lambda v: _look(v, manifest, money))
            if watch:
                click.clear()
            _print(look)
            if not watch:
                return 0
            try:
                time.sleep(2)
            except KeyboardInterrupt:
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
    run_id, elapsed, stopped, line = "", 0.0, None, ""
    if run is not None:
        run_id = run["id"]
        elapsed = (run["ended_at"] or views.now) - run["started_at"]
        stopped = Stopped(run["stopped"]) if run["stopped"] else None
        line = f"Last run {clean(run_id)}: {_how(run, elapsed)}"
    snapshot = Snapshot(run_id, views.counts(manifest_id), views.credits(manifest_id), elapsed, stopped)
    held = views.jobs(JobFilter((Shown.HELD.value,), manifest_id))
    usd = worth(views, price, manifest_id) if price else None
    return Look(snapshot, usd, line, held, views.stalled(manifest_id))


def _how(run: dict[str, Any], elapsed: float) -> str:
    if run["ended_at"] is not None:
        why = f" ({run['stopped']})" if run["stopped"] else ""
        return f"ended after {duration(elapsed)}{why}"
    if is_dead(run["host"], run["pid"], run["pid_born"]):
        return "was cut short; `batchsync resume` goes on where it was"
    return f"has been going on for {duration(elapsed)}"


def _print(look: Look) -> None:
    snapshot = look.snapshot
    total = sum(snapshot.counts.values())
    say(f"{counted(total, 'job')}, {number(snapshot.counts[Shown.COMPLETE])} complete")
    for state in Shown:
        if snapshot.counts[state]:
            say(f"  {state.value:<12}{snapshot.counts[state]:>9,}")
    say(credit_line(snapshot.credits, look.usd))
    if look.last_run:
        say(look.last_run)
    if look.stalled:
        oldest = look.stalled[0]
        age = duration(time.time() - (oldest.submitted_at or 0.0))
        say(
            f"Stalled: {counted(len(look.stalled), 'render')} far beyond the usual time; still followed, never sent "
            f"again. The oldest is {clean(oldest.id)} (project {clean(oldest.project_id)}), for {age}."
        )
    for line in held_lines(look.held):
        say(line)
