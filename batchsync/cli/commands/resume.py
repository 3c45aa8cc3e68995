"""`batchsync resume`: take every unfinished job of the ledger to its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from batchsync.cli import options as o
from batchsync.cli.connect import connection
from batchsync.cli.logs import set_up
from batchsync.cli.running import Talk, carry_out
from batchsync.ledger.ledger import Ledger
from batchsync.planning.pricing import Price
from batchsync.runner.intake import require_output_dir
from batchsync.runner.options import RunOptions


@click.command("resume", short_help="take every unfinished job of the ledger to its end")
@o.ledger_option
@o.output_dir_option
@o.sandbox_option
@o.vendor_options
@o.run_options
@o.price_option
@o.option("--yes", "-y", is_flag=True, help="Accepted for symmetry with `run`; resuming never asks.")
@o.json_option
@o.talk_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
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
    """Take every unfinished job of the ledger to its end, without the manifest.

    Finished videos go where the jobs' runs wanted them, unless --output-dir is given.

    \b
    batchsync resume
    batchsync resume --ledger night.db --until 07:00
    """
    set_up(quiet=quiet, **logging)
    money = Price.parse(price) if price else None
    with Ledger(ledger) as book, connection(api_url, api_key_file, sandbox, ledger) as vendor:
        vendor.bind(book)
        # The default is for `run`; here each job knows better where it belongs.
        if ctx.get_parameter_source("output_dir") is not ParameterSource.DEFAULT:
            require_output_dir(output_dir)
            options = replace(options, output_dir=output_dir)
        talk = Talk(as_json, quiet, no_progress, money)
        return carry_out(book, vendor, options, None, talk)
