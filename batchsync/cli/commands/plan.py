"""`batchsync plan MANIFEST`: read, check and estimate; send nothing that costs anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import click

from batchsync.cli import options as o
from batchsync.cli.connect import Connection, api_key
from batchsync.cli.logs import set_up
from batchsync.cli.output import print_json, print_problems, say
from batchsync.cli.planning import plan_json, plan_lines
from batchsync.errors import SettingError
from batchsync.planning.pricing import Price
from batchsync.runner.intake import prepare_at
from batchsync.vendor.http import check_api_url
from batchsync.vendor.port import VendorTrouble


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
    prepared = prepare_at(manifest, output_dir, ledger)
    balance = None if sandbox else _balance(api_url, api_key_file)
    if not quiet:
        print_problems(prepared.warnings)
    if as_json:
        print_json(plan_json(prepared.plan, money, balance))
    else:
        for line in plan_lines(prepared.plan, money, balance):
            say(line)
    return 0


def _balance(api_url: str, key_file: Path | None) -> int | None:
    """The account's credits, None where there is no key or no answer."""
    url = check_api_url(api_url)
    try:
        connection = Connection(url, api_key(key_file), sandbox=False)
    except SettingError:
        if key_file is not None:
            raise
        return None

    async def ask() -> int | None:
        vendor = connection.vendor()
        try:
            return (await vendor.account()).credits
        except VendorTrouble as failure:
            say(f"The balance can't be read: {failure.trouble.message}", err=True)
            return None
        finally:
            await vendor.aclose()

    return anyio.run(ask)
