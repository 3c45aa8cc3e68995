"""Manifests whose plan is known: what has to stand in the ledger so that planning one again could bring nothing.

A seal names the bytes of a manifest, where its outputs go, and the program that planned it. It is kept when all its
jobs came into the ledger as planned, and nothing was to be said about them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, select
from sqlalchemy.orm import aliased

from batchsync.ledger.tables import Job, Manifest, ManifestEntry, MediaFile
from batchsync.model.job import SourceKind
from batchsync.model.states import NOT_SUBMITTED


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A local file as it was when it was read: its absolute path, bytes, and time of its last change."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A manifest's number, and the local files that its jobs were made from."""

    manifest_id: int
    files: tuple[SeenFile, ...]


def sealed(connection: Connection, path: str, seal: str) -> Sealed | None:
    """The manifest at `path`, if it has this seal and each of its jobs was submitted. Else, None.

    None too where a job stands in another manifest as well: that one's tags may be there now.
    """
    number = connection.execute(select(Manifest.id).where(Manifest.path == path, Manifest.seal == seal)).scalar()
    if number is None or _first(connection, number, _waits()) or _first(connection, number, _is_elsewhere()):
        return None
    files = list(_files(connection, number))
    whole = tuple(file for file in files if file is not None)
    return Sealed(number, whole) if len(whole) == len(files) else None


def _first(connection: Connection, number: int, condition: ColumnElement[bool]) -> bool:
    query = select(Job.seq).join(ManifestEntry, _here(number)).where(condition).limit(1)
    return connection.execute(query).first() is not None


def _here(number: int) -> ColumnElement[bool]:
    return and_(ManifestEntry.job_seq == Job.seq, ManifestEntry.manifest_id == number, ManifestEntry.current)


def _waits() -> ColumnElement[bool]:
    return Job.state.in_([state.value for state in NOT_SUBMITTED])


def _is_elsewhere() -> ColumnElement[bool]:
    other = aliased(ManifestEntry)
    elsewhere = and_(other.job_seq == ManifestEntry.job_seq, other.manifest_id != ManifestEntry.manifest_id)
    return select(other.job_seq).where(elsewhere).exists()


def _files(connection: Connection, number: int) -> Iterator[SeenFile | None]:
    """The files of a manifest's jobs; None for one of which the ledger knows other contents by now, or none."""
    for kind, path, digest in (
        (Job.video_kind, Job.video, Job.video_digest),
        (Job.audio_kind, Job.audio, Job.audio_digest),
    ):
        known = and_(MediaFile.path == path, MediaFile.digest == digest)
        query = select(MediaFile.path, MediaFile.size, MediaFile.mtime_ns).select_from(Job)
        query = query.join(ManifestEntry, _here(number)).outerjoin(MediaFile, known)
        for row in connection.execute(query.where(kind == SourceKind.FILE.value).distinct()):
            yield None if row.path is None else SeenFile(row.path, row.size, row.mtime_ns)
