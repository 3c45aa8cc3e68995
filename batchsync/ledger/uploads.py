"""Which job brings a file that many need: of all jobs of all processes, one at a time, by its lease."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from batchsync.ledger.claims import ClaimedJob, Claims
from batchsync.ledger.moves import chunks
from batchsync.ledger.tables import Job, RunJob, Upload
from batchsync.model.states import State

_File = tuple[str, str]  # what an upload is known by: kind and digest


class UploadClaims(Claims):
    """Taking jobs whose files have to be brought to the vendor."""

    def claim_uploads(
        self, run_id: str, limit: int, lease: float, ahead: int, scope: str, until: float
    ) -> list[ClaimedJob]:
        """Take jobs whose files have to be at the vendor, unless `ahead` jobs already wait for their submission.

        The lease of a job is the right to bring its files, of all processes: a job is left where it is while another
        one holds a file that it needs too, and that is not known to be there (in `scope`, beyond `until`).
        """
        waiting = self.connection.execute(
            select(func.count())
            .select_from(Job)
            .join(RunJob, and_(RunJob.run_id == run_id, RunJob.job_seq == Job.seq))
            .where(Job.state == State.UPLOADED.value)
        ).scalar_one()
        held = self.connection.execute(
            select(Job.state, Job.video_digest, Job.audio_digest).where(Job.lease_owner.is_not(None))
        ).all()
        on_the_way = self._not_there([job for job in held if job.state == State.PLANNED.value], scope, until)
        taken: list[ClaimedJob] = []
        room = min(limit, ahead - waiting)
        while len(taken) < room:
            rows = self.connection.execute(
                self._due(run_id, State.PLANNED, room - len(taken)).where(*_without(on_the_way))
            ).all()
            missing = self._not_there(rows, scope, until)
            batch: list[ClaimedJob] = []
            for row in rows:
                files = _files(row) & missing
                if not files & on_the_way:
                    on_the_way |= files
                    batch.append(ClaimedJob(**row._mapping))
            if not batch:
                break
            self._lease([job.seq for job in batch], run_id, lease)
            taken += batch
        return taken

    def _not_there(self, rows: Sequence[Any], scope: str, until: float) -> set[_File]:
        """The files of jobs that are not known to be at the vendor."""
        files = {file for row in rows for file in _files(row)}
        for batch in chunks({digest for _, digest in files}):
            there = select(Upload.kind, Upload.digest).where(
                Upload.scope == scope, Upload.digest.in_(batch), Upload.expires_at > until
            )
            files -= {(row.kind, row.digest) for row in self.connection.execute(there)}
        return files


def _files(job: Any) -> set[_File]:
    """The local files that a job needs."""
    both = {("video", job.video_digest), ("audio", job.audio_digest)}
    return {(kind, digest) for kind, digest in both if digest is not None}


def _without(files: Collection[_File]) -> Iterator[ColumnElement[bool]]:
    """The condition that a job needs none of `files`."""
    for kind, column in (("video", Job.video_digest), ("audio", Job.audio_digest)):
        digests = [digest for of, digest in files if of == kind]
        if digests:
            yield or_(column.is_(None), column.not_in(digests))
