"""Bringing things in: manifests, their jobs, facts about files, and runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, func, insert, literal, select, update

from batchsync.errors import OutputError
from batchsync.ledger.engine import upsert
from batchsync.ledger.moves import Moves, chunks
from batchsync.ledger.tables import (
    Info,
    Job,
    JobEvent,
    JobTag,
    Manifest,
    ManifestEntry,
    MediaFile,
    Run,
    RunJob,
    table,
)
from batchsync.model.job import MediaFacts, PlannedJob
from batchsync.model.states import NOT_SUBMITTED, UNFINISHED, Event, State


@dataclass(frozen=True, slots=True)
class Process:
    """Who a run is: `host` names a machine since it started, `born` tells a process from a later one of its pid."""

    host: str
    pid: int
    born: str | None


@dataclass(frozen=True, slots=True)
class Added:
    """What `add` did, in jobs."""

    manifest_id: int
    new: int
    changed: int


class Intake(Moves):
    """Adds what comes from outside. Adding the same thing again changes nothing."""

    def bind(self, vendor: str) -> str:
        """Say once which vendor (`live` or `sandbox`) this ledger belongs to; returns what stands there."""
        found = self.connection.execute(select(Info.value).where(Info.name == "vendor")).scalar()
        if found is None:
            self.connection.execute(insert(Info).values(name="vendor", value=vendor))
        return found or vendor

    def remember_media(self, facts: Sequence[MediaFacts]) -> None:
        """Keep what was read of local files."""
        rows = [
            {
                "path": item.path,
                "size": item.size,
                "mtime_ns": item.mtime_ns,
                "digest": item.digest,
                "duration": item.duration,
                "fps": item.fps,
                "format": item.format,
                "kind": item.kind,
            }
            for item in facts
        ]
        upsert(self.connection, MediaFile, rows, ["path"])

    def add(self, path: str, columns: Sequence[str], jobs: Sequence[PlannedJob], output_dir: str) -> Added:
        """Add a manifest's jobs: new ones are inserted, those not yet submitted are brought up to date."""
        manifest_id = self._manifest(path, columns)
        seqs = self._seqs(job.id for job in jobs)
        new = [job for job in jobs if job.id not in seqs]
        self._insert(new, manifest_id, output_dir)
        added = self._seqs(job.id for job in new)
        self._events(added.values())
        changed = self._update([job for job in jobs if job.id in seqs], seqs, output_dir)
        seqs |= added
        self._tags(jobs, seqs)
        self._place(manifest_id, jobs, seqs)
        return Added(manifest_id, len(new), changed)

    def _manifest(self, path: str, columns: Sequence[str]) -> int:
        row = {"path": path, "columns": list(columns), "added_at": self.now}
        upsert(self.connection, Manifest, [row], ["path"])
        found: int = self.connection.execute(select(Manifest.id).where(Manifest.path == path)).scalar_one()
        return found

    def _seqs(self, ids: Iterable[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for batch in chunks(ids):
            rows = self.connection.execute(select(Job.id, Job.seq).where(Job.id.in_(batch)))
            found.update((row.id, row.seq) for row in rows)
        return found

    def _insert(self, jobs: Sequence[PlannedJob], manifest_id: int, output_dir: str) -> None:
        blank = {
            "auto_id": False,
            "manifest_id": manifest_id,
            "added_at": self.now,
            "output_dir": output_dir,
            "state": State.PLANNED.value,
            "project_credits": 0,
            "reserved": 0,
            "net": 0,
            "submissions": 0,
            "not_before": 0.0,
            "tries": 0,
            "strikes": 0,
        }
        if jobs:
            self.connection.execute(insert(Job), [blank | _columns(job) for job in jobs])

    def _events(self, seqs: Iterable[int]) -> None:
        rows = [
            {
                "job_seq": seq,
                "run_id": self.run_id,
                "at": self.now,
                "event": Event.ADDED.value,
                "from_state": None,
                "to_state": State.PLANNED.value,
                "detail": None,
            }
            for seq in seqs
        ]
        if rows:
            self.connection.execute(insert(JobEvent), rows)

    def _update(self, jobs: Sequence[PlannedJob], seqs: Mapping[str, int], output_dir: str) -> int:
        """Bring jobs that were not submitted yet up to date; where they ask for something else, that is an event."""
        found: dict[int, Any] = {}
        for batch in chunks(seqs[job.id] for job in jobs):
            rows = self.connection.execute(select(table(Job)).where(Job.seq.in_(batch)))
            found.update((row.seq, row) for row in rows)
        changed = 0
        for job in jobs:
            seq = seqs[job.id]
            row = found[seq]
            if State(row.state) not in NOT_SUBMITTED or row.lease_owner is not None:
                continue
            values = {**_columns(job), "token": row.token, "auto_id": row.auto_id, "output_dir": output_dir}
            if row.ask != job.ask:
                self._move(Event.CHANGED, seq, values)
                changed += 1
            elif any(getattr(row, name) != value for name, value in values.items()):
                self.connection.execute(update(table(Job)).where(Job.seq == seq).values(values))
        return changed

    def _tags(self, jobs: Sequence[PlannedJob], seqs: Mapping[str, int]) -> None:
        for batch in chunks(seqs[job.id] for job in jobs):
            self.connection.execute(delete(JobTag).where(JobTag.job_seq.in_(batch)))
        rows = [
            {"job_seq": seqs[job.id], "key": key, "value": value}
            for job in jobs
            for key, value in job.spec.tags.items()
        ]
        if rows:
            self.connection.execute(insert(JobTag), rows)

    def _place(self, manifest_id: int, jobs: Sequence[PlannedJob], seqs: Mapping[str, int]) -> None:
        self.connection.execute(
            update(ManifestEntry).where(ManifestEntry.manifest_id == manifest_id).values(current=False)
        )
        rows = [
            {
                "manifest_id": manifest_id,
                "job_seq": seqs[job.id],
                "position": position,
                "line": job.spec.place.line or job.spec.place.entry,
                "row": dict(job.spec.row),
                "current": True,
            }
            for position, job in enumerate(jobs)
        ]
        upsert(self.connection, ManifestEntry, rows, ["manifest_id", "job_seq"])

    # --- runs ---

    def start_run(
        self, process: Process, *, manifest_id: int | None, version: str, api_url: str, options: Mapping[str, Any]
    ) -> None:
        """Write down that this process works on the ledger from now on."""
        self.connection.execute(
            insert(Run).values(
                id=self.run_id,
                manifest_id=manifest_id,
                started_at=self.now,
                host=process.host,
                pid=process.pid,
                pid_born=process.born,
                version=version,
                api_url=api_url,
                options=json.loads(json.dumps(dict(options), default=str)),
            )
        )

    def take_on(self, run_id: str, manifest_id: int | None, limit: int | None = None) -> int:
        """Give the run the unfinished jobs of a manifest (of the ledger, if None), or the first `limit` of them.

        Returns how many it did not have yet.
        """
        mine = select(RunJob.job_seq).where(RunJob.run_id == run_id)
        wanted = select(literal(run_id), Job.seq).where(
            Job.state.in_([state.value for state in UNFINISHED]), Job.seq.not_in(mine)
        )
        if manifest_id is None:
            wanted = wanted.order_by(Job.seq)
        else:
            # What was paid for is followed to its end, also where its entry was changed or taken out meanwhile.
            paid = Job.state.in_([State.SUBMITTING.value, State.RENDERING.value, State.RENDERED.value])
            here = and_(
                ManifestEntry.job_seq == Job.seq,
                ManifestEntry.manifest_id == manifest_id,
                ManifestEntry.current | paid,
            )
            wanted = wanted.join(ManifestEntry, here).order_by(ManifestEntry.position)
        taken = self.connection.execute(insert(RunJob).from_select(["run_id", "job_seq"], wanted.limit(limit)))
        # Patience is a run's: what failed in another night says nothing about this one.
        failing = update(table(Job)).where(Job.failing_since.is_not(None), Job.lease_owner.is_(None))
        self.connection.execute(failing.where(Job.seq.in_(mine)).values(failing_since=None, tries=0, strikes=0))
        return taken.rowcount

    def redirect(self, run_id: str, output_dir: str) -> None:
        """Send the outputs of the run's jobs elsewhere. Raises OutputError where two of them would share a name."""
        mine = select(RunJob.job_seq).where(RunJob.run_id == run_id)
        twice = select(Job.output).where(Job.seq.in_(mine)).group_by(Job.output).having(func.count() > 1).limit(1)
        if (output := self.connection.execute(twice).scalar()) is not None:
            raise OutputError(
                f"with --output-dir {output_dir} more than one job would be saved as {output}",
                hint="leave --output-dir out, and each goes where its run wanted it",
            )
        self.connection.execute(update(Job).where(Job.seq.in_(mine)).values(output_dir=output_dir))

    def end_run(self, stopped: str | None) -> None:
        """Write down that the run is over, and why it stopped early, if it did."""
        self.connection.execute(update(Run).where(Run.id == self.run_id).values(ended_at=self.now, stopped=stopped))


def _columns(job: PlannedJob) -> dict[str, Any]:
    spec = job.spec
    return {
        "id": job.id,
        "auto_id": job.auto_id,
        "token": job.token,
        "ask": job.ask,
        "name": spec.name,
        "video_kind": spec.video.kind.value,
        "video": spec.video.value,
        "video_digest": job.video.digest if job.video else None,
        "audio_kind": spec.audio.kind.value,
        "audio": spec.audio.value,
        "audio_digest": job.audio.digest if job.audio else None,
        "start_seconds": spec.start_seconds,
        "end_seconds": job.end_seconds,
        "max_fps_limit": spec.max_fps_limit,
        "generation_mode": spec.generation_mode.value,
        "output": job.output,
        "source_fps": job.video.fps if job.video else None,
        "estimate": job.estimate,
        "worst": job.worst,
    }
