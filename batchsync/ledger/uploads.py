"""Which job brings a file that many need: of all jobs of all processes, one at a time, by its lease."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, or_, select

from batchsync.ledger.claims import QUEUE, ClaimedJob, Claims
from batchsync.ledger.engine import locked_rows
from batchsync.ledger.moves import chunks
from batchsync.ledger.tables import Job, Upload
from batchsync.model.states import State

_File = tuple[str, str]  # what an upload is known by: kind and digest


_IN_HAND = select(Job.video_digest, Job.audio_digest).where(
    Job.state == State.PLANNED.value, Job.lease_owner.is_not(None)
)

_THERE = select(Upload.kind, Upload.digest).where(
    Upload.scope == bindparam("at_scope"),
    Upload.digest.in_(bindparam("at_digests", expanding=True)),
    Upload.expires_at > bindparam("beyond"),
)


def _is_none_of(column: Any, digests: str) -> ColumnElement[bool]:
    return or_(column.is_(None), column.not_in(bindparam(digests, expanding=True)))


_FREE = tuple(
    locked_rows(query.where(_is_none_of(Job.video_digest, "videos"), _is_none_of(Job.audio_digest, "audios")))
    for query in QUEUE
)


class UploadClaims(Claims):
    """Taking jobs whose files have to be brought to the vendor."""

    def claim_uploads(
        self,
        run_id: str,
        limit: int,
        lease: float,
        ahead: int,
        scope: str,
        until: float,
        *,
        within: float = 0.0,
    ) -> list[ClaimedJob]:
        """Take jobs whose files have to be at the vendor, unless `ahead` jobs already wait for their submission.

        The lease of a job is the right to bring its files, of all processes: a job is left where it is while another
        one holds a file that it needs too, and that is not known to be there (in `scope`, beyond `until`).
        """
        places = ahead - self._count(run_id, [State.UPLOADED])
        # Not for a few places: asking for each one that comes free would cost more than it brings.
        room = min(limit, places) if places >= ahead // 4 else 0
        on_the_way = self._not_there(self.connection.execute(_IN_HAND).all(), scope, until)
        taken: list[ClaimedJob] = []
        while len(taken) < room:
            waiting = {f"{kind}s": [digest for of, digest in on_the_way if of == kind] for kind in ("video", "audio")}
            due = self._due(_FREE, run_id, State.PLANNED, room - len(taken), self.now + within, **waiting)
            missing = self._not_there(due, scope, until)
            batch: list[ClaimedJob] = []
            for job in due:
                files = _files(job) & missing
                if not files & on_the_way:
                    on_the_way |= files
                    batch.append(job)
            if not batch:
                break
            self._lease([job.seq for job in batch], run_id, lease)
            taken += batch
        return taken

    def _not_there(self, rows: Sequence[Any], scope: str, until: float) -> set[_File]:
        """The files of jobs that are not known to be at the vendor."""
        files = {file for row in rows for file in _files(row)}
        for batch in chunks({digest for _, digest in files}):
            values = {"at_scope": scope, "at_digests": batch, "beyond": until}
            files -= {(row.kind, row.digest) for row in self.connection.execute(_THERE, values)}
        return files


def _files(job: Any) -> set[_File]:
    """The local files that a job needs."""
    both = {("video", job.video_digest), ("audio", job.audio_digest)}
    return {(kind, digest) for kind, digest in both if digest is not None}
