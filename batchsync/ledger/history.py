"""One job's whole history, as rows: what happened, what was tried and sent, what it cost, what came of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from batchsync.ledger.tables import (
    Balance,
    CreditEntry,
    Job,
    JobEvent,
    Manifest,
    ManifestEntry,
    MediaFile,
    Output,
    Run,
    Submission,
    Upload,
)
from batchsync.model.job import SourceKind

Rows = list[dict[str, Any]]


def history(connection: Connection, seq: int) -> dict[str, Rows]:
    """What is known of a job, oldest first.

    `events`, `submissions`, `credits` and `outputs` are rows as they stand in the ledger. `places` are where it
    stands in manifests, `media` its local files with what was found out about them, `uploads` the same files at the
    vendor, `runs` the runs that worked on it.
    """

    def rows(query: Any) -> Rows:
        return [dict(row._mapping) for row in connection.execute(query)]

    tables: dict[str, tuple[Any, Any]] = {
        "events": (JobEvent, JobEvent.id),
        "submissions": (Submission, Submission.id),
        "credits": (CreditEntry, CreditEntry.id),
        "outputs": (Output, Output.ordinal),
    }
    found = {
        name: rows(select(table.__table__).where(table.job_seq == seq).order_by(order))
        for name, (table, order) in tables.items()
    }
    places = select(Manifest.path, ManifestEntry.line, ManifestEntry.current)
    places = places.join(Manifest, Manifest.id == ManifestEntry.manifest_id).where(ManifestEntry.job_seq == seq)
    found["places"] = rows(places)
    job = connection.execute(select(Job.__table__).where(Job.seq == seq)).one()
    found["media"] = [media | _facts(rows, media) for media in _local(job)]
    run_ids = {event["run_id"] for event in found["events"]} - {None}
    runs = select(Run.id, Run.started_at, Run.api_url, Run.host, Run.version).where(Run.id.in_(run_ids))
    found["runs"] = rows(runs.order_by(Run.started_at))
    found["uploads"] = rows(_uploads({media["digest"] for media in found["media"]}, run_ids))
    return found


def _local(job: Any) -> Rows:
    files = (
        ("video", job.video_kind, job.video, job.video_digest),
        ("audio", job.audio_kind, job.audio, job.audio_digest),
    )
    return [
        {"kind": kind, "path": path, "digest": digest}
        for kind, source, path, digest in files
        if source == SourceKind.FILE.value
    ]


def _facts(rows: Any, media: dict[str, Any]) -> dict[str, Any]:
    """What was found out about a file, if it is still the one that the job was made from."""
    facts = select(MediaFile.size, MediaFile.duration, MediaFile.fps, MediaFile.format)
    found = rows(facts.where(MediaFile.path == media["path"], MediaFile.digest == media["digest"]))
    return found[0] if found else {"size": None, "duration": None, "fps": None, "format": None}


def _uploads(digests: set[str], run_ids: set[str]) -> Any:
    """Uploads belong to an account, or else to an API: to that of a run that worked on the job."""
    accounts = select(Balance.account_id).where(Balance.run_id.in_(run_ids), Balance.account_id.is_not(None))
    scopes = accounts.union(select(Run.api_url).where(Run.id.in_(run_ids)))
    query = select(Upload.kind, Upload.digest, Upload.size, Upload.vendor_path, Upload.uploaded_at, Upload.expires_at)
    return query.where(Upload.scope.in_(scopes), Upload.digest.in_(digests)).order_by(Upload.uploaded_at)
