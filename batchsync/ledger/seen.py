"""What the ledger has seen that helps to foresee the next run: uploads, use, frame rates, the time of renders."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from batchsync.ledger.tables import Balance, CreditEntry, Job, Upload
from batchsync.model.credits import MONEY_KINDS
from batchsync.model.job import Mode
from batchsync.model.seen import Seen, Settled
from batchsync.model.states import State


def seen(connection: Connection, scope: str | None, until: float, month: float) -> Seen:
    """What was seen by now. `scope` is whose uploads count, by default those of the account that was last met;

    they must stay there beyond `until`, and credits count from `month` on (both epoch seconds).
    """
    newest = select(Balance.account_id, Balance.tier).where(Balance.account_id.is_not(None))
    last = connection.execute(newest.order_by(Balance.id.desc()).limit(1)).first()
    scope = scope or (last.account_id if last else None)
    renders, median = _renders(connection)
    return Seen(
        at_vendor=None if scope is None else _at_vendor(connection, scope, until),
        tier=last.tier if last else None,
        used_this_month=_used(connection, month),
        settled=_settled(connection),
        renders=renders,
        render_seconds=median,
    )


def _at_vendor(connection: Connection, scope: str, until: float) -> frozenset[tuple[str, str]]:
    query = select(Upload.kind, Upload.digest).where(Upload.scope == scope, Upload.expires_at > until)
    return frozenset((row.kind, row.digest) for row in connection.execute(query))


def _used(connection: Connection, month: float) -> int:
    money = [kind.value for kind in MONEY_KINDS]
    total = select(func.coalesce(func.sum(CreditEntry.amount), 0))
    return int(connection.execute(total.where(CreditEntry.at >= month, CreditEntry.kind.in_(money))).scalar_one())


def _settled(connection: Connection) -> dict[Mode, Settled]:
    # A limit of its own would tell of the limit, not of the videos.
    query = (
        select(Job.generation_mode, func.sum(Job.estimate), func.sum(Job.project_credits))
        .where(Job.state == State.COMPLETE.value, Job.source_fps.is_(None), Job.max_fps_limit.is_(None))
        .group_by(Job.generation_mode)
    )
    rows = connection.execute(query).all()
    return {Mode(mode): Settled(int(estimated), int(settled)) for mode, estimated, settled in rows if estimated}


def _renders(connection: Connection) -> tuple[int, float | None]:
    """How many renders were finished, and the median of their seconds."""
    seconds = Job.rendered_at - Job.submitted_at
    finished = (Job.state.in_([State.RENDERED.value, State.COMPLETE.value]), seconds > 0)
    count = int(connection.execute(select(func.count()).select_from(Job).where(*finished)).scalar_one())
    if not count:
        return 0, None
    middle = select(seconds).where(*finished).order_by(seconds).offset((count - 1) // 2).limit(2 - count % 2)
    values = [float(value) for value in connection.execute(middle).scalars() if value is not None]
    return count, sum(values) / len(values)
