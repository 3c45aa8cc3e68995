"""What a person decides about a job: settling a held one, giving it up, putting a failed one back."""

from __future__ import annotations

from sqlalchemy import func, select

from batchsync.errors import LedgerError
from batchsync.ledger.moves import FREE, PROGRESS, Moves
from batchsync.ledger.submissions import MADE_BY, NEWEST, SETTLED
from batchsync.ledger.tables import Job, ManifestEntry, Submission
from batchsync.ledger.uploads import forgotten
from batchsync.model.states import Event, State


class Decisions(Moves):
    """What only a person, or an option that a person gave, may bring about; and what the vendor says to it."""

    def resolved(self, seq: int, *, project_id: str | None, by: str = "user", credits: int | None = None) -> None:
        """A held job turned out to have become `project_id`, or (None) never to have been created.

        `credits` is what the vendor says that it has taken for the project, where it was asked.
        Raises LedgerError for a project that is some job's already.
        """
        newest = self.connection.execute(NEWEST, {"at_seq": seq}).scalar_one()
        if project_id is None:
            self._move(Event.RESOLVED_ABSENT, seq, PROGRESS, detail={"by": by})
            if by == "user":  # anybody else only wished it; what that submission cost stays unknown
                self.connection.execute(SETTLED, {"at_id": newest, "outcome": "not_created"})
            return
        known = self.connection.execute(MADE_BY, {"at_project": project_id}).one_or_none()
        if known is not None:
            raise LedgerError(f"project {project_id} is that of job {known.job} already", hint="nothing was changed")
        values = {**PROGRESS, "project_id": project_id, "vendor_status": None}
        detail = {"by": by, "project": project_id, "credits": credits}
        self._move(Event.RESOLVED_FOUND, seq, values, stated=credits, submission_id=newest, detail=detail)
        # No HTTP status: it is a person who says so, and the vendor may know better.
        values = {"outcome": "created", "project_id": project_id, "http_status": None}
        self.connection.execute(SETTLED, {"at_id": newest, **values})

    def claim_refuted(self, seq: int, owner: str) -> bool:
        """The vendor knows no such project: where only a person had named it, the job is held as it was before.

        False where the vendor itself had spoken of it, and nothing is written.
        """
        job = self._job(seq)
        newest = self.connection.execute(NEWEST, {"at_seq": seq}).scalar_one()
        told = select(Submission.http_status).where(Submission.id == newest)
        if job.vendor_status is not None or self.connection.execute(told).scalar_one_or_none() is not None:
            return False
        message = f"the vendor knows no project {job.project_id}, which was named with `batchsync resolve`"
        values = {**PROGRESS, "project_id": None, "error_code": "unknown_project", "error_message": message}
        detail = {"project": job.project_id}
        self._move(Event.CLAIM_REFUTED, seq, values, owner=owner, detail=detail)
        outcome = {"outcome": "unknown", "project_id": None, "code": "unknown_project", "message": message}
        self.connection.execute(SETTLED, {"at_id": newest, **outcome})
        return True

    def resubmitted(self, seq: int, most: int) -> bool:
        """Let a held job be sent again, as a person wished for all such jobs; not after its `most`-th lost answer."""
        lost = select(func.count()).where(Submission.job_seq == seq, Submission.outcome == "unknown")
        if self.connection.execute(lost).scalar_one() >= most:
            return False
        self.resolved(seq, project_id=None, by="--on-ambiguous resubmit")
        return True

    def resubmit_held(self, manifest_id: int | None, most: int) -> int:
        """Let the held jobs of a manifest (of the ledger, if None) be sent again; see `resubmitted`."""
        held = select(Job.seq).where(Job.state == State.HELD.value)
        if manifest_id is not None:
            mine = select(ManifestEntry.job_seq).where(
                ManifestEntry.manifest_id == manifest_id, ManifestEntry.current
            )
            held = held.where(Job.seq.in_(mine))
        return sum(self.resubmitted(seq, most) for seq in self.connection.execute(held).scalars().all())

    def abandoned(self, seq: int) -> None:
        """A person gives a held job up; what it may have cost stays unknown."""
        values = {
            **FREE,
            "error_code": "abandoned",
            "error_message": "given up by hand while nobody knew whether it was created",
            "finished_at": self.now,
        }
        self._move(Event.ABANDONED, seq, values, detail={"by": "user"})

    def retried(self, seq: int) -> Event:
        """Put a failed or canceled job back: its living project is followed, or else it is asked for anew."""
        job = self._job(seq)
        values = {**PROGRESS, "finished_at": None}
        if job.project_id and job.vendor_status not in ("error", "canceled", "deleted"):
            self._move(Event.RETRY_FOLLOW, seq, values, detail={"by": "user"})
            return Event.RETRY_FOLLOW
        self._forget_refused_uploads(seq)
        values |= {"project_id": None, "project_credits": 0, "vendor_status": None, "rendered_at": None}
        self._move(Event.RETRY_RENDER, seq, values, detail={"by": "user"})
        return Event.RETRY_RENDER

    def _forget_refused_uploads(self, seq: int) -> None:
        """A refused submission may be due to files that the vendor has lost: they are sent again too."""
        newest = select(func.max(Submission.id)).where(Submission.job_seq == seq).scalar_subquery()
        refused = select(Submission.id).where(Submission.id == newest, Submission.outcome == "not_created")
        assets = select(Job.video_asset).where(Job.seq == seq).union(select(Job.audio_asset).where(Job.seq == seq))
        self.connection.execute(forgotten(assets, self.now).where(refused.exists()))
