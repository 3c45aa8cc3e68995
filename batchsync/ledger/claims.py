"""Taking work: a claim is one transaction that gives a run the lease; a submission's claim is its intent."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Select, and_, case, func, insert, or_, select, update

from batchsync.ledger.engine import locked_rows
from batchsync.ledger.moves import FREE, Moves, chunks
from batchsync.ledger.tables import CreditEntry, Job, ManifestEntry, Run, RunJob, Submission, table
from batchsync.model.credits import ESTIMATE_FPS, clip_seconds, frames_cost
from batchsync.model.job import Mode
from batchsync.model.states import AT_VENDOR, UNFINISHED, Event, State

# An upload is used for a submission only while it is sure to be there when the vendor starts to render.
ASSET_MARGIN_SECONDS = 3600.0
LONGEST_WAIT_SECONDS = 3600.0  # four times as long as any vendor's wish is granted
# What is asked for at most, under a cap, of a video whose frame rate isn't known: as fast as usual videos get.
GUARD_FPS = 60.0


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this process holds the lease of. Columns as in the ledger's `jobs`."""

    seq: int
    id: str
    name: str | None
    token: str
    state: str
    video_kind: str
    video: str
    video_digest: str | None
    audio_kind: str
    audio: str
    audio_digest: str | None
    start_seconds: float
    end_seconds: float
    max_fps_limit: float | None
    generation_mode: str
    output: str
    output_dir: str
    source_fps: float | None
    estimate: int
    worst: int
    submissions: int
    project_id: str | None
    vendor_status: str | None
    project_credits: int
    video_asset: str | None
    audio_asset: str | None
    submitted_at: float | None
    rendered_at: float | None
    tries: int
    strikes: int
    failing_since: float | None


@dataclass(frozen=True, slots=True)
class Intent:
    """A submission that is on disk and may now leave: the job, the submission's id and the name it is sent with.

    `until` (epoch seconds) is when its lease ends: after that others may have judged it, and it must not leave.
    `guard_fps` is a limit on the frame rate that is sent though the job has none: without it the cap could be passed.
    """

    job: ClaimedJob
    submission_id: int
    name: str
    until: float
    guard_fps: float | None = None

    @property
    def seq(self) -> int:
        return self.job.seq


@dataclass(frozen=True, slots=True)
class Exposure:
    """The most that the jobs of a scope can have cost: the sum of all their entries up to `last_entry`.

    `members` is how many jobs the scope had: one that joins brings entries older than the last one.
    """

    total: int = 0
    last_entry: int = 0
    members: int = 0


@dataclass(frozen=True, slots=True)
class SubmissionClaim:
    """The intents that a claim for submissions gave; `capped` if the next job would pass the cap."""

    intents: tuple[Intent, ...]
    exposure: Exposure
    capped: bool = False


@dataclass(frozen=True, slots=True)
class _Offer:
    """The most that a submission may cost, and the limit on the frame rate that makes it so."""

    worst: int
    guard_fps: float | None = None


_CLAIMED = [getattr(Job, column.name) for column in fields(ClaimedJob)]


class Claims(Moves):
    """Leases: taking, renewing and giving them back. A lease's owner is a run, and only `reap` takes one away."""

    def _due(self, run_id: str, state: State, limit: int) -> Select[Any]:
        return locked_rows(
            select(*_CLAIMED)
            .join(RunJob, and_(RunJob.run_id == run_id, RunJob.job_seq == Job.seq))
            .where(Job.state == state.value, Job.not_before <= self.now, Job.lease_owner.is_(None))
            .order_by(Job.not_before, Job.seq)
            .limit(limit)
        )

    def claim(self, run_id: str, state: State, limit: int, lease: float) -> list[ClaimedJob]:
        """Take up to `limit` due jobs in `state`, in order, for `lease` seconds."""
        if limit <= 0:
            return []
        rows = self.connection.execute(self._due(run_id, state, limit)).all()
        jobs = [ClaimedJob(**row._mapping) for row in rows]
        self._lease([job.seq for job in jobs], run_id, lease)
        return jobs

    def claim_submissions(
        self,
        run_id: str,
        limit: int,
        lease: float,
        *,
        max_in_flight: int,
        name: Callable[[ClaimedJob], str],
        cap: int | None = None,
        cap_manifest: int | None = None,
        exposure: Exposure = Exposure(),
    ) -> SubmissionClaim:
        """Write the intents of up to `limit` submissions: lease, reserve and event are on disk before any leaves.

        Neither `max_in_flight` of the run's jobs at the vendor nor `cap` credits are passed. The cap counts every
        entry of the jobs of manifest `cap_manifest` (all jobs, if None); `exposure` is what is known of that sum.
        """
        self._expire_assets(run_id, limit)
        doubted = 0
        if cap is not None:
            exposure = self.exposure(cap_manifest, exposure)
            doubted = self._doubted(cap_manifest)
        # Only jobs that this run follows too: others would take its places and never give them back.
        at_vendor = self.connection.execute(
            select(func.count())
            .select_from(Job)
            .join(RunJob, and_(RunJob.run_id == run_id, RunJob.job_seq == Job.seq))
            .where(Job.state.in_([state.value for state in AT_VENDOR]))
        ).scalar_one()
        room = max_in_flight - at_vendor
        there = or_(Job.assets_expire_at.is_(None), Job.assets_expire_at >= self.now + ASSET_MARGIN_SECONDS)
        ready = self._due(run_id, State.UPLOADED, max(0, min(limit, room))).where(there)
        rows = self.connection.execute(ready).all()
        intents: list[Intent] = []
        spent = exposure.total + doubted
        jobs = [ClaimedJob(**row._mapping) for row in rows]
        for job in jobs:
            left = None if cap is None else cap - spent
            offer = self._offer(job, run_id, left, last=not at_vendor and not intents)
            if offer is None:
                return SubmissionClaim(tuple(intents), exposure, capped=True)
            spent += offer.worst
            intents.append(self._intend(job, run_id, lease, name(job), offer))
        return SubmissionClaim(tuple(intents), exposure)

    def _offer(self, job: ClaimedJob, run_id: str, left: int | None, *, last: bool) -> _Offer | None:
        """How a job can be sent with `left` credits under the cap (None: there is no cap), None if it can't.

        `last`: nothing else is in flight that could settle lower and leave more room.
        """
        if left is None or job.source_fps is not None or job.max_fps_limit is not None:
            return _Offer(job.worst) if left is None or job.worst <= left else None
        # Nothing bounds what it settles at but a limit that is sent with it.
        seconds, mode = clip_seconds(job.start_seconds, job.end_seconds), Mode(job.generation_mode)
        guards = (GUARD_FPS, min(GUARD_FPS, self._fastest_seen(run_id))) if last else (GUARD_FPS,)
        offers = [_Offer(max(job.estimate, frames_cost(seconds, fps, mode)), fps) for fps in guards]
        return next((offer for offer in offers if offer.worst <= left), None)

    def _fastest_seen(self, run_id: str) -> float:
        """The frame rate of the fastest video that has settled in this run without being known, at least 30."""
        ratio = self.connection.execute(
            select(func.max(Job.project_credits * 1.0 / Job.estimate))
            .join(RunJob, and_(RunJob.run_id == run_id, RunJob.job_seq == Job.seq))
            .where(
                Job.state.in_([State.RENDERED.value, State.COMPLETE.value]),
                Job.source_fps.is_(None),
                Job.max_fps_limit.is_(None),
                Job.estimate > 0,
            )
        ).scalar()
        return float(math.ceil(ESTIMATE_FPS * max(1.0, float(ratio or 1.0))))

    def _intend(self, job: ClaimedJob, run_id: str, lease: float, name: str, offer: _Offer) -> Intent:
        if offer.worst != job.worst:
            self.connection.execute(update(table(Job)).where(Job.seq == job.seq).values(worst=offer.worst))
        number = job.submissions + 1
        submission_id: int = self.connection.execute(
            insert(Submission)
            .values(job_seq=job.seq, run_id=run_id, number=number, name=name, started_at=self.now)
            .returning(Submission.id)
        ).scalar_one()
        self._move(
            Event.SUBMIT_STARTED,
            job.seq,
            {
                "submissions": number,
                "submitted_at": self.now,
                "lease_owner": run_id,
                "lease_until": self.now + lease,
            },
            submission_id=submission_id,
            detail={"submission": submission_id, "max_fps_limit": offer.guard_fps},
        )
        return Intent(job, submission_id, name, self.now + lease, offer.guard_fps)

    def _expire_assets(self, run_id: str, limit: int) -> None:
        expired = self.connection.execute(
            select(Job.seq)
            .join(RunJob, and_(RunJob.run_id == run_id, RunJob.job_seq == Job.seq))
            .where(
                Job.state == State.UPLOADED.value,
                Job.assets_expire_at < self.now + ASSET_MARGIN_SECONDS,
                Job.lease_owner.is_(None),
            )
            .order_by(Job.not_before, Job.seq)
            .limit(max(limit, 1))
        ).scalars()
        for seq in expired.all():
            self._move(
                Event.ASSETS_EXPIRED, seq, {"video_asset": None, "audio_asset": None, "assets_expire_at": None}
            )

    def exposure(self, manifest_id: int | None, known: Exposure = Exposure()) -> Exposure:
        """The most that a manifest's jobs (all jobs, if None) can have cost; reads only entries not yet `known`."""
        members = 0
        if manifest_id is not None:
            count = select(func.count()).where(ManifestEntry.manifest_id == manifest_id)
            members = self.connection.execute(count).scalar_one()
        if members != known.members:
            known = Exposure(members=members)
        entries = select(func.coalesce(func.sum(CreditEntry.amount), 0), func.max(CreditEntry.id)).where(
            CreditEntry.id > known.last_entry
        )
        if manifest_id is not None:
            # Correlated, so that the few new entries are read rather than all of the manifest's.
            mine = select(ManifestEntry.job_seq).where(
                ManifestEntry.manifest_id == manifest_id, ManifestEntry.job_seq == CreditEntry.job_seq
            )
            entries = entries.where(mine.exists())
        amount, last = self.connection.execute(entries).one()
        return Exposure(known.total + int(amount), int(last or known.last_entry), members)

    def _doubted(self, manifest_id: int | None) -> int:
        """What submissions of unknown outcome may have cost, beside the one that its held job has reserved."""
        lost = func.count() - case((Job.state == State.HELD.value, 1), else_=0)
        query = (
            select((Job.worst * lost).label("credits"))
            .select_from(Submission)
            .join(Job, Job.seq == Submission.job_seq)
        )
        if manifest_id is not None:
            mine = select(ManifestEntry.job_seq).where(
                ManifestEntry.manifest_id == manifest_id, ManifestEntry.job_seq == Job.seq
            )
            query = query.where(mine.exists())
        each = query.where(Submission.outcome == "unknown").group_by(Job.seq, Job.worst, Job.state).subquery()
        return int(self.connection.execute(select(func.coalesce(func.sum(each.c.credits), 0))).scalar_one())

    def _lease(self, seqs: Sequence[int], run_id: str, lease: float) -> None:
        if seqs:
            self.connection.execute(
                update(table(Job)).where(Job.seq.in_(seqs)).values(lease_owner=run_id, lease_until=self.now + lease)
            )

    def renew(self, seqs: Collection[int], owner: str, lease: float) -> None:
        """Keep the leases of jobs that are being worked on."""
        for batch in chunks(seqs):
            self.connection.execute(
                update(table(Job))
                .where(Job.seq.in_(batch), Job.lease_owner == owner)
                .values(lease_until=self.now + lease)
            )

    def release(self, owner: str) -> list[int]:
        """Give back everything that `owner` holds; a submission whose answer nobody waits for any more is held.

        Returns the numbers of the held jobs.
        """
        orphans = select(Job.seq).where(Job.state == State.SUBMITTING.value, Job.lease_owner == owner)
        held = list(self.connection.execute(orphans).scalars())
        for seq in held:
            self._lose_orphan(seq)
        self.connection.execute(
            update(table(Job))
            .where(Job.state.in_([state.value for state in UNFINISHED]), Job.lease_owner == owner)
            .values(FREE)
        )
        return held

    def reap(self, is_dead: Callable[[str, int, str | None], bool | None]) -> list[int]:
        """Take back what dead processes hold; their open submissions are held. Returns the held jobs' numbers.

        `is_dead(host, pid, born)` says True (surely dead), False (surely alive) or None (can't tell from here);
        a lease of the last kind falls when it has run out.
        """
        self._forget_far_waits()
        leases = self.connection.execute(
            select(Job.lease_owner, func.max(Job.lease_until).label("until"), Run.host, Run.pid, Run.pid_born)
            .join(Run, Run.id == Job.lease_owner)
            .where(
                Job.state.in_([state.value for state in UNFINISHED]),
                Job.lease_owner.is_not(None),
                Job.lease_owner != self.run_id,
            )
            .group_by(Job.lease_owner, Run.host, Run.pid, Run.pid_born)
        ).all()
        held: list[int] = []
        for lease in leases:
            dead = is_dead(lease.host, lease.pid, lease.pid_born)
            if dead or (dead is None and lease.until < self.now):
                held += self.release(lease.lease_owner)
        return held

    def _forget_far_waits(self) -> None:
        """Nothing waits for so long: a clock that was set back would leave jobs idle until it has caught up."""
        far = Job.not_before > self.now + LONGEST_WAIT_SECONDS
        waiting = Job.state.in_([state.value for state in UNFINISHED])
        self.connection.execute(update(table(Job)).where(waiting, far).values(not_before=self.now))

    def _lose_orphan(self, seq: int) -> None:
        message = "the process that sent it ended before the answer was recorded"
        submission_id = (
            self.connection.execute(
                update(Submission)
                .where(Submission.job_seq == seq, Submission.settled_at.is_(None))
                .values(settled_at=self.now, outcome="unknown", code="killed", message=message)
                .returning(Submission.id)
            )
            .scalars()
            .first()
        )
        self._move(
            Event.SUBMIT_LOST,
            seq,
            {**FREE, "error_code": "killed", "error_message": message},
            submission_id=submission_id,
            detail={"code": "killed", "submission": submission_id},
        )
