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
from batchsync.model.job import Mode, SourceKind
from batchsync.model.states import NOT_SUBMITTED


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A local file as it was when it was read: its absolute path, bytes, and time of its last change."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A manifest's number, the local files that its jobs were made from, and the generation modes of those jobs that
    were not submitted yet (none if all were).
    """

    manifest_id: int
    files: tuple[SeenFile, ...]
    waiting: frozenset[Mode]


def sealed(connection: Connection, path: str, seal: str) -> Sealed | None:
    """The manifest at `path`, if it has this seal. Else, None.

    None too where a job stands in another manifest that was added later: that one's tags may be there now.
    """
    number = connection.execute(select(Manifest.id).where(Manifest.path == path, Manifest.seal == seal)).scalar()
    if number is None or _is_overtaken(connection, number):
        return None
    files = list(_files(connection, number))
    whole = tuple(file for file in files if file is not None)
    return Sealed(number, whole, _waiting(connection, number)) if len(whole) == len(files) else None


def _here(number: int) -> ColumnElement[bool]:
    return and_(ManifestEntry.job_seq == Job.seq, ManifestEntry.manifest_id == number, ManifestEntry.current)


def _is_overtaken(connection: Connection, number: int) -> bool:
    added = select(Manifest.added_at).where(Manifest.id == number).scalar_subquery()
    later = select(Manifest.id).where(Manifest.id != number, Manifest.added_at >= added)
    found = connection.execute(later).scalars().all()
    other = aliased(ManifestEntry)
    both = and_(other.job_seq == ManifestEntry.job_seq, ManifestEntry.manifest_id == number, ManifestEntry.current)
    query = select(other.job_seq).join(ManifestEntry, both).where(other.manifest_id.in_(found)).limit(1)
    return bool(found) and connection.execute(query).first() is not None


def _waiting(connection: Connection, number: int) -> frozenset[Mode]:
    waits = Job.state.in_([state.value for state in NOT_SUBMITTED])
    query = select(Job.generation_mode).join(ManifestEntry, _here(number)).where(waits).distinct()
    return frozenset(map(Mode, connection.execute(query).scalars()))


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
