"""Bringing things in: manifests, their jobs, facts about files, and runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, literal, select, update

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

ROWS = 2000  # to hand to the database at a time: more are no quicker, and need their memory

_KNOWN = select(Job.id, Job.seq, Job.state, Job.ask, Job.lease_owner).where(
    Job.id.in_(bindparam("ids", expanding=True))
)
_TAGS = select(JobTag.job_seq, JobTag.key, JobTag.value).where(JobTag.job_seq.in_(bindparam("seqs", expanding=True)))


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

    def add(
        self,
        path: str,
        columns: Sequence[str],
        jobs: Sequence[PlannedJob],
        output_dir: str,
        seal: str | None = None,
    ) -> Added:
        """Add a manifest's jobs: new ones are inserted, those not yet submitted are brought up to date.

        `seal` says what was planned; it is kept if every job stands in the ledger as it was.
        """
        manifest_id, same = self._manifest(path, columns, seal)
        known = self._known(job.id for job in jobs)
        new = [job for job in jobs if job.id not in known]
        self._insert(new, manifest_id, output_dir)
        added = self._known(job.id for job in new)
        self._events(row.seq for row in added.values())
        old = [job for job in jobs if job.id in known]
        changed = self._update(old, known, output_dir)
        seqs = {id: row.seq for id, row in (known | added).items()}
        self._tags(jobs, seqs)
        if not (same and self._stand(manifest_id) == [seqs[job.id] for job in jobs]):
            self._place(manifest_id, jobs, seqs)
        asked = self._known(job.id for job in old) if changed else known
        whole = all(asked[job.id].ask == job.ask for job in old)
        self._seal(manifest_id, seal if whole else None)
        return Added(manifest_id, len(new), changed)

    def _manifest(self, path: str, columns: Sequence[str], seal: str | None) -> tuple[int, bool]:
        """The manifest's number, and whether its file is the one that was sealed."""
        before = self.connection.execute(select(Manifest.seal).where(Manifest.path == path)).scalar()
        row = {"path": path, "columns": list(columns), "added_at": self.now}
        upsert(self.connection, Manifest, [row], ["path"])
        found: int = self.connection.execute(select(Manifest.id).where(Manifest.path == path)).scalar_one()
        return found, seal is not None and seal == before

    def _seal(self, manifest_id: int, seal: str | None) -> None:
        entries = select(func.count()).where(ManifestEntry.manifest_id == manifest_id).scalar_subquery()
        self.connection.execute(
            update(table(Manifest)).where(Manifest.id == manifest_id).values(entries=entries, seal=seal)
        )

    def _known(self, ids: Iterable[str]) -> dict[str, Any]:
        """Those of the jobs that are in the ledger, by id: `seq`, `state`, `ask`, `lease_owner`."""
        found: dict[str, Any] = {}
        for batch in chunks(ids):
            rows = self.connection.execute(_KNOWN, {"ids": batch})
            found.update((row.id, row) for row in rows)
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
        for batch in chunks(jobs, ROWS):
            self.connection.execute(insert(table(Job)), [blank | _columns(job) for job in batch])

    def _events(self, seqs: Iterable[int]) -> None:
        same = {
            "run_id": self.run_id,
            "at": self.now,
            "event": Event.ADDED.value,
            "from_state": None,
            "to_state": State.PLANNED.value,
            "detail": None,
        }
        for batch in chunks(seqs, ROWS):
            self.connection.execute(insert(table(JobEvent)), [same | {"job_seq": seq} for seq in batch])

    def _update(self, jobs: Sequence[PlannedJob], known: Mapping[str, Any], output_dir: str) -> int:
        """Bring jobs that were not submitted yet up to date; where they ask for something else, that is an event."""
        free = [job for job in jobs if known[job.id].state in NOT_SUBMITTED and known[job.id].lease_owner is None]
        changed = 0
        for batch in chunks(free):
            wanted = select(table(Job)).where(Job.seq.in_([known[job.id].seq for job in batch]))
            rows = {row.id: row for row in self.connection.execute(wanted)}
            for job in batch:
                row = rows[job.id]
                values = {**_columns(job), "token": row.token, "auto_id": row.auto_id, "output_dir": output_dir}
                if row.ask != job.ask:
                    self._move(Event.CHANGED, row.seq, values)
                    changed += 1
                elif any(getattr(row, name) != value for name, value in values.items()):
                    self.connection.execute(update(table(Job)).where(Job.seq == row.seq).values(values))
        return changed

    def _tags(self, jobs: Sequence[PlannedJob], seqs: Mapping[str, int]) -> None:
        """Bring the jobs' tags up to date."""
        for batch in chunks(jobs):
            wanted = {seqs[job.id]: dict(job.spec.tags) for job in batch}
            found: dict[int, dict[str, str]] = {seq: {} for seq in wanted}
            for row in self.connection.execute(_TAGS, {"seqs": list(wanted)}):
                found[row.job_seq][row.key] = row.value
            other = [seq for seq in wanted if found[seq] != wanted[seq]]
            if not other:
                continue
            self.connection.execute(delete(JobTag).where(JobTag.job_seq.in_(other)))
            rows = [
                {"job_seq": seq, "key": key, "value": value} for seq in other for key, value in wanted[seq].items()
            ]
            if rows:
                self.connection.execute(insert(table(JobTag)), rows)

    def _stand(self, manifest_id: int) -> list[int]:
        """The jobs that stand in a manifest now, in their order."""
        mine = select(ManifestEntry.job_seq).where(ManifestEntry.manifest_id == manifest_id, ManifestEntry.current)
        return list(self.connection.execute(mine.order_by(ManifestEntry.position)).scalars())

    def _place(self, manifest_id: int, jobs: Sequence[PlannedJob], seqs: Mapping[str, int]) -> None:
        self.connection.execute(
            update(ManifestEntry).where(ManifestEntry.manifest_id == manifest_id).values(current=False)
        )
        for batch in chunks(enumerate(jobs), ROWS):
            rows = [
                {
                    "manifest_id": manifest_id,
                    "job_seq": seqs[job.id],
                    "position": position,
                    "line": job.spec.place.line or job.spec.place.entry,
                    "row": dict(job.spec.row),
                    "current": True,
                }
                for position, job in batch
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
