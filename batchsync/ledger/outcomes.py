"""What became of a piece of work: one method for each outcome, each writing state, event and credits together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from batchsync.errors import IllegalTransition, LedgerError
from batchsync.ledger.engine import upsert
from batchsync.ledger.moves import FREE, PROGRESS, Moves
from batchsync.ledger.tables import Balance, Job, ManifestEntry, Output, Submission, Upload, table
from batchsync.model.credits import EntryKind
from batchsync.model.states import Event, State

_UPLOADED = insert(table(Upload))
_NEWEST = select(func.max(Submission.id)).where(Submission.job_seq == bindparam("at_seq"))
_OUTCOME = select(Submission.outcome).where(
    Submission.id == bindparam("at_id"), Submission.job_seq == bindparam("at_seq")
)
_SETTLED = update(table(Submission)).where(Submission.id == bindparam("at_id"))
_OWNED = update(table(Job)).where(Job.seq == bindparam("at_seq"), Job.lease_owner == bindparam("at_owner"))
_OUTPUT = update(table(Output)).where(
    Output.job_seq == bindparam("at_seq"), Output.ordinal == bindparam("at_ordinal")
)
_OUTPUTS = update(table(Output)).where(Output.job_seq == bindparam("at_seq"))


class Outcomes(Moves):
    """Outcomes of uploads, submissions, looks and downloads. `owner` is the run that holds the job's lease."""

    # --- uploads ---

    def uploaded(self, scope: str, digest: str, kind: str, size: int, vendor_path: str, expires_at: float) -> None:
        """Remember a file that is at the vendor now."""
        self.connection.execute(
            _UPLOADED,
            {
                "scope": scope,
                "digest": digest,
                "kind": kind,
                "size": size,
                "vendor_path": vendor_path,
                "uploaded_at": self.now,
                "expires_at": expires_at,
            },
        )

    def assets_ready(self, seq: int, owner: str, video: str, audio: str, expire_at: float | None) -> None:
        """The job's inputs are where the vendor can read them; `expire_at` is when the first of them goes."""
        values = {**PROGRESS, "video_asset": video, "audio_asset": audio, "assets_expire_at": expire_at}
        self._move(Event.ASSETS_READY, seq, values, owner=owner)

    # --- submissions ---

    def accepted(
        self, seq: int, submission_id: int, project_id: str, credits: int | None, look_at: float, status: int
    ) -> bool:
        """The vendor made a project. `credits` is what it said it took, None where it didn't say.

        False if the job has gone another way meanwhile: then the project is paid for and noted, but not followed.
        """
        if self._job(seq).project_id == project_id:
            return True  # a person was faster to say so
        awaited = self._awaited(seq, submission_id)
        self._settle(submission_id, "created", project_id=project_id, http_status=status)
        if not awaited:
            self._stray(seq, submission_id, project_id, credits)
            return False
        self._move(
            Event.SUBMIT_ACCEPTED,
            seq,
            {**PROGRESS, "project_id": project_id, "vendor_status": None, "not_before": look_at},
            stated=credits,
            submission_id=submission_id,
            detail={"submission": submission_id, "project": project_id, "credits": credits},
        )
        return True

    def _awaited(self, seq: int, submission_id: int) -> bool:
        """Whether the job still waits for the outcome of this submission: no later one, and nobody has decided it.

        Raises IllegalTransition if it is known to have made a project.
        """
        outcome = self.connection.execute(_OUTCOME, {"at_id": submission_id, "at_seq": seq}).one_or_none()
        if outcome is None or outcome.outcome == "created":
            raise IllegalTransition(f"submission {submission_id} of job number {seq} has had its answer")
        newest = self.connection.execute(_NEWEST, {"at_seq": seq}).scalar_one()
        return bool(newest == submission_id) and self._job(seq).state in (State.SUBMITTING.value, State.HELD.value)

    def _require_awaited(self, seq: int, submission_id: int) -> None:
        if not self._awaited(seq, submission_id):
            raise IllegalTransition(f"job number {seq} no longer waits for the answer to submission {submission_id}")

    def _stray(self, seq: int, submission_id: int, project_id: str, credits: int | None) -> None:
        job = self._job(seq)
        cost = job.estimate if credits is None else credits
        self._entries(seq, ((EntryKind.CHARGE, cost),) if cost else (), project_id, submission_id)
        detail = {"submission": submission_id, "project": project_id, "credits": credits}
        self._move(Event.STRAY_PROJECT, seq, {"net": job.net + cost}, detail=detail)

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
        self._require_awaited(seq, submission_id)
        self._settle(submission_id, "not_created", code=code, message=message, http_status=status)
        job = self._job(seq)
        values = {
            **FREE,
            "not_before": not_before,
            "tries": job.tries + 1,
            "failing_since": (job.failing_since or self.now) if failing else job.failing_since,
            "error_code": code,
            "error_message": message,
        }
        self._move(
            Event.SUBMIT_DEFERRED,
            seq,
            values,
            submission_id=submission_id,
            detail={"submission": submission_id, "code": code, "message": message},
        )

    def refused(self, seq: int, submission_id: int, code: str, message: str, status: int | None) -> None:
        """Certainly no project was made, and the vendor won't make one of this job."""
        self._require_awaited(seq, submission_id)
        self._settle(submission_id, "not_created", code=code, message=message, http_status=status)
        self._move(
            Event.SUBMIT_REFUSED,
            seq,
            {**FREE, "error_code": code, "error_message": message, "finished_at": self.now},
            submission_id=submission_id,
            detail={"submission": submission_id, "code": code, "message": message},
        )

    def lost(self, seq: int, submission_id: int, code: str, message: str, status: int | None) -> None:
        """Nobody can know whether a project was made: the job is held."""
        self._require_awaited(seq, submission_id)
        self._settle(submission_id, "unknown", code=code, message=message, http_status=status)
        self._move(
            Event.SUBMIT_LOST,
            seq,
            {**FREE, "error_code": code, "error_message": message},
            submission_id=submission_id,
            detail={"submission": submission_id, "code": code, "message": message},
        )

    def _settle(self, submission_id: int, outcome: str, **values: Any) -> None:
        self.connection.execute(
            _SETTLED, {"at_id": submission_id, "settled_at": self.now, "outcome": outcome, **values}
        )

    # --- looks ---

    def still_rendering(self, seq: int, owner: str, status: str, credits: int | None, look_at: float) -> None:
        """The project goes on; the next look is at `look_at`. A look that changed nothing leaves no event."""
        job = self._job(seq)
        values = {**PROGRESS, "vendor_status": status, "not_before": look_at}
        if job.vendor_status == status and credits in (None, job.project_credits) and job.lease_owner == owner:
            self.connection.execute(_OWNED, {"at_seq": seq, "at_owner": owner, **values})
            return
        self._move(
            Event.STILL_RENDERING,
            seq,
            values,
            owner=owner,
            stated=credits,
            detail={"status": status, "credits": credits},
        )

    def render_done(self, seq: int, owner: str, credits: int | None, fps: float | None) -> None:
        """The render is finished. The lease stays: whoever saw it holds the links, and hands the job on."""
        first = {name: value for name, value in PROGRESS.items() if name not in FREE}
        again = {"not_before": 0.0}
        known = self._job(seq).rendered_at is not None
        values = {**(again if known else {**first, "rendered_at": self.now}), "vendor_status": "complete"}
        self._move(
            Event.RENDER_DONE, seq, values, owner=owner, stated=credits, detail={"credits": credits, "fps": fps}
        )

    def render_failed(self, seq: int, owner: str, status: str, credits: int | None, code: str, message: str) -> None:
        """The project came to nothing: `status` is `error` or `deleted`."""
        self._ended(Event.RENDER_FAILED, seq, owner, status, credits, code, message)

    def vendor_canceled(self, seq: int, owner: str, credits: int | None, message: str) -> None:
        """Somebody canceled the project at the vendor."""
        self._ended(Event.VENDOR_CANCELED, seq, owner, "canceled", credits, "canceled", message)

    def _ended(
        self, event: Event, seq: int, owner: str, status: str, credits: int | None, code: str, message: str
    ) -> None:
        self._move(
            event,
            seq,
            {
                **FREE,
                "vendor_status": status,
                "error_code": code,
                "error_message": message,
                "finished_at": self.now,
            },
            owner=owner,
            stated=credits,
            detail={"code": code, "message": message, "credits": credits},
        )

    # --- downloads ---

    def look_again(self, seq: int, owner: str) -> None:
        """The links to the output are not known here, or have expired: only a fresh look gives new ones."""
        self._move(Event.LOOK_AGAIN, seq, {**FREE}, owner=owner)

    def output_started(self, seq: int, ordinal: int, project_id: str, path: str, validator: str | None) -> None:
        """Bytes of an output are about to arrive; `validator` is what a later download may go on with."""
        row = {
            "job_seq": seq,
            "ordinal": ordinal,
            "project_id": project_id,
            "path": path,
            "validator": validator,
            "size": None,
            "digest": None,
            "saved_at": None,
        }
        upsert(self.connection, Output, [row], ["job_seq", "ordinal"])

    def output_whole(self, seq: int, ordinal: int, size: int, digest: str) -> None:
        """All bytes of an output are on the disk under their temporary name, and may be renamed."""
        self.connection.execute(_OUTPUT, {"at_seq": seq, "at_ordinal": ordinal, "size": size, "digest": digest})

    def output_saved(self, seq: int, owner: str, paths: Sequence[str]) -> None:
        """Every output of the job is whole and under its final name."""
        self.connection.execute(_OUTPUTS, {"at_seq": seq, "saved_at": self.now})
        self._move(
            Event.OUTPUT_SAVED,
            seq,
            {**PROGRESS, "finished_at": self.now},
            owner=owner,
            detail={"paths": list(paths)},
        )

    # --- failures of any stage ---

    def attempt_failed(
        self,
        seq: int,
        owner: str,
        code: str,
        message: str,
        not_before: float,
        *,
        strike: bool,
        credits: int | None = None,
    ) -> None:
        """Something went wrong that may go right later; a `strike` counts against the job, an outage doesn't."""
        job = self._job(seq)
        values: dict[str, Any] = {
            **FREE,
            "tries": job.tries + 1,
            "strikes": job.strikes + strike,
            "failing_since": job.failing_since or self.now,
            "not_before": not_before,
            "error_code": code,
            "error_message": message,
        }
        self._move(
            Event.ATTEMPT_FAILED, seq, values, owner=owner, stated=credits, detail={"code": code, "message": message}
        )

    def gave_up(self, seq: int, owner: str, code: str, message: str) -> None:
        """The job can't be brought on, and is no more tried on its own."""
        self._move(
            Event.GAVE_UP,
            seq,
            {**FREE, "error_code": code, "error_message": message, "finished_at": self.now},
            owner=owner,
            detail={"code": code, "message": message},
        )

    # --- what a person decides ---

    def resolved(self, seq: int, *, project_id: str | None, by: str = "user") -> None:
        """A held job turned out to have become `project_id`, or (None) never to have been created.

        Raises LedgerError for a project that is some job's already.
        """
        newest = self.connection.execute(_NEWEST, {"at_seq": seq}).scalar_one()
        if project_id is None:
            self._move(Event.RESOLVED_ABSENT, seq, PROGRESS, detail={"by": by})
            if by == "user":  # anybody else only wished it; what that submission cost stays unknown
                self.connection.execute(_SETTLED, {"at_id": newest, "outcome": "not_created"})
            return
        taken = select(Job.id).join(Submission).where(Submission.project_id == project_id).limit(1)
        owner = self.connection.execute(taken).scalar()
        if owner is not None:
            raise LedgerError(f"project {project_id} is that of job {owner} already", hint="nothing was changed")
        values = {**PROGRESS, "project_id": project_id, "vendor_status": None}
        self._move(Event.RESOLVED_FOUND, seq, values, detail={"by": by, "project": project_id})
        self.connection.execute(_SETTLED, {"at_id": newest, "outcome": "created", "project_id": project_id})

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
        values |= {"project_id": None, "project_credits": 0, "vendor_status": None, "rendered_at": None}
        self._move(Event.RETRY_RENDER, seq, values, detail={"by": "user"})
        return Event.RETRY_RENDER

    # --- the account ---

    def balance(self, moment: str, account_id: str | None, tier: str | None, credits: int) -> None:
        """Write down what the account holds now."""
        self.connection.execute(
            insert(Balance).values(
                run_id=self.run_id, at=self.now, moment=moment, account_id=account_id, tier=tier, credits=credits
            )
        )
