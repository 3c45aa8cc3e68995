"""What a plan will come to, from what the ledger has seen and what the account says."""

from __future__ import annotations

from dataclasses import replace

from batchsync.errors import LedgerMissing
from batchsync.ledger.ledger import Ledger
from batchsync.model.seen import Seen
from batchsync.planning.forecast import Forecast, forecast
from batchsync.planning.plan import Plan
from batchsync.planning.pricing import Price, month_start
from batchsync.runner.upload import REUSE_MARGIN_SECONDS
from batchsync.vendor.port import Account


def outlook(
    plan: Plan, ledger: Ledger | None, account: Account | None, api_url: str, price: Price | None, max_in_flight: int
) -> Forecast:
    """Foresee `plan`; `ledger` is None where there is none yet.

    `account` is None where it couldn't be asked: then it is taken for the one that the ledger met last.
    """
    # As a run does: an account that doesn't say which it is goes by the API's address.
    scope = (account.id or api_url) if account else None
    seen = Seen(at_vendor=frozenset())  # nothing was ever uploaded without a ledger
    if ledger is not None:
        now = ledger.clock.now()
        seen = ledger.read(lambda v: v.seen(scope, now + REUSE_MARGIN_SECONDS, month_start(now)))
    if account and account.tier:
        seen = replace(seen, tier=account.tier)
    return forecast(plan, seen, price, account.credits if account else None, max_in_flight)


def outlook_at(
    location: str, plan: Plan, account: Account | None, api_url: str, price: Price | None, most: int
) -> Forecast:
    """`outlook` with the ledger at `location`, whether there is one yet or not."""
    try:
        with Ledger(location) as ledger:
            return outlook(plan, ledger, account, api_url, price, most)
    except LedgerMissing:
        return outlook(plan, None, account, api_url, price, most)
