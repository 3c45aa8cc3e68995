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
from batchsync.runner.outlook import outlook_at


@click.command("plan", short_help="read, check and estimate a manifest")
@o.manifest_argument
@o.ledger_option
@o.output_dir_option
@o.sandbox_option
@o.vendor_options
@o.max_in_flight_option
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
    max_in_flight: int,
    price: str | None,
    as_json: bool,
    quiet: bool,
    no_progress: bool,
    **logging: Any,
) -> int:
    """Read and check MANIFEST, and say what it would upload and cost. Nothing is sent that costs anything.

    The account is asked for its balance where there is a key; without one, everything else is said all the same.
    What isn't known is said to be unknown, and is null with --json.

    \b
    batchsync plan night.csv --price usage:creator
    """
    set_up(quiet=quiet, **logging)
    money = Price.parse(price) if price else None
    who_pays = WhoPays(api_url, api_key_file, sandbox=sandbox)
    with Reading(enabled=not no_progress, quiet=quiet) as reading:
        prepared = prepare_at(manifest, output_dir, ledger, on_progress=reading.show, ask_tier=who_pays.tier)
    ahead = outlook_at(ledger, prepared.plan, who_pays.told(), who_pays.api_url, money, max_in_flight)
    if not quiet:
        print_problems(prepared.warnings)
    if as_json:
        print_json(plan_json(prepared.plan, ahead))
    else:
        for line in plan_lines(prepared.plan, ahead, money):
            say(line)
    return 0
