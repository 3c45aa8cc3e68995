"""What a credit report adds up: jobs, credits and failures, grouped and summed by the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, cast, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, aliased
from sqlalchemy.types import BigInteger

from batchsync.ledger.listing import scoped
from batchsync.ledger.tables import CreditEntry, Job, JobTag, Manifest, Submission
from batchsync.model.credits import MONEY_KINDS, EntryKind
from batchsync.model.states import State

QUARTER_HOUR = 900  # every offset of a time zone in use is a multiple of it, and so is every change of one

_MONEY_KINDS = [kind.value for kind in MONEY_KINDS]
_MONEY = CreditEntry.kind.in_(_MONEY_KINDS)
_RENDERING, _RENDERED, _COMPLETE = State.RENDERING.value, State.RENDERED.value, State.COMPLETE.value


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
class JobSums:
    """Jobs of a group. `at` is when the first of them was submitted last, `seconds` the length of finished clips.

    `unknown` is what submissions may have cost whose outcome nobody knows. `clips_estimated` and `clips_settled`
    compare the same jobs: those that are rendered. `spent` is what the jobs have cost since they exist, tries that
    came to nothing included, without those that the vendor has still.
    """

    key: str | None
    at: float | None
    jobs: int
    complete: int
    failed: int
    canceled: int
    held: int
    estimated: int
    unknown: int
    seconds: float
    clips_estimated: int
    clips_settled: int
    spent: int


@dataclass(frozen=True, slots=True)
class EntrySums:
    """Credits of a group that moved, signed as they stand. `at` is when the first of them did.

    `open` is of projects that the vendor still renders, `wasted` of those whose file isn't here and won't come;
    `weight` is what they weigh by the tariff, 0 without one.
    """

    key: str | None
    at: float
    charges: int
    settles: int
    refunds: int
    open: int
    wasted: int
    weight: int


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


def _total(condition: Any, amount: Any = 1) -> Any:
    """The sum of `amount` over the rows of a group for which `condition` holds."""
    return _sum(case((condition, amount), else_=0))


def _quarter(column: Any) -> Any:
    """In which quarter of an hour a time is: a number that is the same for all times in one."""
    whole = cast(column / QUARTER_HOUR, BigInteger)  # cut off by one database, rounded by another
    return case((whole * QUARTER_HOUR > column, whole - 1), else_=whole)


def _key(query: Any, by: str, run_id: Any, at: Any) -> tuple[Any, Any, list[Any]]:
    """`query` joined to what its rows are grouped by, that as a column, and the columns to group by."""
    if by in ("day", "month"):  # which day a quarter of an hour belongs to is the time zone's to say
        return query, literal(None), [_quarter(at)]
    if by.startswith("tag:"):
        mine = and_(JobTag.job_seq == Job.seq, JobTag.key == by.removeprefix("tag:"))
        return query.outerjoin(JobTag, mine), JobTag.value, [JobTag.value]
    if by == "manifest":
        return query.outerjoin(Manifest, Manifest.id == Job.manifest_id), Manifest.path, [Manifest.path]
    if by == "job":
        return query, Job.id, [Job.seq]
    column = {"run": run_id, "mode": Job.generation_mode}[by]
    return query, column, [column]


def job_sums(connection: Connection, by: str, period: Period) -> Iterator[JobSums]:
    """The jobs that were last submitted in a period (all jobs, where it has no bounds) by group.

    `by` is run, manifest, mode, tag:KEY or job; day and month give quarters of an hour.
    """
    lost = select(Submission.job_seq, func.count().label("times")).where(Submission.outcome == "unknown")
    lost_jobs = lost.group_by(Submission.job_seq).subquery("lost")
    state, done = Job.state, Job.state == _COMPLETE
    rendered = state.in_([_RENDERED, _COMPLETE])
    query = select().select_from(Job).outerjoin(lost_jobs, lost_jobs.c.job_seq == Job.seq)
    if by == "run":
        query = query.outerjoin(Submission, and_(Submission.job_seq == Job.seq, Submission.number == Job.submissions))
    query, key, group = _key(query, by, Submission.run_id, Job.submitted_at)
    query = query.add_columns(
        key,
        func.min(Job.submitted_at),
        func.count(),
        _total(done),
        _total(state.in_([State.FAILED.value, State.CANCELED.value])),
        _total(state == State.CANCELED.value),
        _total(state == State.HELD.value),
        _sum(Job.estimate),
        _sum(Job.worst * lost_jobs.c.times),
        func.sum(case((done, Job.end_seconds - Job.start_seconds), else_=0.0)),
        _total(rendered, Job.estimate),
        _total(rendered, Job.project_credits),
        _total(state.not_in([_RENDERING, _RENDERED]), Job.net),
    )
    rows = connection.execute(query.where(*period.bounds(Job.submitted_at)).group_by(*group))
    return (JobSums(*row) for row in rows)


def entry_sums(connection: Connection, by: str, period: Period, tariff: Tariff | None = None) -> Iterator[EntrySums]:
    """The credits that moved in a period by group; `by` is as in `job_sums`.

    With a tariff, the period must lie in its month.
    """
    entry, weight = _entries(period, tariff)
    kind, amount, present = entry.kind, entry.amount, entry.project_id == Job.project_id
    open_, here = [_RENDERING], [_RENDERING, _RENDERED, _COMPLETE]
    query = select().select_from(entry).join(Job, Job.seq == entry.job_seq)
    query, key, group = _key(query, by, entry.run_id, entry.at)
    query = query.add_columns(
        key,
        func.min(entry.at),
        _total(kind == EntryKind.CHARGE.value, amount),
        _total(kind == EntryKind.SETTLE.value, amount),
        _total(kind == EntryKind.REFUND.value, amount),
        _total(and_(present, Job.state.in_(open_)), amount),
        _sum(case((and_(present, Job.state.in_(here)), 0), else_=amount)),
        _sum(weight),
    )
    rows = connection.execute(query.where(entry.kind.in_(_MONEY_KINDS), *period.bounds(entry.at)).group_by(*group))
    return (EntrySums(*row) for row in rows)


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
