"""Files at the vendor: which are there, and which job brings one that many need: one at a time, by its lease."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Update, bindparam, insert, or_, select, update

from batchsync.ledger.claims import QUEUE, ClaimedJob, Claims
from batchsync.ledger.engine import locked_rows
from batchsync.ledger.moves import PROGRESS, chunks
from batchsync.ledger.tables import Job, Upload, table
from batchsync.model.states import Event, State

_File = tuple[str, str]  # what an upload is known by: kind and digest
_Asset = tuple[str, float]  # the vendor's path of it, and when it goes

# Jobs that one claim takes: the ledger is locked for others meanwhile.
MOST_AT_ONCE = 250

_IN_HAND = select(Job.video_digest, Job.audio_digest).where(
    Job.state == State.PLANNED.value, Job.lease_owner.is_not(None)
)

_THERE = (
    select(Upload.kind, Upload.digest, Upload.vendor_path, Upload.expires_at)
    .where(
        Upload.scope == bindparam("at_scope"),
        Upload.digest.in_(bindparam("at_digests", expanding=True)),
        Upload.expires_at > bindparam("beyond"),
    )
    .order_by(Upload.expires_at)
)
_UPLOADED = insert(table(Upload))


def _is_none_of(column: Any, digests: str) -> ColumnElement[bool]:
    return or_(column.is_(None), column.not_in(bindparam(digests, expanding=True)))


_FREE = tuple(
    locked_rows(query.where(_is_none_of(Job.video_digest, "videos"), _is_none_of(Job.audio_digest, "audios")))
    for query in QUEUE
)


def forgotten(vendor_paths: Any, now: float) -> Update:
    """From `now` on, what was uploaded to these paths is no longer thought to be there."""
    there = (Upload.vendor_path.in_(vendor_paths), Upload.expires_at > now)
    return update(table(Upload)).where(*there).values(expires_at=now)


@dataclass(frozen=True, slots=True)
class UploadClaim:
    """Jobs whose files have to be brought, and how many others had all of theirs there, and need nothing brought."""

    jobs: tuple[ClaimedJob, ...]
    ready: int


class Uploads(Claims):
    """Which jobs' files have to be brought to the vendor, and which are there."""

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
    ) -> UploadClaim:
        """Take jobs whose files have to be at the vendor, unless `ahead` jobs already wait for their submission.

        Those whose files are all known to be there (in `scope`, beyond `until`) are made ready at once. Of the others
        up to `limit` are leased. The lease of a job is the right to bring its files, of all processes: a job is left
        where it is while another one holds a file that it needs too, and that is not there.
        """
        places = ahead - self._count(run_id, [State.UPLOADED])
        if places < ahead // 4:
            # Not for a few places: asking for each one that comes free would cost more than it brings.
            return UploadClaim((), 0)
        places = min(places, MOST_AT_ONCE)
        on_the_way = _files(self.connection.execute(_IN_HAND).all())
        on_the_way -= self._there(on_the_way, scope, until).keys()
        taken: list[ClaimedJob] = []
        ready = 0
        while len(taken) < limit and ready + len(taken) < places:
            waiting = {f"{kind}s": [digest for of, digest in on_the_way if of == kind] for kind in ("video", "audio")}
            most = min(places - ready, limit) - len(taken)
            due = self._due(_FREE, run_id, State.PLANNED, most, self.now + within, **waiting)
            there = self._there(_files(due), scope, until)
            batch: list[ClaimedJob] = []
            had = ready
            for job in due:
                missing = _files([job]) - there.keys()
                if not missing and job.not_before <= self.now:
                    self._ready(job, *_assets(job, there))
                    ready += 1
                elif not missing & on_the_way:
                    on_the_way |= missing
                    batch.append(job)
            self._lease([job.seq for job in batch], run_id, lease)
            taken += batch
            if not batch and ready == had:
                break
        return UploadClaim(tuple(taken), ready)

    def _there(self, files: Collection[_File], scope: str, until: float) -> dict[_File, _Asset]:
        """Those of `files` that are known to be at the vendor."""
        there: dict[_File, _Asset] = {}
        for batch in chunks({digest for _, digest in files}):
            values = {"at_scope": scope, "at_digests": batch, "beyond": until}
            for row in self.connection.execute(_THERE, values):
                there[row.kind, row.digest] = (row.vendor_path, row.expires_at)
        return there

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
        self._ready(self._job(seq), video, audio, expire_at, owner)

    def _ready(self, job: Any, video: str, audio: str, expire_at: float | None, owner: str | None = None) -> None:
        values = {**PROGRESS, "video_asset": video, "audio_asset": audio, "assets_expire_at": expire_at}
        self._move(Event.ASSETS_READY, job.seq, values, job=job, owner=owner)


def _files(jobs: Iterable[Any]) -> set[_File]:
    """The local files that jobs need."""
    return {
        (kind, digest)
        for job in jobs
        for kind, digest in (("video", job.video_digest), ("audio", job.audio_digest))
        if digest is not None
    }


def _assets(job: ClaimedJob, there: Mapping[_File, _Asset]) -> tuple[str, str, float | None]:
    """Where the vendor has a job's inputs, and when the first of them goes (None: they are not ours to expire)."""
    video = there["video", job.video_digest] if job.video_digest else (job.video, math.inf)
    audio = there["audio", job.audio_digest] if job.audio_digest else (job.audio, math.inf)
    ends = min(video[1], audio[1])
    return video[0], audio[0], None if math.isinf(ends) else ends
