"""`batchsync ledger …`: look after the ledger itself."""

from __future__ import annotations

from pathlib import Path

import click

from batchsync.cli import options as o
from batchsync.cli.output import clean, counted, number, print_json, say
from batchsync.errors import LedgerMissing
from batchsync.ledger import schema
from batchsync.ledger.check import Broken
from batchsync.ledger.engine import ledger_url, make_engine, patiently, sqlite_path
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.views import Views

MOST_FAULTS = 50


@click.group("ledger", short_help="look after the ledger itself")
def command() -> None:
    """Look after the ledger itself."""


@command.command("upgrade")
@o.ledger_option
def upgrade(ledger: str) -> int:
    """Bring a ledger of an older batchsync up to date. A copy of the old file stays beside it.

    \b
    batchsync ledger upgrade --ledger night.db
    """
    url = ledger_url(ledger)
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise LedgerMissing(f"there is no ledger at {path}", hint="use --ledger")
    reader, writer = make_engine(url, write=False), make_engine(url, write=True)
    try:
        before, after, kept = patiently(lambda: schema.upgrade(reader, writer))
    finally:
        reader.dispose()
        writer.dispose()
    if before == after:
        say(f"The ledger is up to date (version {after} of its tables).")
    else:
        say(f"The ledger went from version {before} of its tables to {after}.")
    if kept is not None:
        say(f"The old one is kept as {kept}")
    return 0


@command.command("check")
@o.ledger_option
@o.json_option
def check(ledger: str, as_json: bool) -> int:
    """Verify what must hold in every ledger: each job stands where its events lead, was never created twice on its
    own, and its credits are the sum of their entries. Changes nothing; ends with 2 if something is broken.

    \b
    batchsync ledger check --ledger night.db
    """

    def look(views: Views) -> tuple[list[Broken], dict[str, int]]:
        return list(views.check()), views.sizes()

    with Ledger(ledger) as book:
        broken, sizes = book.read(look)
    if as_json:
        faults = [{"rule": fault.rule, "job": fault.job, "message": fault.message} for fault in broken]
        print_json({"ledger": book.location, "sound": not broken, **sizes, "broken": faults})
        return 2 if broken else 0
    for fault in broken[:MOST_FAULTS]:
        where = f"job {clean(fault.job)}: " if fault.job is not None else ""
        say(f"{fault.rule}: {where}{clean(fault.message)}")
    if len(broken) > MOST_FAULTS:
        say(f"… and {number(len(broken) - MOST_FAULTS)} more")
    told = ", ".join(f"{number(count)} {name.replace('_', ' ')}" for name, count in sizes.items())
    if broken:
        say(f"{counted(len(broken), 'fault')} in {book.location} ({told}). Nothing was changed.", err=True)
        say("  Don't run it on: keep a copy (`batchsync ledger backup FILE`), and report the lines above.", err=True)
        return 2
    say(f"Sound: {told}.")
    return 0


@command.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@o.ledger_option
def backup(file: Path, ledger: str) -> int:
    """Copy the ledger into FILE, whole and as of one moment, also while a run goes on. Never overwrites.

    A copy knows nothing of what was submitted after it was made: running jobs from an old one may pay for them again.

    \b
    batchsync ledger backup night-$(date +%F).db
    """
    with Ledger(ledger) as book:
        book.backup(file)
    with Ledger(str(file)) as copy:
        sizes = copy.read(lambda v: v.sizes())
    say(f"Wrote {file}: {counted(sizes['jobs'], 'job')}, {counted(sizes['events'], 'event')}.")
    return 0
