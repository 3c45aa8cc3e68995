"""What became of a submission: created, certainly not created, or unknown; each answer tied to its submission."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update

from batchsync.errors import IllegalTransition
from batchsync.ledger.moves import FREE, JOB, KEPT, PROGRESS, Moves
from batchsync.ledger.tables import Job, JobEvent, Submission, Upload, table
from batchsync.ledger.uploads import forgotten
from batchsync.model.credits import EntryKind
from batchsync.model.states import Event, State

NEWEST = select(func.max(Submission.id)).where(Submission.job_seq == bindparam("at_seq"))
MADE_BY = select(Submission.id, Job.id.label("job")).join(Job, Job.seq == Submission.job_seq)
MADE_BY = MADE_BY.where(Submission.project_id == bindparam("at_project"))
_ASKED = (
    JOB.add_columns(Submission.outcome, NEWEST.scalar_subquery().label("newest"))
    .join(Submission, Submission.job_seq == Job.seq)
    .where(Submission.id == bindparam("at_id"))
)
_UPLOADS = (
    select(Upload.vendor_path)
    .join(Job, or_(Upload.vendor_path == Job.video_asset, Upload.vendor_path == Job.audio_asset))
    .where(Job.seq == bindparam("at_seq"))
)
INPUT_GONE = "input_gone"  # the code of a submission after which the job's files are brought again
UPLOADED_AGAIN = 2  # times in a row, for a vendor that hasn't got a job's files; then the job has failed
_LAST_CODES = (
    select(Submission.code)
    .where(Submission.job_seq == bindparam("at_seq"), Submission.id < bindparam("before"))
    .order_by(Submission.id.desc())
    .limit(UPLOADED_AGAIN)
)
SETTLED = update(table(Submission)).where(Submission.id == bindparam("at_id"))


class Accepted(StrEnum):
    """What became of an answer that names a project."""

    KEPT = "kept"  # the job goes on with it, and is still in the hands of who sent it
    FOLLOWED = "followed"  # the job goes on with it, and whoever claims it follows it
    STRAY = "stray"  # the job has gone another way: paid for and noted, not followed
    DOUBTED = "doubted"  # it is another submission's project already: nobody knows what this one has made


class Answers(Moves):
    """Outcomes of submissions. An answer belongs to its submission: one that comes late changes nothing else."""

    def accepted(
        self,
        seq: int,
        submission_id: int,
        project_id: str,
        credits: int | None,
        look_at: float,
        status: int,
        *,
        owner: str | None = None,
    ) -> Accepted:
        """The vendor made a project. `credits` is what it said it took, None where it didn't say.

        The lease stays with `owner`, if it has it.
        """
        known = self.connection.execute(MADE_BY, {"at_project": project_id}).one_or_none()
        if known is not None and known.id == submission_id:
            return Accepted.FOLLOWED  # a person was faster to say so
        job = self._asked(seq, submission_id)
        awaited = self._is_awaited(job, submission_id) or self._may_still_have(job, submission_id)
        if known is not None:
            message = f"the vendor answered with project {project_id}, which is that of job {known.job} already"
            if awaited and job.state == State.SUBMITTING.value:
                self._no_project(Event.SUBMIT_LOST, job, submission_id, "known_project", message, status)
            return Accepted.DOUBTED
        self._settle(submission_id, "created", project_id=project_id, http_status=status)
        if not awaited:
            self._stray(job, submission_id, project_id, credits)
            return Accepted.STRAY
        is_kept = owner is not None and job.lease_owner == owner
        self._move(
            Event.SUBMIT_ACCEPTED,
            seq,
            job=job,
            values={
                **(KEPT if is_kept else PROGRESS),
                "project_id": project_id,
                "vendor_status": None,
                "not_before": look_at,
                "finished_at": None,
            },
            stated=credits,
            submission_id=submission_id,
            detail={"submission": submission_id, "project": project_id, "credits": credits},
        )
        return Accepted.KEPT if is_kept else Accepted.FOLLOWED

    def _asked(self, seq: int, submission_id: int) -> Any:
        """The job of a submission whose answer has come, with the submission's `outcome` and the job's `newest` one.

        Raises IllegalTransition if it is known to have made a project.
        """
        row = self.connection.execute(_ASKED, {"at_id": submission_id, "at_seq": seq}).one_or_none()
        if row is None or row.outcome == "created":
            raise IllegalTransition(f"submission {submission_id} of job number {seq} has had its answer")
        return row

    @staticmethod
    def _is_awaited(job: Any, submission_id: int) -> bool:
        """Whether a job still waits for the outcome of this submission: no later one, and nobody has decided it."""
        return job.newest == submission_id and job.state in (State.SUBMITTING.value, State.HELD.value)

    def _may_still_have(self, job: Any, submission_id: int) -> bool:
        """Whether a project of the newest submission is the job's own, though it was taken for not created.

        It isn't where the job asks for something else by now, or has failed for another reason.
        """
        given_up = job.state == State.FAILED.value and job.error_code == "abandoned" and job.project_id is None
        if job.newest != submission_id or not (given_up or job.state in (State.PLANNED.value, State.UPLOADED.value)):
            return False
        # By the order of events: times may be equal, and clocks are set back.
        started = select(func.max(JobEvent.id)).where(
            JobEvent.job_seq == job.seq, JobEvent.event == Event.SUBMIT_STARTED.value
        )
        changed = select(JobEvent.id).where(
            JobEvent.job_seq == job.seq,
            JobEvent.event == Event.CHANGED.value,
            JobEvent.id > started.scalar_subquery(),
        )
        return self.connection.execute(changed.limit(1)).first() is None

    def _require_awaited(self, seq: int, submission_id: int) -> Any:
        job = self._asked(seq, submission_id)
        if not self._is_awaited(job, submission_id):
            raise IllegalTransition(f"job number {seq} no longer waits for the answer to submission {submission_id}")
        return job

    def _stray(self, job: Any, submission_id: int, project_id: str, credits: int | None) -> None:
        cost = job.estimate if credits is None else credits
        self._entries(job.seq, ((EntryKind.CHARGE, cost),) if cost else (), project_id, submission_id)
        detail = {"submission": submission_id, "project": project_id, "credits": credits}
        self._move(Event.STRAY_PROJECT, job.seq, {"net": job.net + cost}, job=job, detail=detail)

    def deferred(
        self,
        seq: int,
        submission_id: int,
        code: str,
        message: str,
        not_before: float,
        status: int | None,
        *,
        failing: bool = False,
    ) -> None:
        """Certainly no project was made, and the job may be sent again from `not_before` on.

        `failing` if it was this job's own trouble with the vendor, which has its patience.
        """
        job = self._require_awaited(seq, submission_id)
        values = {"not_before": not_before, "tries": job.tries + 1}
        if failing:
            values["failing_since"] = job.failing_since or self.now
        self._no_project(Event.SUBMIT_DEFERRED, job, submission_id, code, message, status, **values)

    def refused(self, seq: int, submission_id: int, code: str, message: str, status: int | None) -> None:
        """Certainly no project was made, and the vendor won't make one of this job."""
        job = self._require_awaited(seq, submission_id)
        self._no_project(Event.SUBMIT_REFUSED, job, submission_id, code, message, status, finished_at=self.now)

    def input_gone(self, seq: int, submission_id: int, message: str, status: int | None) -> bool:
        """Certainly no project was made, as the vendor hasn't got an input any more that was uploaded.

        The job's files are brought again, and those of other jobs that wait with the same uploads. False, and nothing
        is written, where nothing was uploaded for it, or that was of no avail the last times.
        """
        job = self._require_awaited(seq, submission_id)
        uploads = self.connection.execute(_UPLOADS, {"at_seq": seq}).scalars().all()
        last = self.connection.execute(_LAST_CODES, {"at_seq": seq, "before": submission_id}).scalars().all()
        if not uploads or last == [INPUT_GONE] * UPLOADED_AGAIN:
            return False
        gone = [path for path in uploads if path in message] or uploads  # all of them, where it doesn't say which
        self.connection.execute(forgotten(gone, self.now))
        values = {"not_before": self.now, "tries": job.tries + 1}
        self._no_project(Event.SUBMIT_DEFERRED, job, submission_id, INPUT_GONE, message, status, **values)
        self.connection.execute(
            update(table(Job))
            .where(Job.state == State.UPLOADED.value)
            .where(or_(Job.video_asset.in_(gone), Job.audio_asset.in_(gone)))
            .values(assets_expire_at=self.now)
        )
        return True

    def lost(self, seq: int, submission_id: int, code: str, message: str, status: int | None) -> None:
        """Nobody can know whether a project was made: the job is held."""
        job = self._require_awaited(seq, submission_id)
        self._no_project(Event.SUBMIT_LOST, job, submission_id, code, message, status)

    def _no_project(
        self,
        event: Event,
        job: Any,
        submission_id: int,
        code: str,
        message: str,
        status: int | None,
        **values: Any,
    ) -> None:
        """Settle a submission that gave the job no project, and take the job through `event`; its lease falls."""
        outcome = "unknown" if event is Event.SUBMIT_LOST else "not_created"
        self._settle(submission_id, outcome, code=code, message=message, http_status=status)
        self._move(
            event,
            job.seq,
            {**FREE, "error_code": code, "error_message": message, **values},
            job=job,
            submission_id=submission_id,
            detail={"submission": submission_id, "code": code, "message": message},
        )

    def _settle(self, submission_id: int, outcome: str, **values: Any) -> None:
        self.connection.execute(
            SETTLED, {"at_id": submission_id, "settled_at": self.now, "outcome": outcome, **values}
        )
