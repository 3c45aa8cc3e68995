"""The account beside the ledger: who pays, and what the balance is at the start, the end and around lost answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from batchsync.errors import DiskFull, SettingError
from batchsync.ledger.evidence import Standing
from batchsync.ledger.ledger import GroupCommit
from batchsync.model.states import State
from batchsync.runner.pace import Pace
from batchsync.vendor.port import Account, Next, Vendor, VendorTrouble

log = logging.getLogger("batchsync.run")

IN_FLIGHT = frozenset({State.SUBMITTING, State.RENDERING, State.RENDERED})


@dataclass(frozen=True, slots=True)
class Statement:
    """What the account holds, and how the ledger stood just before it was asked."""

    account: Account
    before: Standing


class Books:
    """Asks for the account, and writes down what it holds."""

    def __init__(self, vendor: Vendor, ledger: GroupCommit, run_id: str) -> None:
        self._vendor = vendor
        self._ledger = ledger
        self._run_id = run_id

    async def first(self, on_rest: Callable[[float], None]) -> Statement | None:
        """The account, None where the vendor doesn't tell. Raises SettingError if it refuses the key.

        Tries until it is cancelled. `on_rest` is told for how long (seconds) nothing is asked, where the vendor
        answers that it wants a rest: it isn't out of reach, and another run may just have used up its limit.
        """
        told, pace = False, Pace(None, anyio.current_time())
        while True:
            left = anyio.current_time()
            try:
                return await self._ask()
            except VendorTrouble as failure:
                trouble = failure.trouble
            if trouble.next is Next.FATAL:
                raise SettingError(
                    f"the vendor refused the API key: {trouble.message}",
                    hint="check MAGIC_HOUR_API_KEY; nothing was sent that costs anything",
                )
            if trouble.next not in (Next.AGAIN, Next.PACED):
                log.info("the account can't be read: %s", trouble.message)
                return None
            wait = max(1.0, trouble.retry_after or 0.0)
            if trouble.next is Next.PACED:
                now = anyio.current_time()
                pace.limited(now, left, trouble.retry_after)
                wait = max(wait, pace.paused_until - now)
            if trouble.next is Next.PACED or trouble.retry_after:
                on_rest(wait)
            log.log(logging.INFO if told else logging.WARNING, "%s; trying again in %.0f s", trouble.message, wait)
            told = True
            await anyio.sleep(wait)

    async def require_same_account(self, statement: Statement) -> None:
        """Raise SettingError if the key is another account's than the one that has this run's jobs in flight."""
        mine = statement.account.id
        theirs = await self._ledger.read(lambda v: v.accounts_in(self._run_id, IN_FLIGHT))
        if mine is not None and theirs - {mine}:
            raise SettingError(
                "this key is of another account than the one that has these jobs in flight: it can't see them",
                hint="use the key that submitted them; nothing was sent that costs anything",
            )

    async def note(self, moment: str) -> None:
        """Read the account and write it down, if the vendor tells, and there is room."""
        try:
            await self.write(moment, await self._ask())
        except VendorTrouble as failure:
            log.info("the balance can't be read: %s", failure.trouble.message)
        except DiskFull as error:
            log.warning("the balance isn't written down: %s", error)

    async def write(self, moment: str, statement: Statement) -> None:
        """Write a balance down, if there is one. `moment` is `start`, `end` or `doubt`."""
        account, balance = statement.account, statement.account.credits
        if balance is not None:
            await self._ledger.write(lambda w: w.balance(moment, account.id, account.tier, balance, statement.before))

    async def _ask(self) -> Statement:
        before = await self._ledger.read(lambda v: v.standing())
        return Statement(await self._vendor.account(), before)
