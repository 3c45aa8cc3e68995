"""`batchsync plan MANIFEST`: read, check and estimate; send nothing that costs anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from batchsync.cli import options as o
from batchsync.cli.asking import WhoPays
from batchsync.cli.logs import set_up
from batchsync.cli.output import print_json, print_problems, say
from batchsync.cli.planning import plan_json, plan_lines
from batchsync.cli.progress import Reading
from batchsync.planning.pricing import Price
from batchsync.runner.intake import prepare_at


@click.command("plan", short_help="read, check and estimate a manifest")
@click.argument("manifest")
@o.ledger_option
@o.output_dir_option
@o.sandbox_option
@o.vendor_options
@o.price_option
@o.json_option
@o.talk_options
def command(
    manifest: str,
    ledger: str,
    output_dir: Path,
    sandbox: bool,
    api_url: str,
    api_key_file: Path | None,
    price: str | None,
    as_json: bool,
    quiet: bool,
    no_progress: bool,
    **logging: Any,
) -> int:
    """Read and check MANIFEST, and say what it would upload and cost. Nothing is sent that costs anything.

    The balance is read where there is a key; without one, everything else is said all the same.

    \b
    batchsync plan night.csv --price usage:creator
    """
    set_up(quiet=quiet, **logging)
    money = Price.parse(price) if price else None
    who_pays = WhoPays(api_url, api_key_file, sandbox=sandbox)
    with Reading(enabled=not no_progress, quiet=quiet) as reading:
        prepared = prepare_at(manifest, output_dir, ledger, on_progress=reading.show, ask_tier=who_pays.tier)
    balance = _balance(who_pays)
    if not quiet:
        print_problems(prepared.warnings)
    if as_json:
        print_json(plan_json(prepared.plan, money, balance))
    else:
        for line in plan_lines(prepared.plan, money, balance):
            say(line)
    return 0


def _balance(who_pays: WhoPays) -> int | None:
    """The account's credits, None where there is no key or no answer."""
    account = who_pays.account()
    if who_pays.trouble is not None:
        say(f"The balance can't be read: {who_pays.trouble}", err=True)
    return account.credits if account is not None else None
