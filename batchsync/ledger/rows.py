"""Jobs as users see them, one by one: lists, single jobs, and their whole histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, select

from batchsync.errors import UnknownJob
from batchsync.ledger.moves import chunks
from batchsync.ledger.tables import CreditEntry, Job, JobEvent, JobTag, Manifest, ManifestEntry, Output, Submission
from batchsync.model.credits import clip_seconds
from batchsync.model.renders import STALLED_SECONDS_PER_SECOND, stalled_after
from batchsync.model.states import Shown, State, may_be_shown, shown


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list: shown states, a manifest's number, tags; each None or empty for all."""

    states: tuple[str, ...] = ()
    manifest_id: int | None = None
    tags: Mapping[str, str] | None = None
    limit: int | None = None


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
    submitted_at: float | None
    finished_at: float | None
    stalled: bool
    row: Mapping[str, str]


def scoped(query: Any, manifest_id: int | None, job_seq: Any = Job.seq) -> Any:
    """`query` for the jobs of a manifest as it stands now; `job_seq` is its column that tells the job."""
    if manifest_id is None:
        return query
    here = and_(ManifestEntry.job_seq == job_seq, ManifestEntry.manifest_id == manifest_id, ManifestEntry.current)
    return query.join(ManifestEntry, here)


class Rows:
    """Reads of single jobs on one connection; `now` in epoch seconds."""

    def __init__(self, connection: Connection, now: float) -> None:
        self.connection = connection
        self.now = now

    def jobs(self, wanted: JobFilter = JobFilter()) -> list[JobView]:
        """Jobs in the order in which they were added."""
        query = select(Job.__table__).order_by(Job.seq)
        if wanted.manifest_id is not None:
            mine = select(ManifestEntry.job_seq).where(ManifestEntry.manifest_id == wanted.manifest_id)
            query = query.where(Job.seq.in_(mine))
        for key, value in (wanted.tags or {}).items():
            tagged = select(JobTag.job_seq).where(JobTag.key == key, JobTag.value == value)
            query = query.where(Job.seq.in_(tagged))
        if wanted.states:
            query = query.where(Job.state.in_([state for state in State if may_be_shown(state, wanted.states)]))
        else:
            query = query.limit(wanted.limit)
        rows = [
            row
            for row in self.connection.execute(query).all()
            if not wanted.states or self._shown(row) in wanted.states
        ][: wanted.limit]
        return self._views(rows)

    def job(self, id_or_token: str) -> JobView:
        """One job by its id, its token or its project id. Raises UnknownJob."""
        for column in (Job.id, Job.token, Job.project_id):
            row = self.connection.execute(select(Job.__table__).where(column == id_or_token)).first()
            if row is not None:
                return self._views([row])[0]
        raise UnknownJob(f"this ledger has no job {id_or_token!r}", hint="`batchsync jobs` lists them")

    @staticmethod
    def _shown(row: Any) -> Shown:
        return shown(State(row.state), row.vendor_status, row.lease_owner is not None)

    def _is_stalled(self, row: Any) -> bool:
        if row.state != State.RENDERING.value or row.submitted_at is None:
            return False
        return bool(self.now - row.submitted_at > stalled_after(clip_seconds(row.start_seconds, row.end_seconds)))

    def stalled(self, manifest_id: int | None = None) -> list[JobView]:
        """The renders that take far longer than usual, the oldest first."""
        clip = Job.end_seconds - Job.start_seconds
        due = Job.submitted_at + stalled_after(0.0) + STALLED_SECONDS_PER_SECOND * clip
        query = select(Job.__table__).where(Job.state == State.RENDERING.value, due < self.now)
        rows = self.connection.execute(scoped(query, manifest_id).order_by(Job.submitted_at)).all()
        return self._views(rows)

    def _views(self, rows: Sequence[Any]) -> list[JobView]:
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
            for entry in self.connection.execute(entries.order_by(ManifestEntry.manifest_id)):
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
                submitted_at=row.submitted_at,
                finished_at=row.finished_at,
                stalled=self._is_stalled(row),
                row=written.get(row.seq, {}),
            )
            for row in rows
        ]

    def history(self, seq: int) -> dict[str, list[dict[str, Any]]]:
        """What happened to a job, oldest first: `events`, `submissions`, `credits`, `outputs`, `places`."""
        tables: dict[str, tuple[Any, Any]] = {
            "events": (JobEvent, JobEvent.id),
            "submissions": (Submission, Submission.id),
            "credits": (CreditEntry, CreditEntry.id),
            "outputs": (Output, Output.ordinal),
        }
        found = {
            name: [
                dict(row._mapping)
                for row in self.connection.execute(
                    select(table.__table__).where(table.job_seq == seq).order_by(order)
                )
            ]
            for name, (table, order) in tables.items()
        }
        places = (
            select(Manifest.path, ManifestEntry.line, ManifestEntry.current)
            .join(Manifest, Manifest.id == ManifestEntry.manifest_id)
            .where(ManifestEntry.job_seq == seq)
        )
        found["places"] = [dict(row._mapping) for row in self.connection.execute(places)]
        return found
