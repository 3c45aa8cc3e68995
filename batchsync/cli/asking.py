"""Asks the vendor who pays, where there is a key: for the tier and the balance, before anything is spent."""

from __future__ import annotations

from pathlib import Path

import anyio

from batchsync.cli.connect import Connection, api_key
from batchsync.cli.output import clean, say
from batchsync.errors import KeyMissing
from batchsync.vendor.http import check_api_url
from batchsync.vendor.port import Account, VendorTrouble

PATIENCE_SECONDS = 10.0


class WhoPays:
    """The account behind the options, asked for once, when it is first wanted. `trouble` is why it isn't known."""

    def __init__(self, api_url: str, key_file: Path | None, *, sandbox: bool) -> None:
        self.api_url = check_api_url(api_url)
        self._key_file = key_file
        self._asked = sandbox  # the simulated account is nobody's
        self._account: Account | None = None
        self.trouble: str | None = None

    def account(self) -> Account | None:
        """Tier and balance; None where there is no key or no answer. Raises SettingError for a key that is none."""
        if not self._asked:
            self._asked = True
            try:
                connection = Connection(self.api_url, api_key(self._key_file), sandbox=False)
            except KeyMissing:
                return None
            self._account = anyio.run(self._ask, connection)
        return self._account

    def told(self) -> Account | None:
        """The account; where it can't be asked, people learn it, and what needs it stays unknown."""
        account = self.account()
        if self.trouble is not None:
            say(f"The balance can't be read: {clean(self.trouble)}", err=True)
        return account

    def tier(self) -> str | None:
        """The account's tier, None where it isn't known."""
        account = self.account()
        return account.tier if account is not None else None

    async def _ask(self, connection: Connection) -> Account | None:
        vendor = connection.vendor()
        self.trouble = f"no answer within {PATIENCE_SECONDS:g} s"
        try:
            with anyio.move_on_after(PATIENCE_SECONDS):
                account = await vendor.account()
                self.trouble = None
                return account
        except VendorTrouble as failure:
            self.trouble = failure.trouble.message
        finally:
            with anyio.CancelScope(shield=True):
                await vendor.aclose()
        return None
