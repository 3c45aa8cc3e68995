"""`batchsync ledger …`: look after the ledger itself."""

from __future__ import annotations

import click

from batchsync.cli import options as o
from batchsync.cli.output import say
from batchsync.errors import LedgerMissing
from batchsync.ledger import schema
from batchsync.ledger.engine import ledger_url, make_engine, sqlite_path


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
        before, after, kept = schema.upgrade(reader, writer)
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
