"""How the ledger stands beside the account: balances that were recorded, and submissions whose outcome is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from batchsync.ledger.tables import Balance, CreditEntry, Job, JobEvent, Submission
from batchsync.model.credits import MONEY_KINDS, EntryKind
from batchsync.model.evidence import Doubt, Reading, costs_of
from batchsync.model.job import Mode
from batchsync.model.states import AT_VENDOR, Event, State

# A vendor whose answer was lost may still be at work on the request. Where it was the one that ended the talk it
# hardly is; where it was this side that waited no longer, it may take as long as it likes.
SETTLING_SECONDS = 20.0
LONGEST_SETTLING_SECONDS = 120.0
ENDED_BY_THE_VENDOR = frozenset({"cut", "garbage", "known_project", "unknown_project"})

# A submission's place among the credit entries: that of its reserve.
_ENTRY = (
    select(func.min(CreditEntry.id))
    .where(CreditEntry.submission_id == Submission.id)
    .correlate(Submission)
    .scalar_subquery()
)
_MONEY = CreditEntry.kind.in_([kind.value for kind in MONEY_KINDS])


@dataclass(frozen=True, slots=True)
class Standing:
    """How the ledger stands at a moment: the number of its newest credit entry, and its jobs at the vendor."""

    last_entry: int
    in_flight: int

    def is_quiet_since(self, before: Standing) -> bool:
        """Whether nothing moved since `before` and nothing is in flight: a balance read between can be compared."""
        return self == before and not self.in_flight


def standing(connection: Connection) -> Standing:
    """How the ledger stands now."""
    newest = select(func.coalesce(func.max(CreditEntry.id), 0))
    flying = select(func.count()).select_from(Job).where(Job.state.in_([state.value for state in AT_VENDOR]))
    return Standing(connection.execute(newest).scalar_one(), connection.execute(flying).scalar_one())


def readings(connection: Connection) -> list[Reading]:
    """The balances that were recorded and can be compared, in their order."""
    query = select(Balance.at, Balance.account_id, Balance.credits, Balance.last_entry, Balance.quiet)
    rows = connection.execute(query.where(Balance.last_entry.is_not(None)).order_by(Balance.id))
    return [Reading(**row._mapping) for row in rows]


_ASKED = (Job.start_seconds, Job.end_seconds, Job.generation_mode, Job.max_fps_limit, Job.source_fps, Job.video)


def doubts(connection: Connection) -> list[Doubt]:
    """The submissions whose outcome nobody knows, in their order. `held` is the last one of a held job."""
    query = (
        select(
            Submission.id, Submission.number, Submission.started_at, Submission.code, _ENTRY.label("entry"), *_ASKED
        )
        .add_columns(Job.id.label("job_id"), Job.token, Job.state, Job.submissions)
        .join(Job, Job.seq == Submission.job_seq)
        .where(Submission.outcome == "unknown")
        .order_by(Submission.id)
    )
    costs = _Costs(connection)
    return [
        Doubt(
            submission_id=row.id,
            job_id=row.job_id,
            token=row.token,
            held=row.state == State.HELD.value and row.number == row.submissions,
            started_at=row.started_at,
            entry=row.entry or 0,
            settling=SETTLING_SECONDS if row.code in ENDED_BY_THE_VENDOR else LONGEST_SETTLING_SECONDS,
            costs=costs.of(row),
        )
        for row in connection.execute(query).all()
    ]


def loose(connection: Connection) -> list[frozenset[int]]:
    """The credits by which each project may have moved unnoticed that has cost something and is followed no more."""
    booked = select(CreditEntry.project_id, func.sum(CreditEntry.amount).label("booked")).where(_MONEY)
    sums = booked.group_by(CreditEntry.project_id).subquery()
    ended = Job.state.in_([State.FAILED.value, State.CANCELED.value])
    query = (
        select(sums.c.booked, *_ASKED)
        .join(Submission, Submission.project_id == sums.c.project_id)
        .join(Job, Job.seq == Submission.job_seq)
        .where(sums.c.booked > 0, ended | Job.project_id.is_(None) | (Job.project_id != Submission.project_id))
    )
    costs = _Costs(connection)
    return [
        frozenset({0, -row.booked, *(cost - row.booked for cost in costs.of(row))})
        for row in connection.execute(query).all()
    ]


class _Costs:
    """What a row's job may cost; the frame rate of a video that the ledger has seen settle is looked up once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seen: dict[str, float | None] = {}

    def of(self, row: Any) -> frozenset[int]:
        fps = row.source_fps
        if fps is None:
            if row.video not in self._seen:
                self._seen[row.video] = _seen_fps(self._connection, row.video)
            fps = self._seen[row.video]
        return costs_of(row.start_seconds, row.end_seconds, Mode(row.generation_mode), row.max_fps_limit, fps)


def _seen_fps(connection: Connection, video: str) -> float | None:
    """The frame rate of a video as the vendor stated it for a job that is done, None where none is."""
    done = (
        select(JobEvent.detail)
        .join(Job, Job.seq == JobEvent.job_seq)
        .where(Job.video == video, Job.max_fps_limit.is_(None), JobEvent.event == Event.RENDER_DONE.value)
    )
    detail = connection.execute(done.limit(1)).scalar()
    return detail.get("fps") if detail else None


def known_credits(connection: Connection, after: int, upto: int) -> int | None:
    """The credits that entries after number `after`, up to `upto`, sum up to, without reserves.

    None if one of them is the charge of a submission that was sent before `after`: the vendor took it before, too.
    """
    # Submissions and their reserves are numbered in one order.
    sent_before = select(func.max(CreditEntry.submission_id)).where(CreditEntry.id <= after).scalar_subquery()
    within = (CreditEntry.id > after, CreditEntry.id <= upto)
    older = select(CreditEntry.id).where(*within, CreditEntry.kind == EntryKind.CHARGE.value)
    if connection.execute(older.where(CreditEntry.submission_id <= sent_before).limit(1)).first() is not None:
        return None
    amount = select(func.coalesce(func.sum(CreditEntry.amount), 0)).where(_MONEY, *within)
    return int(connection.execute(amount).scalar_one())
