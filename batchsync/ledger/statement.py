"""The account beside a credit report: what it held at both ends of a period, and what the ledger knows of between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from batchsync.ledger.tables import Balance, CreditEntry, Job, Submission
from batchsync.ledger.usage import Period
from batchsync.model.credits import MONEY_KINDS, EntryKind

_MONEY = CreditEntry.kind.in_([kind.value for kind in MONEY_KINDS])


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """A recorded balance; `last_entry` is the newest credit entry then, `quiet`: nothing was in flight."""

    id: int
    at: float
    account_id: str | None
    tier: str | None
    credits: int
    last_entry: int
    quiet: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """Two balances, in their order, and what this ledger's jobs took between them.

    `known` is None where the balances can't be compared: there are fewer than two, or more than one account's.
    `lost_jobs` submissions between them have an unknown outcome and may have cost up to `lost_credits`.
    """

    opening: BalanceRow | None = None
    closing: BalanceRow | None = None
    accounts: int = 0
    known: int | None = None
    lost_jobs: int = 0
    lost_credits: int = 0

    @property
    def unexplained(self) -> int | None:
        """Credits that the account lost beyond those that the ledger knows of; negative if it lost fewer."""
        if self.opening is None or self.closing is None or self.known is None:
            return None
        return self.opening.credits - self.closing.credits - self.known


def statement(connection: Connection, period: Period) -> Statement:
    """The last balance before a period (or else the first in it), the last before its end, and what is between."""
    opening = _opening(connection, period)
    ending = [] if period.until is None else [Balance.at <= period.until]
    closing = _balance(connection, Balance.id.desc(), *ending)
    if opening is None or closing is None or closing.id <= opening.id:
        only = opening or closing
        return Statement(only, None, accounts=1 if only else 0)
    within = (Balance.id >= opening.id, Balance.id <= closing.id)
    accounts = select(func.count(func.distinct(func.coalesce(Balance.account_id, "")))).where(*within)
    count = int(connection.execute(accounts).scalar_one())
    if count > 1:
        return Statement(opening, closing, count)
    lost = select(func.count(), func.coalesce(func.sum(Job.worst), 0)).select_from(Submission)
    lost = lost.join(Job, Job.seq == Submission.job_seq).where(
        Submission.outcome == "unknown",
        Submission.id > _newest_submission(opening),
        Submission.id <= _newest_submission(closing),
    )
    jobs, credits = connection.execute(lost).one()
    known = _known(connection, opening, closing)
    return Statement(opening, closing, count, known, int(jobs), int(credits))


def _opening(connection: Connection, period: Period) -> BalanceRow | None:
    if period.since is not None:
        before = _balance(connection, Balance.id.desc(), Balance.at <= period.since)
        if before is not None:
            return before
    return _balance(connection, Balance.id, *period.bounds(Balance.at))


def _balance(connection: Connection, order: Any, *conditions: Any) -> BalanceRow | None:
    columns = (Balance.id, Balance.at, Balance.account_id, Balance.tier, Balance.credits)
    query = select(*columns, Balance.last_entry, Balance.quiet).where(Balance.last_entry.is_not(None), *conditions)
    row = connection.execute(query.order_by(order).limit(1)).first()
    return None if row is None else BalanceRow(**row._mapping)


def _newest_submission(balance: BalanceRow) -> Any:
    """The newest submission that had left when a balance was read: each begins with its reserve."""
    reserves = select(CreditEntry.submission_id).where(
        CreditEntry.id <= balance.last_entry,
        CreditEntry.kind == EntryKind.RESERVE.value,
        CreditEntry.submission_id.is_not(None),
    )
    return func.coalesce(reserves.order_by(CreditEntry.id.desc()).limit(1).scalar_subquery(), 0)


def _known(connection: Connection, opening: BalanceRow, closing: BalanceRow) -> int:
    """The credits that moved between two balances, as far as the ledger knows by now.

    A charge belongs to when its submission left: the vendor took it then, even if the ledger learned of it later.
    """
    amount = select(func.coalesce(func.sum(CreditEntry.amount), 0))

    def booked_later(balance: BalanceRow) -> int:
        late = amount.where(
            CreditEntry.kind == EntryKind.CHARGE.value,
            CreditEntry.id > balance.last_entry,
            CreditEntry.submission_id <= _newest_submission(balance),
        )
        return int(connection.execute(late).scalar_one())

    between = (CreditEntry.id > opening.last_entry, CreditEntry.id <= closing.last_entry)
    booked = int(connection.execute(amount.where(_MONEY, *between)).scalar_one())
    return booked + booked_later(closing) - booked_later(opening)
