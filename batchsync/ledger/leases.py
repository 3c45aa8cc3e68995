"""Leases: who has a job in hand. A lease's owner is a run, and only `reap` takes one away."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import and_, bindparam, func, select, update

from batchsync.ledger.moves import FREE, Moves, chunks
from batchsync.ledger.tables import Job, Run, Submission, table
from batchsync.model.states import UNFINISHED, Event, State

LONGEST_WAIT_SECONDS = 3600.0  # four times as long as any vendor's wish is granted

_LEASE = update(table(Job)).where(Job.seq.in_(bindparam("at_seqs", expanding=True)))
_OWNED = and_(Job.seq.in_(bindparam("at_seqs", expanding=True)), Job.lease_owner == bindparam("owner"))
_RENEW = update(table(Job)).where(_OWNED)
_MINE = select(Job.seq).where(_OWNED)
_UNFINISHED = Job.state.in_([state.value for state in UNFINISHED])


class Leases(Moves):
    """Taking, renewing and giving back leases."""

    def _lease(self, seqs: Sequence[int], run_id: str, lease: float) -> None:
        if seqs:
            values = {"lease_owner": run_id, "lease_until": self.now + lease}
            self.connection.execute(_LEASE, {"at_seqs": list(seqs), **values})

    def renew(self, seqs: Collection[int], owner: str, lease: float) -> set[int]:
        """Keep the leases of jobs that are in hand. Returns those that `owner` doesn't hold (any more)."""
        lost: set[int] = set()
        for batch in chunks(seqs):
            mine = {"at_seqs": batch, "owner": owner}
            kept = self.connection.execute(_RENEW, mine | {"lease_until": self.now + lease})
            if kept.rowcount < len(batch):
                lost |= set(batch) - set(self.connection.execute(_MINE, mine).scalars())
        return lost

    def release(self, owner: str) -> list[int]:
        """Give back everything that `owner` holds; a submission whose answer nobody waits for any more is held.

        Returns the numbers of the held jobs.
        """
        orphans = select(Job.seq).where(Job.state == State.SUBMITTING.value, Job.lease_owner == owner)
        held = list(self.connection.execute(orphans).scalars())
        for seq in held:
            self._lose_orphan(seq)
        self.connection.execute(update(table(Job)).where(_UNFINISHED, Job.lease_owner == owner).values(FREE))
        return held

    def reap(self, is_dead: Callable[[str, int, str | None], bool | None]) -> list[int]:
        """Take back what dead processes hold; their open submissions are held. Returns the held jobs' numbers.

        `is_dead(host, pid, born)` says True (surely dead), False (surely alive) or None (can't tell from here);
        a lease of the last kind falls when it has run out.
        """
        self._forget_far_waits()
        leases = self.connection.execute(
            select(Job.lease_owner, func.max(Job.lease_until).label("until"), Run.host, Run.pid, Run.pid_born)
            .join(Run, Run.id == Job.lease_owner)
            .where(_UNFINISHED, Job.lease_owner.is_not(None), Job.lease_owner != self.run_id)
            .group_by(Job.lease_owner, Run.host, Run.pid, Run.pid_born)
        ).all()
        held: list[int] = []
        for lease in leases:
            dead = is_dead(lease.host, lease.pid, lease.pid_born)
            if dead or (dead is None and lease.until < self.now):
                held += self.release(lease.lease_owner)
        return held

    def _forget_far_waits(self) -> None:
        """Nothing waits for so long: a clock that was set back would leave jobs idle until it has caught up."""
        far = Job.not_before > self.now + LONGEST_WAIT_SECONDS
        self.connection.execute(update(table(Job)).where(_UNFINISHED, far).values(not_before=self.now))

    def _lose_orphan(self, seq: int) -> None:
        message = "the process that sent it ended before the answer was recorded"
        submission_id = (
            self.connection.execute(
                update(Submission)
                .where(Submission.job_seq == seq, Submission.settled_at.is_(None))
                .values(settled_at=self.now, outcome="unknown", code="killed", message=message)
                .returning(Submission.id)
            )
            .scalars()
            .first()
        )
        self._move(
            Event.SUBMIT_LOST,
            seq,
            {**FREE, "error_code": "killed", "error_message": message},
            submission_id=submission_id,
            detail={"code": "killed", "submission": submission_id},
        )
