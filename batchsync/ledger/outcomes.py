"""What became of free work: one method for each outcome, each writing state, event and credits together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, insert, update

from batchsync.errors import LeaseLost
from batchsync.ledger.engine import upsert
from batchsync.ledger.evidence import Standing, standing
from batchsync.ledger.moves import FREE, KEPT, PROGRESS, Moves
from batchsync.ledger.tables import Balance, Job, Output, table
from batchsync.model.states import Event

_OWNED = update(table(Job)).where(Job.seq == bindparam("at_seq"), Job.lease_owner == bindparam("at_owner"))
_OUTPUTS = update(table(Output)).where(Output.job_seq == bindparam("at_seq"))


class Outcomes(Moves):
    """Outcomes of looks and downloads. `owner` is the run that holds the job's lease."""

    # --- looks ---

    def still_rendering(self, seq: int, owner: str, status: str, credits: int | None, look_at: float) -> None:
        """The project goes on; the next look is at `look_at`, by whom the lease stays with.

        A look that changed nothing need not be written down, and leaves no event.
        """
        job = self._job(seq)
        values = {**KEPT, "vendor_status": status, "not_before": look_at}
        if job.vendor_status == status and credits in (None, job.project_credits) and job.lease_owner == owner:
            self.connection.execute(_OWNED, {"at_seq": seq, "at_owner": owner, **values})
            return
        self._move(
            Event.STILL_RENDERING,
            seq,
            values,
            job=job,
            owner=owner,
            stated=credits,
            detail={"status": status, "credits": credits},
        )

    def render_done(self, seq: int, owner: str, credits: int | None, fps: float | None) -> None:
        """The render is finished. The lease stays: whoever saw it holds the links, and hands the job on."""
        job = self._job(seq)
        first, again = {**KEPT, "rendered_at": self.now}, {"not_before": 0.0}
        values = {**(first if job.rendered_at is None else again), "vendor_status": "complete"}
        detail = {"credits": credits, "fps": fps}
        self._move(Event.RENDER_DONE, seq, values, job=job, owner=owner, stated=credits, detail=detail)

    def render_failed(self, seq: int, owner: str, status: str, credits: int | None, code: str, message: str) -> None:
        """The project came to nothing: `status` is `error`, `deleted`, or `missing` if it was only not found."""
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

    def output_started(
        self, seq: int, owner: str, ordinal: int, project_id: str, path: str, validator: str | None
    ) -> None:
        """Bytes of an output are about to arrive; `validator` is what a later download may go on with."""
        started = {"project_id": project_id, "path": path, "validator": validator, "size": None, "digest": None}
        self._output(seq, owner, ordinal, started)

    def output_whole(
        self,
        seq: int,
        owner: str,
        ordinal: int,
        project_id: str,
        path: str,
        validator: str | None,
        size: int,
        digest: str,
    ) -> None:
        """All bytes of an output are on the disk under their temporary name, and may be renamed."""
        whole = {"project_id": project_id, "path": path, "validator": validator, "size": size, "digest": digest}
        self._output(seq, owner, ordinal, whole)

    def _output(self, seq: int, owner: str, ordinal: int, columns: Mapping[str, Any]) -> None:
        self._require_lease(seq, owner)
        row = {"job_seq": seq, "ordinal": ordinal, **columns, "saved_at": None}
        upsert(self.connection, Output, [row], ["job_seq", "ordinal"])

    def _require_lease(self, seq: int, owner: str) -> None:
        """Raise LeaseLost if another process works on the job by now: the temporary file is that one's, then."""
        job = self._job(seq)
        if job.lease_owner != owner:
            raise LeaseLost(f"job {job.id} has been taken over by another process")

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
        detail = {"code": code, "message": message}
        self._move(Event.ATTEMPT_FAILED, seq, values, job=job, owner=owner, stated=credits, detail=detail)

    def gave_up(self, seq: int, owner: str, code: str, message: str) -> None:
        """The job can't be brought on, and is no more tried on its own."""
        self._move(
            Event.GAVE_UP,
            seq,
            {**FREE, "error_code": code, "error_message": message, "finished_at": self.now},
            owner=owner,
            detail={"code": code, "message": message},
        )

    # --- the account ---

    def balance(self, moment: str, account_id: str | None, tier: str | None, credits: int, before: Standing) -> None:
        """Write down what the account holds; `before` is how the ledger stood just before the vendor was asked."""
        now = standing(self.connection)
        self.connection.execute(
            insert(Balance).values(
                run_id=self.run_id,
                at=self.now,
                moment=moment,
                account_id=account_id,
                tier=tier,
                credits=credits,
                last_entry=now.last_entry,
                quiet=now.is_quiet_since(before),
            )
        )
