"""What a credit report adds up: jobs, credits and failures, grouped and summed by the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, cast, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, aliased
from sqlalchemy.types import BigInteger

from batchsync.ledger.listing import scoped
from batchsync.ledger.tables import CreditEntry, Job, JobTag, Manifest, Submission
from batchsync.model.credits import MONEY_KINDS, EntryKind
from batchsync.model.states import State

DAY = 86_400

# How far a time zone is from UTC: (until when, in epoch seconds, seconds to add), the last without an end.
Shifts = Sequence[tuple[float | None, int]]

# Some rows of sums: of a report by job there are a hundred thousand, so that each is only a row.
Sums = Sequence[Sequence[Any]]
_BATCH = 1000

_MONEY_KINDS = [kind.value for kind in MONEY_KINDS]
_MONEY = CreditEntry.kind.in_(_MONEY_KINDS)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` on and before `until`, in epoch seconds; None where there is no bound."""

    since: float | None = None
    until: float | None = None

    def bounds(self, column: InstrumentedAttribute[Any]) -> list[Any]:
        """The conditions on a column of times."""
        found = [] if self.since is None else [column >= self.since]
        return found if self.until is None else [*found, column < self.until]


@dataclass(frozen=True, slots=True)
class Tariff:
    """How credits are weighed in a month that began at `start` (epoch seconds), in the order in which they moved.

    `bands` are (up to how many credits of the month, weight of a credit), the last without an end.
    """

    start: float
    bands: tuple[tuple[int | None, int], ...]

    def weight(self, credits: Any) -> Any:
        """What the first `credits` of the month weigh together."""
        branches: list[Any] = []
        before, start = 0, 0
        for end, weight in self.bands:
            if end is None:
                return case(*branches, else_=before + (credits - start) * weight) if branches else credits * weight
            branches.append((credits <= end, before + (credits - start) * weight))
            before, start = before + (end - start) * weight, end
        raise ValueError("the last band has no end")


@dataclass(frozen=True, slots=True)
class FailureSum:
    """Jobs that ended badly in one way, and what they have cost all the same."""

    state: str
    code: str
    jobs: int
    net: int


def _sum(amount: Any) -> Any:
    """The sum of whole numbers over the rows of a group: a whole number in every database."""
    return cast(func.coalesce(func.sum(amount), 0), BigInteger)


def _total(condition: Any, amount: Any) -> Any:
    """The sum of `amount` over the rows of a group for which `condition` holds."""
    return _sum(case((condition, amount), else_=0))


def _day(at: Any, shifts: Shifts) -> Any:
    """On which day a time is, as the number of days since the epoch began."""
    *before, (_, last) = shifts
    local = at + (case(*((at < until, shift) for until, shift in before), else_=last) if before else last)
    whole = cast(local / DAY, BigInteger)  # cut off by one database, rounded by another
    return case((whole * DAY > local, whole - 1), else_=whole)


def _grouped(query: Any, groupings: Sequence[str], run_id: Any, day: Any) -> Any:
    """`query` joined to what its rows are grouped by, with that as its first columns, and grouped by it."""
    columns = []
    for by in groupings:
        if by.startswith("tag:"):
            tag = aliased(JobTag)
            query = query.outerjoin(tag, and_(tag.job_seq == Job.seq, tag.key == by.removeprefix("tag:")))
            columns.append(tag.value)
        elif by == "manifest":
            query = query.outerjoin(Manifest, Manifest.id == Job.manifest_id)
            columns.append(Manifest.path)
        else:
            plain = {"run": run_id, "mode": Job.generation_mode, "job": Job.id, "day": day, "month": day}
            columns.append(plain[by])
    query = query.add_columns(*columns, Job.state)
    if "job" not in groupings:
        return query.group_by(*columns, Job.state)
    return query.group_by(Job.seq, *(column for column in columns if column is not Job.id))


def job_sums(connection: Connection, groupings: Sequence[str], period: Period, shifts: Shifts) -> Iterator[Sums]:
    """The jobs that were last submitted in a period (all jobs, where it has no bounds) by group and state.

    A row has a key for each of `groupings` (run, manifest, mode, tag:KEY or job; for day and month alike the number
    of the day, as `shifts` has it), then state, jobs, credits estimated, what submissions may have cost whose outcome
    nobody knows, seconds of the clips, what the present projects have cost, what the jobs have since they exist.
    """
    lost = select(Submission.job_seq, func.count().label("times")).where(Submission.outcome == "unknown")
    lost_jobs = lost.group_by(Submission.job_seq).subquery("lost")
    query = select().select_from(Job).outerjoin(lost_jobs, lost_jobs.c.job_seq == Job.seq)
    if "run" in groupings:
        query = query.outerjoin(Submission, and_(Submission.job_seq == Job.seq, Submission.number == Job.submissions))
    query = _grouped(query, groupings, Submission.run_id, _day(Job.submitted_at, shifts)).add_columns(
        func.count(),
        _sum(Job.estimate),
        _sum(Job.worst * lost_jobs.c.times),
        func.sum(Job.end_seconds - Job.start_seconds),
        _sum(Job.project_credits),
        _sum(Job.net),
    )
    return connection.execute(query.where(*period.bounds(Job.submitted_at))).partitions(_BATCH)


def entry_sums(
    connection: Connection, groupings: Sequence[str], period: Period, shifts: Shifts, tariff: Tariff | None = None
) -> Iterator[Sums]:
    """The credits that moved in a period by group and state of their jobs, signed as they stand.

    A row has keys as in `job_sums`, then state, net, settlements, refunds, what of the net is of the jobs' present
    projects, what the net weighs by the tariff, 0 without one. With a tariff, the period must lie in its month.
    """
    entry, weight = _entries(period, tariff)
    query = select().select_from(entry).join(Job, Job.seq == entry.job_seq)
    query = _grouped(query, groupings, entry.run_id, _day(entry.at, shifts)).add_columns(
        _sum(entry.amount),
        _total(entry.kind == EntryKind.SETTLE.value, entry.amount),
        _total(entry.kind == EntryKind.REFUND.value, entry.amount),
        _total(entry.project_id == Job.project_id, entry.amount),
        _sum(weight),
    )
    query = query.where(entry.kind.in_(_MONEY_KINDS), *period.bounds(entry.at))
    return connection.execute(query).partitions(_BATCH)


def _entries(period: Period, tariff: Tariff | None) -> tuple[Any, Any]:
    """Credit entries to select from, and what each weighs."""
    if tariff is None or len(tariff.bands) == 1:
        return CreditEntry, CreditEntry.amount * tariff.bands[0][1] if tariff else literal(0)
    running = func.sum(CreditEntry.amount).over(order_by=(CreditEntry.at, CreditEntry.id)).label("running")
    month = Period(tariff.start, period.until).bounds(CreditEntry.at)
    table = select(CreditEntry.__table__, running).where(_MONEY, *month).subquery("running")
    entry = aliased(CreditEntry, table)
    return entry, tariff.weight(table.c.running) - tariff.weight(table.c.running - table.c.amount)


def weighted_credits(connection: Connection, period: Period, tariff: Tariff, manifest_id: int | None) -> int:
    """What the credits of a manifest's jobs as it stands now (of all jobs, if None) weigh that moved in a period."""
    entry, weight = _entries(period, tariff)
    query = select(_sum(weight)).select_from(entry).join(Job, Job.seq == entry.job_seq)
    query = query.where(entry.kind.in_(_MONEY_KINDS), *period.bounds(entry.at))
    return int(connection.execute(scoped(query, manifest_id)).scalar_one())


def moved_between(connection: Connection, period: Period) -> tuple[float, float] | None:
    """When credits first and last moved in a period, in epoch seconds; None where none did."""
    ends = [
        select(CreditEntry.at).where(*period.bounds(CreditEntry.at)).order_by(order).limit(1).scalar_subquery()
        for order in (CreditEntry.at, CreditEntry.at.desc())
    ]
    first, last = connection.execute(select(*ends)).one()
    return None if first is None else (first, last)


def failure_sums(connection: Connection, period: Period) -> list[FailureSum]:
    """The jobs of a period that failed, were canceled or are held, by code, the commonest first."""
    bad = [State.FAILED.value, State.CANCELED.value, State.HELD.value]
    code = func.coalesce(Job.error_code, "unknown")
    query = select(Job.state, code, func.count(), _sum(Job.net))
    query = query.where(Job.state.in_(bad), *period.bounds(Job.submitted_at)).group_by(Job.state, code)
    rows = connection.execute(query.order_by(func.count().desc(), Job.state, code)).all()
    return [FailureSum(*row) for row in rows]


def tag_keys(connection: Connection) -> list[str]:
    """The keys of tags that jobs have, in alphabetical order."""
    return list(connection.execute(select(JobTag.key).distinct().order_by(JobTag.key)).scalars())
