"""`batchsync account`: the vendor account's tier and balance."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from batchsync.cli import options as o
from batchsync.cli.connect import connection
from batchsync.cli.output import clean, number, print_json, say
from batchsync.errors import SettingError
from batchsync.vendor.port import Account, Next, VendorTrouble


@click.command("account", short_help="the vendor account's tier and balance")
@o.vendor_options
@o.sandbox_option
@o.json_option
def command(api_url: str, api_key_file: Path | None, sandbox: bool, as_json: bool) -> int:
    """Show the account that the API key belongs to: its tier and its balance.

    \b
    batchsync account
    batchsync account --json
    """
    with connection(api_url, api_key_file, sandbox) as link:

        async def ask() -> Account:
            vendor = link.vendor()
            try:
                return await vendor.account()
            finally:
                await vendor.aclose()

        try:
            account = anyio.run(ask)
        except VendorTrouble as failure:
            if failure.trouble.next is Next.FATAL:
                raise SettingError(
                    f"the vendor refused the API key: {failure.trouble.message}", hint="check MAGIC_HOUR_API_KEY"
                ) from None
            say(f"Error: the account can't be read: {clean(failure.trouble.message)}", err=True)
            return 3
    if as_json:
        print_json({"id": account.id, "tier": account.tier, "credits": account.credits})
    else:
        say(f"Tier:    {clean(account.tier or 'unknown')}")
        say(f"Balance: {'unknown' if account.credits is None else number(account.credits) + ' credits'}")
    return 0
