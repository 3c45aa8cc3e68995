"""What `run` and `resume` share: the run itself with its progress, and the closing words."""

from __future__ import annotations

import gc
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import click

from batchsync.cli.connect import Connection
from batchsync.cli.held import held_lines
from batchsync.cli.output import clean, counted, credit_line, duration, number, print_json, say, summary_json
from batchsync.cli.progress import Progress
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.rows import JobFilter, JobView
from batchsync.ledger.views import TroubleView
from batchsync.model.states import Shown
from batchsync.planning.pricing import Price
from batchsync.report.money import worth
from batchsync.runner.options import RunOptions, Stopped
from batchsync.runner.run import Run
from batchsync.runner.snapshot import Snapshot

WHY = {
    Stopped.SIGNAL: "stopped by a signal",
    Stopped.UNTIL: "the time given with --until has come",
    Stopped.MAX_DURATION: "--max-duration is over",
    Stopped.MAX_CREDITS: "--max-credits would be passed by the next job",
    Stopped.MAX_FAILURES: "--max-failures is reached",
    Stopped.LIMIT: "--limit: only the first jobs were wanted",
    Stopped.OUT_OF_CREDITS: "the account is out of credits",
    Stopped.UNAUTHORIZED: "the vendor refused the key in mid-run",
    Stopped.UNREACHABLE: "the vendor was out of reach for too long",
    Stopped.DISK_FULL: "the disk is full",
}

AGAIN = "To go on, run the same command again"
_GO_ON = {
    Stopped.MAX_CREDITS: "To go on, run it with a higher --max-credits",
    Stopped.LIMIT: "For all the others, run it without --limit",
    Stopped.UNTIL: "To go on, run it without --until, or with another",
    Stopped.OUT_OF_CREDITS: "To go on, add credits to the account and run the same command again",
    Stopped.UNAUTHORIZED: "To go on, mend the key and run the same command again",
    Stopped.DISK_FULL: "To go on, make room and run the same command again",
}
# What stopped a run that shall go on without it.
_LEFT_OUT = {Stopped.LIMIT: "--limit", Stopped.UNTIL: "--until"}


@dataclass(frozen=True, slots=True)
class Talk:
    """How much to say: `as_json` for scripts, `quiet` and `no_progress` for people."""

    as_json: bool
    quiet: bool
    no_progress: bool
    price: Price | None = None


def carry_out(
    ledger: Ledger, connection: Connection, options: RunOptions, manifest_id: int | None, talk: Talk
) -> int:
    """Run, show how it goes, say what was done; returns the exit code."""

    async def run() -> Snapshot:
        vendor = connection.vendor()
        try:
            return await Run(
                ledger,
                vendor,
                options,
                manifest_id=manifest_id,
                api_url=connection.api_url,
                watch=progress.watcher,
            )()
        finally:
            with anyio.CancelScope(shield=True):
                await vendor.aclose()

    gc.freeze()  # modules, tables and statements live as long as the process: no collection need look at them
    with Progress(enabled=not talk.no_progress, quiet=talk.quiet) as progress:
        snapshot = anyio.run(run)
        progress.show(snapshot)
    if not talk.quiet:
        _closing_words(ledger, snapshot, manifest_id, talk)
    if talk.as_json:
        stopped = snapshot.stopped.value if snapshot.stopped else None
        print_json(
            summary_json(
                snapshot.run_id, ledger.location, stopped, snapshot.counts, snapshot.credits, snapshot.elapsed
            )
        )
    return snapshot.exit_code


def _closing_words(ledger: Ledger, snapshot: Snapshot, manifest_id: int | None, talk: Talk) -> None:
    """The summary that a person reads in the morning and can forward."""
    err = talk.as_json  # standard output is for the JSON alone
    counts, total = snapshot.counts, sum(snapshot.counts.values())
    complete = counts[Shown.COMPLETE]
    mark = click.style("✓", fg="green") if complete == total else click.style("●", fg="yellow")
    say(f"{mark} {number(complete)} of {counted(total, 'job')} complete in {duration(snapshot.elapsed)}", err=err)
    others = [state for state in Shown if counts[state] and state is not Shown.COMPLETE]
    if others:
        say("  " + " · ".join(f"{state.value} {number(counts[state])}" for state in others), err=err)
    price = talk.price
    usd = ledger.read(lambda v: worth(v, price, manifest_id)) if price else None
    say(f"  {credit_line(snapshot.credits, usd)}", err=err)
    folders = ledger.read(lambda v: v.output_dirs(manifest_id))
    for folder in folders[:3]:
        say(f"  Files in {clean(folder)}", err=err)
    for trouble in ledger.read(lambda v: v.troubles(manifest_id)):
        say(f"  {_trouble_line(trouble)}", err=err)
    held = ledger.read(lambda v: v.jobs(JobFilter((Shown.HELD.value,), manifest_id)))
    _what_next(snapshot, held, err)


def _without(option: str | None, words: Sequence[str]) -> list[str]:
    """A command line without an option and its value, however they are written."""
    left: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == option:
            next(rest, None)
        elif option is None or not word.startswith(f"{option}="):
            left.append(word)
    return left


def _trouble_line(trouble: TroubleView) -> str:
    which = clean(trouble.first_id) + (f" and {number(trouble.jobs - 1)} more" if trouble.jobs > 1 else "")
    return f"{trouble.state} ({clean(trouble.code)}): {which}: {clean(trouble.message)}"


def _what_next(snapshot: Snapshot, held: list[JobView], err: bool) -> None:
    counts = snapshot.counts
    if snapshot.stopped is not None:
        say(f"  Stopped early: {WHY[snapshot.stopped]}. {_GO_ON.get(snapshot.stopped, AGAIN)}:", err=err)
        typed = _without(_LEFT_OUT.get(snapshot.stopped), sys.argv[1:])
        say(f"    {clean(shlex.join(['batchsync', *typed]))}", err=err)
    for line in held_lines(held, most=3):
        say(f"  {line}", err=err)
    if counts[Shown.FAILED] or counts[Shown.CANCELED]:
        say("  Failed or canceled: `batchsync show JOB` tells why; `batchsync retry JOB` follows", err=err)
        say("  a project that may live, and else renders and pays anew.", err=err)


def ask_first(lines: Sequence[str]) -> bool:
    """Show what a run would cost and ask; only where a person is at the terminal."""
    for line in lines:
        say(line, err=True)
    return click.confirm("Go on?", default=False, err=True)
