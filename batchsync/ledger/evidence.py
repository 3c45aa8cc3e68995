"""How the ledger stands beside the account: balances that were recorded, and submissions whose outcome is unknown."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from batchsync.ledger.tables import Balance, CreditEntry, Job, JobEvent, Submission
from batchsync.model.credits import MONEY_KINDS
from batchsync.model.evidence import Doubt, Reading, costs_of
from batchsync.model.job import Mode
from batchsync.model.states import AT_VENDOR, Event, State


@dataclass(frozen=True, slots=True)
class Standing:
    """How the ledger stands at a moment: the number of its newest credit entry, and its jobs at the vendor."""

    last_entry: int
    in_flight: int


def standing(connection: Connection) -> Standing:
    """How the ledger stands now."""
    newest = select(func.coalesce(func.max(CreditEntry.id), 0))
    flying = select(func.count()).select_from(Job).where(Job.state.in_([state.value for state in AT_VENDOR]))
    return Standing(connection.execute(newest).scalar_one(), connection.execute(flying).scalar_one())


def readings(connection: Connection) -> list[Reading]:
    """The balances that were recorded and can be compared, in order of time."""
    query = select(Balance.at, Balance.account_id, Balance.credits, Balance.last_entry, Balance.quiet)
    rows = connection.execute(query.where(Balance.last_entry.is_not(None)).order_by(Balance.at, Balance.id))
    return [Reading(**row._mapping) for row in rows]


def doubts(connection: Connection) -> list[Doubt]:
    """The submissions whose outcome nobody knows, in order of time. `held` is the last one of a held job."""
    query = (
        select(
            Submission.id.label("submission_id"),
            Submission.number,
            Submission.started_at,
            Job.id.label("job_id"),
            Job.token,
            Job.state,
            Job.submissions,
            Job.start_seconds,
            Job.end_seconds,
            Job.generation_mode,
            Job.max_fps_limit,
            Job.source_fps,
            Job.video,
        )
        .join(Job, Job.seq == Submission.job_seq)
        .where(Submission.outcome == "unknown")
        .order_by(Submission.started_at, Submission.id)
    )
    rows = connection.execute(query).all()
    seen = {video: _seen_fps(connection, video) for video in {row.video for row in rows if row.source_fps is None}}
    return [
        Doubt(
            submission_id=row.submission_id,
            job_id=row.job_id,
            token=row.token,
            held=row.state == State.HELD.value and row.number == row.submissions,
            started_at=row.started_at,
            costs=costs_of(
                row.start_seconds,
                row.end_seconds,
                Mode(row.generation_mode),
                row.max_fps_limit,
                row.source_fps or seen[row.video],
            ),
        )
        for row in rows
    ]


def _seen_fps(connection: Connection, video: str) -> float | None:
    """The frame rate of a video as the vendor stated it for a job that is done, None where none is."""
    done = (
        select(JobEvent.detail)
        .join(Job, Job.seq == JobEvent.job_seq)
        .where(Job.video == video, Job.max_fps_limit.is_(None), JobEvent.event == Event.RENDER_DONE.value)
    )
    detail = connection.execute(done.limit(1)).scalar()
    return detail.get("fps") if detail else None


def known_credits(connection: Connection, after: int, upto: int) -> int:
    """The credits that entries after number `after`, up to `upto`, sum up to, without reserves."""
    money = CreditEntry.kind.in_([kind.value for kind in MONEY_KINDS])
    amount = select(func.coalesce(func.sum(CreditEntry.amount), 0)).where(money)
    return int(connection.execute(amount.where(CreditEntry.id > after, CreditEntry.id <= upto)).scalar_one())
