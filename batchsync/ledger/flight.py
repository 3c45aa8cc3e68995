"""What is under way at a moment, and how fast jobs come to their end: for who watches a run."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from batchsync.ledger.listing import scoped
from batchsync.ledger.tables import Job
from batchsync.model.states import AT_VENDOR, UNFINISHED

_FLYING = Job.state.in_([state.value for state in AT_VENDOR])
_ENDED = Job.state.not_in([state.value for state in UNFINISHED])


@dataclass(frozen=True, slots=True)
class Flight:
    """Jobs at the vendor: how many, the `credits` that they have cost and may still cost, of these what is `charged`.

    `oldest_id` was submitted first of them, at `oldest_at` (epoch seconds).
    """

    jobs: int = 0
    credits: int = 0
    charged: int = 0
    oldest_id: str | None = None
    oldest_at: float | None = None


def flight(connection: Connection, manifest_id: int | None) -> Flight:
    """What is at the vendor now, of a manifest or of the whole ledger."""
    sums = (func.count(), func.coalesce(func.sum(Job.net), 0), func.coalesce(func.sum(Job.reserved), 0))
    count, charged, reserved = connection.execute(scoped(select(*sums).where(_FLYING), manifest_id)).one()
    if not count:
        return Flight()
    first = scoped(select(Job.id, Job.submitted_at).where(_FLYING), manifest_id).order_by(Job.submitted_at).limit(1)
    oldest = connection.execute(first).one()
    return Flight(int(count), int(charged + reserved), int(charged), oldest.id, oldest.submitted_at)


def ended_since(connection: Connection, since: float, manifest_id: int | None) -> int:
    """How many jobs have come to their end since then (epoch seconds)."""
    query = select(func.count()).select_from(Job).where(_ENDED, Job.finished_at >= since)
    return int(connection.execute(scoped(query, manifest_id)).scalar_one())
