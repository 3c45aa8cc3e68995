"""What a credit report adds up: jobs and entries, each with what it can be grouped by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select

from batchsync.ledger.tables import CreditEntry, Job, JobTag, Manifest, Submission
from batchsync.model.credits import MONEY_KINDS


@dataclass(frozen=True, slots=True)
class UsageJob:
    """A job in a report. `run_id` is the run that last submitted it, `tag` its value of the tag asked for.

    `unknown` is what submissions of it may have cost whose outcome nobody knows.
    """

    id: str
    state: str
    mode: str
    manifest: str | None
    run_id: str | None
    tag: str | None
    estimate: int
    unknown: int
    submitted_at: float | None


@dataclass(frozen=True, slots=True)
class EntrySum:
    """A credit entry in a report, with what its job is grouped by."""

    job_id: str
    mode: str
    manifest: str | None
    run_id: str | None
    tag: str | None
    kind: str
    amount: int
    at: float


def usage_jobs(
    connection: Connection, tag: str | None, since: float | None, until: float | None
) -> Iterator[UsageJob]:
    """The jobs that were submitted between `since` and `until`; all jobs, where neither is given."""
    lost = (
        select(func.count())
        .where(Submission.job_seq == Job.seq, Submission.outcome == "unknown")
        .correlate(Job)
        .scalar_subquery()
    )
    query = (
        select(
            Job.id,
            Job.state,
            Job.generation_mode.label("mode"),
            Manifest.path.label("manifest"),
            Submission.run_id,
            JobTag.value.label("tag"),
            Job.estimate,
            (Job.worst * lost).label("unknown"),
            Job.submitted_at,
        )
        .outerjoin(Manifest, Manifest.id == Job.manifest_id)
        .outerjoin(Submission, and_(Submission.job_seq == Job.seq, Submission.number == Job.submissions))
        .outerjoin(JobTag, and_(JobTag.job_seq == Job.seq, JobTag.key == (tag or "")))
        .order_by(Job.seq)
    )
    if since is not None:
        query = query.where(Job.submitted_at >= since)
    if until is not None:
        query = query.where(Job.submitted_at < until)
    for row in connection.execute(query):
        yield UsageJob(**row._mapping)


def usage_entries(
    connection: Connection, tag: str | None, since: float | None, until: float | None
) -> Iterator[EntrySum]:
    """The entries that are money, between `since` and `until`."""
    query = (
        select(
            Job.id.label("job_id"),
            Job.generation_mode.label("mode"),
            Manifest.path.label("manifest"),
            CreditEntry.run_id,
            JobTag.value.label("tag"),
            CreditEntry.kind,
            CreditEntry.amount,
            CreditEntry.at,
        )
        .join(Job, Job.seq == CreditEntry.job_seq)
        .outerjoin(Manifest, Manifest.id == Job.manifest_id)
        .outerjoin(JobTag, and_(JobTag.job_seq == Job.seq, JobTag.key == (tag or "")))
        .where(CreditEntry.kind.in_([kind.value for kind in MONEY_KINDS]))
    )
    if since is not None:
        query = query.where(CreditEntry.at >= since)
    if until is not None:
        query = query.where(CreditEntry.at < until)
    for row in connection.execute(query):
        yield EntrySum(**row._mapping)
