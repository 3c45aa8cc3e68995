"""`batchsync run MANIFEST`: take every job of a manifest to its end."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from batchsync.cli import options as o
from batchsync.cli.asking import WhoPays
from batchsync.cli.connect import connection
from batchsync.cli.logs import set_up
from batchsync.cli.output import print_problems, say
from batchsync.cli.planning import plan_lines
from batchsync.cli.progress import Reading
from batchsync.cli.running import Talk, ask_first, carry_out
from batchsync.ledger.ledger import Ledger
from batchsync.planning.pricing import Price
from batchsync.runner.intake import Prepared, prepare_at, require_output_dir, take_in
from batchsync.runner.known_again import known_again
from batchsync.runner.options import RunOptions
from batchsync.runner.outlook import outlook


@click.command("run", short_help="take every job of a manifest to its end")
@o.manifest_argument
@o.ledger_option
@o.output_dir_option
@o.sandbox_option
@o.vendor_options
@o.run_options
@o.price_option
@o.option("--yes", "-y", is_flag=True, help="Don't ask before credits are spent.")
@o.json_option
@o.talk_options
def command(
    manifest: str,
    ledger: str,
    output_dir: Path,
    sandbox: bool,
    api_url: str,
    api_key_file: Path | None,
    options: RunOptions,
    price: str | None,
    yes: bool,
    as_json: bool,
    quiet: bool,
    no_progress: bool,
    **logging: Any,
) -> int:
    """Add the jobs of MANIFEST to the ledger and take every one of them to its end.

    Run it again after anything: it goes on where it was, and never submits a job twice. MANIFEST is a CSV, TSV,
    YAML, JSON or JSON Lines file; `-` reads standard input.

    \b
    batchsync run night.csv
    batchsync run night.csv --limit 3 --yes          a canary first
    batchsync run night.csv --max-credits 50000      never more than that
    """
    set_up(quiet=quiet, **logging)
    money = Price.parse(price) if price else None
    # First what the user can mend, and only then a ledger: a bad manifest leaves nothing behind.
    who_pays = WhoPays(api_url, api_key_file, sandbox=sandbox)
    asks = _must_ask(yes, options, sandbox)
    manifest_id = known_again(manifest, output_dir, ledger, ask_tier=who_pays.tier, only_ended=asks)
    prepared = None
    if manifest_id is None:
        with Reading(enabled=not no_progress, quiet=quiet) as reading:
            prepared = prepare_at(manifest, output_dir, ledger, on_progress=reading.show, ask_tier=who_pays.tier)
        if not quiet:
            print_problems(prepared.warnings)
    require_output_dir(output_dir)
    with connection(api_url, api_key_file, sandbox, ledger) as vendor, Ledger(ledger, create=True) as book:
        vendor.bind(book)
        if prepared is not None:
            if asks and not _confirmed(prepared, book, who_pays, options, money):
                say("Nothing was started, and nothing was charged.", err=True)
                return 2
            manifest_id = take_in(book, prepared).manifest_id
            del prepared  # a large plan needs a lot of memory, and the run none of it
        talk = Talk(as_json, quiet, no_progress, money)
        return carry_out(book, vendor, replace(options, output_dir=output_dir), manifest_id, talk)


def _must_ask(yes: bool, options: RunOptions, sandbox: bool) -> bool:
    if yes or sandbox or options.max_credits is not None:
        return False
    return sys.stdin.isatty() and sys.stderr.isatty()


def _confirmed(
    prepared: Prepared, ledger: Ledger, who_pays: WhoPays, options: RunOptions, price: Price | None
) -> bool:
    plan = prepared.plan
    if not plan.credits_estimated:
        return True
    ahead = outlook(plan, ledger, who_pays.told(), who_pays.api_url, price, options.max_in_flight)
    return ask_first(plan_lines(plan, ahead, price))
