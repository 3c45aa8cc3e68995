"""The one place where a job's state changes: a guarded write, its event and its credit entries, together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, insert, select, update

from batchsync.errors import IllegalTransition, LeaseLost
from batchsync.ledger.tables import CreditEntry, Job, JobEvent, table
from batchsync.model.credits import MONEY_KINDS, Stake, move
from batchsync.model.states import TRANSITIONS, Event, State, allowed, next_state

# What a job forgets when it gets on: what went wrong on the way, and who was working on it.
PROGRESS: dict[str, Any] = {
    "tries": 0,
    "strikes": 0,
    "failing_since": None,
    "error_code": None,
    "error_message": None,
    "not_before": 0.0,
    "lease_owner": None,
    "lease_until": None,
}
FREE: dict[str, Any] = {"lease_owner": None, "lease_until": None}
KEPT: dict[str, Any] = {name: value for name, value in PROGRESS.items() if name not in FREE}  # likewise, still leased

# Statements are built once: building one costs several times as much as running it.
JOB = (
    select(
        Job.seq,
        Job.id,
        Job.state,
        Job.reserved,
        Job.project_credits,
        Job.worst,
        Job.estimate,
        Job.net,
        Job.project_id,
        Job.vendor_status,
        Job.error_code,
        Job.lease_owner,
        Job.tries,
        Job.strikes,
        Job.failing_since,
        Job.rendered_at,
    )
    .where(Job.seq == bindparam("at_seq"))
    .with_for_update()
)
_GUARDED = update(table(Job)).where(Job.seq == bindparam("at_seq"), Job.state == bindparam("at_state"))
_EVENT = insert(table(JobEvent))
_ENTRY = insert(table(CreditEntry))


CHUNK = 500  # below SQLite's oldest limit for the parameters of one statement

T = TypeVar("T")


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Cut `items` into lists of at most `size`."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class Moves:
    """Writes of one transaction: `now` in epoch seconds is the time of everything in it, `run_id` who does it."""

    def __init__(self, connection: Connection, now: float, run_id: str | None) -> None:
        self.connection = connection
        self.now = now
        self.run_id = run_id

    def _job(self, seq: int) -> Any:
        return self.connection.execute(JOB, {"at_seq": seq}).one()

    def _move(
        self,
        event: Event,
        seq: int,
        values: Mapping[str, Any],
        *,
        job: Any = None,
        owner: str | None = None,
        stated: int | None = None,
        submission_id: int | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Any:
        """Take one job through `event`; returns the job as it was before.

        `job` is its row, if it was read just now; `owner` is who must hold its lease, `stated` the vendor's figure
        for the project's credits. Raises IllegalTransition or LeaseLost, having written nothing.
        """
        job = job or self._job(seq)
        state = State(job.state)
        if not allowed(event, state):
            raise IllegalTransition(f"job {job.id} is {state} now: `{event}` can't happen to it")
        if owner is not None and job.lease_owner != owner:
            raise LeaseLost(f"job {job.id} has been taken over by another process")
        to = next_state(event, state)
        stake = Stake(job.reserved, job.project_credits, job.worst, job.estimate)
        credits = move(TRANSITIONS[event].effect, stake, stated)
        columns = {
            "state": to.value,
            "reserved": credits.reserved,
            "project_credits": credits.project,
            "net": job.net + credits.money,
            **values,
        }
        done = self.connection.execute(_GUARDED, {"at_seq": seq, "at_state": state.value, **columns})
        if done.rowcount != 1:
            raise IllegalTransition(f"job {job.id} is no longer {state}: `{event}` can't happen to it")
        project_id = columns.get("project_id") or job.project_id
        self._entries(job.seq, credits.entries, project_id, submission_id)
        self._event(job.seq, event, state, to, detail)
        return job

    def _entries(
        self, seq: int, entries: tuple[tuple[Any, int], ...], project_id: str | None, submission_id: int | None
    ) -> None:
        if entries:
            self.connection.execute(
                _ENTRY,
                [
                    {
                        "job_seq": seq,
                        "submission_id": submission_id,
                        "project_id": project_id if kind in MONEY_KINDS else None,
                        "run_id": self.run_id,
                        "kind": kind.value,
                        "amount": amount,
                        "at": self.now,
                    }
                    for kind, amount in entries
                ],
            )

    def _event(
        self, seq: int, event: Event, before: State | None, after: State, detail: Mapping[str, Any] | None
    ) -> None:
        self.connection.execute(
            _EVENT,
            {
                "job_seq": seq,
                "run_id": self.run_id,
                "at": self.now,
                "event": event.value,
                "from_state": before.value if before else None,
                "to_state": after.value,
                "detail": dict(detail) if detail else None,
            },
        )
