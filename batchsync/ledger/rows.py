"""Jobs as users see them, one by one: lists that are filtered and sorted, and single jobs with their history."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from batchsync.errors import UnknownJob, UnknownRun
from batchsync.ledger.history import history
from batchsync.ledger.listing import JobFilter, listing
from batchsync.ledger.moves import CHUNK, chunks
from batchsync.ledger.tables import Job, JobTag, Manifest, ManifestEntry, Output, Run, Submission
from batchsync.model.credits import clip_seconds
from batchsync.model.renders import stalled_after
from batchsync.model.states import Shown, State, shown

__all__ = ["JobFilter", "JobView", "Rows"]
ALL = JobFilter()
NEIGHBOURS = 100  # ids on either side of a mistyped one among which the one that was meant is looked for


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as users see it. `credits` is its net over all its projects; times in epoch seconds.

    `sent_as` is the name that its last submission gave it at the vendor.
    """

    seq: int
    id: str
    name: str | None
    sent_as: str | None
    token: str
    state: Shown
    project_id: str | None
    output: str
    saved: tuple[str, ...]
    credits: int
    reserved: int
    estimate: int
    attempts: int
    error_code: str | None
    error_message: str | None
    tags: Mapping[str, str]
    video: str
    audio: str
    start_seconds: float
    end_seconds: float
    generation_mode: str
    added_at: float
    submitted_at: float | None
    finished_at: float | None
    stalled: bool
    row: Mapping[str, str]


class Rows:
    """Reads of single jobs on one connection; `now` in epoch seconds."""

    def __init__(self, connection: Connection, now: float) -> None:
        self.connection = connection
        self.now = now

    def jobs(self, wanted: JobFilter = ALL) -> list[JobView]:
        """The jobs that are `wanted`, in the order that it asks for."""
        return list(self.each(wanted))

    def each(self, wanted: JobFilter = ALL) -> Iterator[JobView]:
        """Likewise, a few at a time: a long list needs no more memory than a short one."""
        found = self.connection.execute(listing(wanted, self.now).execution_options(yield_per=CHUNK))
        for rows in found.partitions():
            yield from self._views(rows, wanted.manifest_id)

    def own_columns(self, wanted: JobFilter = ALL) -> list[str]:
        """The columns of the manifests in which the jobs that are `wanted` stand, in their order."""
        seqs = listing(wanted, self.now).with_only_columns(Job.seq).subquery()
        places = select(ManifestEntry.manifest_id).where(ManifestEntry.job_seq.in_(select(seqs.c.seq)))
        if wanted.manifest_id is not None:
            places = places.where(ManifestEntry.manifest_id == wanted.manifest_id)
        headers = select(Manifest.columns).where(Manifest.id.in_(places)).order_by(Manifest.id)
        found = dict.fromkeys(name for header in self.connection.execute(headers).scalars() for name in header)
        # A row that stands in its manifest no more may have columns that the manifest has no more.
        gone = places.with_only_columns(ManifestEntry.row).where(ManifestEntry.current.is_(False))
        for row in self.connection.execute(gone).scalars():
            found |= dict.fromkeys(row)
        return list(found)

    def job(self, id_or_token: str) -> JobView:
        """One job by its id, its token or its project id. Raises UnknownJob."""
        for column in (Job.id, Job.token, Job.project_id):
            row = self.connection.execute(select(Job.__table__).where(column == id_or_token)).first()
            if row is not None:
                return self._views([row])[0]
        near = difflib.get_close_matches(id_or_token, self._ids_near(id_or_token), n=3, cutoff=0.75)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise UnknownJob(f"this ledger has no job {id_or_token!r}", hint=f"{meant}`batchsync jobs` lists them")

    def _ids_near(self, id: str) -> list[str]:
        """The ids beside where `id` would stand, and the first ones: never all of a large ledger."""
        after = select(Job.id).where(Job.id > id).order_by(Job.id)
        before = select(Job.id).where(Job.id < id).order_by(Job.id.desc())
        first = select(Job.id).order_by(Job.id)
        asked = (query.limit(NEIGHBOURS) for query in (after, before, first))
        return list(dict.fromkeys(found for query in asked for found in self.connection.execute(query).scalars()))

    def run_id(self, name: str) -> str:
        """The id of a run: `name` is that id, or `last` for the newest. Raises UnknownRun."""
        newest = self.run_ids(3)
        if name == "last" and newest:
            return newest[0]
        found = self.connection.execute(select(Run.id).where(Run.id == name)).scalar()
        if found is None:
            there = f"the newest are {', '.join(newest)}" if newest else "nothing was run with it yet"
            raise UnknownRun(f"this ledger has no run {name!r}", hint=there)
        return found

    def run_ids(self, limit: int) -> list[str]:
        """The newest runs, the last first."""
        query = select(Run.id).order_by(Run.started_at.desc(), Run.id.desc()).limit(limit)
        return list(self.connection.execute(query).scalars())

    def tags(self, beginning: str, limit: int) -> list[tuple[str, str]]:
        """The first tags whose `key=value` has a `beginning`."""
        key, equals, value = beginning.partition("=")
        query = select(JobTag.key, JobTag.value).distinct().order_by(JobTag.key, JobTag.value)
        query = query.where(JobTag.key == key) if equals else query.where(JobTag.key.startswith(key, autoescape=True))
        query = query.where(JobTag.value.startswith(value, autoescape=True)) if value else query
        return [(row.key, row.value) for row in self.connection.execute(query.limit(limit))]

    @staticmethod
    def _shown(row: Any) -> Shown:
        return shown(State(row.state), row.vendor_status, row.lease_owner is not None)

    def _is_stalled(self, row: Any) -> bool:
        if row.state != State.RENDERING.value or row.submitted_at is None:
            return False
        return bool(self.now - row.submitted_at > stalled_after(clip_seconds(row.start_seconds, row.end_seconds)))

    def stalled(self, manifest_id: int | None = None) -> list[JobView]:
        """The renders that take far longer than usual, the oldest first."""
        return self.jobs(JobFilter(manifest_id=manifest_id, stalled=True, sort="submitted"))

    def _views(self, rows: Sequence[Any], manifest_id: int | None = None) -> list[JobView]:
        """`manifest_id` is the manifest whose rows they show, else of several the newest in which they stand."""
        tags: dict[int, dict[str, str]] = {}
        saved: dict[int, list[str]] = {}
        written: dict[int, Mapping[str, str]] = {}
        sent: dict[int, str] = {}
        for batch in chunks(row.seq for row in rows):
            for tag in self.connection.execute(select(JobTag.__table__).where(JobTag.job_seq.in_(batch))):
                tags.setdefault(tag.job_seq, {})[tag.key] = tag.value
            outputs = select(Output.job_seq, Output.path).where(
                Output.job_seq.in_(batch), Output.saved_at.is_not(None)
            )
            for output in self.connection.execute(outputs.order_by(Output.job_seq, Output.ordinal)):
                saved.setdefault(output.job_seq, []).append(output.path)
            entries = select(ManifestEntry.job_seq, ManifestEntry.row).where(ManifestEntry.job_seq.in_(batch))
            if manifest_id is not None:
                entries = entries.where(ManifestEntry.manifest_id == manifest_id)
            for entry in self.connection.execute(entries.order_by(ManifestEntry.current, ManifestEntry.manifest_id)):
                written[entry.job_seq] = entry.row
            names = select(Submission.job_seq, Submission.name).where(Submission.job_seq.in_(batch))
            sent.update((row.job_seq, row.name) for row in self.connection.execute(names.order_by(Submission.id)))
        return [
            JobView(
                seq=row.seq,
                id=row.id,
                name=row.name,
                sent_as=sent.get(row.seq),
                token=row.token,
                state=self._shown(row),
                project_id=row.project_id,
                output=row.output,
                saved=tuple(saved.get(row.seq, ())),
                credits=row.net,
                reserved=row.reserved,
                estimate=row.estimate,
                attempts=row.submissions,
                error_code=row.error_code,
                error_message=row.error_message,
                tags=tags.get(row.seq, {}),
                video=row.video,
                audio=row.audio,
                start_seconds=row.start_seconds,
                end_seconds=row.end_seconds,
                generation_mode=row.generation_mode,
                added_at=row.added_at,
                submitted_at=row.submitted_at,
                finished_at=row.finished_at,
                stalled=self._is_stalled(row),
                row=written.get(row.seq, {}),
            )
            for row in rows
        ]

    def history(self, seq: int) -> dict[str, list[dict[str, Any]]]:
        """What happened to a job; see `ledger.history`."""
        return history(self.connection, seq)
