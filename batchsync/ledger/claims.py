"""Taking work: a claim is one transaction that gives a run the lease; a submission's claim is its intent."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, case, func, insert, or_, select, update

from batchsync.ledger.engine import locked_rows
from batchsync.ledger.leases import Leases
from batchsync.ledger.mine import IS_MINE, STATES, in_order
from batchsync.ledger.tables import CreditEntry, Job, Manifest, ManifestEntry, RunJob, Submission, table
from batchsync.model.credits import ESTIMATE_FPS, clip_seconds, frames_cost
from batchsync.model.job import Mode
from batchsync.model.states import AT_VENDOR, Event, State

# An upload is used for a submission only while it is sure to be there when the vendor starts to render.
ASSET_MARGIN_SECONDS = 3600.0
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
    reserved: int
    net: int
    submissions: int
    project_id: str | None
    vendor_status: str | None
    project_credits: int
    video_asset: str | None
    audio_asset: str | None
    submitted_at: float | None
    rendered_at: float | None
    not_before: float
    tries: int
    strikes: int
    failing_since: float | None

    def as_accepted(self, project_id: str, credits: int | None, at: float) -> ClaimedJob:
        """The job once the vendor has made a project of it, at `at` (epoch seconds), for `credits` if it said so."""
        return replace(
            self,
            state=State.RENDERING.value,
            submissions=self.submissions + 1,
            project_id=project_id,
            project_credits=self.estimate if credits is None else credits,
            vendor_status=None,
            submitted_at=at,
            rendered_at=None,
            not_before=0.0,
            tries=0,
            strikes=0,
            failing_since=None,
        )


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

    @property
    def not_before(self) -> float:
        return 0.0  # it may leave at once, or not at all


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
    """The intents that a claim for submissions gave.

    `capped` if the next job would pass the cap, `full` if no more jobs may be at the vendor.
    """

    intents: tuple[Intent, ...]
    exposure: Exposure
    capped: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True)
class _Offer:
    """The most that a submission may cost, and the limit on the frame rate that makes it so."""

    worst: int
    guard_fps: float | None = None


# Statements are built once: building one costs several times as much as running it.
QUEUE = in_order(
    select(*[getattr(Job, column.name) for column in fields(ClaimedJob)])
    .where(Job.state == bindparam("in_state"), Job.not_before <= bindparam("until"), Job.lease_owner.is_(None))
    .limit(bindparam("most"))
)
_THERE = or_(Job.assets_expire_at.is_(None), Job.assets_expire_at >= bindparam("assets_until"))
_READY = tuple(locked_rows(query.where(_THERE)) for query in QUEUE)
_DUE = tuple(locked_rows(query) for query in QUEUE)
_EXPIRED = (
    select(Job.seq)
    .where(Job.state == State.UPLOADED.value, Job.assets_expire_at < bindparam("assets_until"))
    .where(Job.lease_owner.is_(None), IS_MINE)
    .order_by(Job.not_before, Job.seq)
    .limit(bindparam("most"))
)
_INTENT = insert(table(Submission)).returning(Submission.id)
_COUNT = select(func.count()).select_from(Job).where(Job.state.in_(STATES), IS_MINE)


class Claims(Leases):
    """Taking jobs of a run that are due, and what a claim for a submission writes."""

    def _due(
        self, statements: Sequence[Select[Any]], run_id: str, state: State, limit: int, until: float, **more: Any
    ) -> list[ClaimedJob]:
        rows: list[Row[Any]] = []
        for statement in statements:
            if len(rows) < limit:
                values = {"of_run": run_id, "in_state": state.value, "until": until, "most": limit - len(rows)}
                rows += self.connection.execute(statement, values | more).all()
        return [ClaimedJob(**row._mapping) for row in rows]

    def claim(self, run_id: str, state: State, limit: int, lease: float, *, within: float = 0.0) -> list[ClaimedJob]:
        """Take up to `limit` jobs in `state` that are due `within` seconds, in order, for `lease` seconds."""
        jobs = self._due(_DUE, run_id, state, limit, self.now + within)
        self._lease([job.seq for job in jobs], run_id, lease)
        return jobs

    def _count(self, run_id: str, states: Collection[State]) -> int:
        """How many of the run's jobs are in states that few of any run's are in at a time."""
        values = {"of_run": run_id, "in_states": [state.value for state in states]}
        return int(self.connection.execute(_COUNT, values).scalar_one())

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
        at_vendor = self._count(run_id, AT_VENDOR)
        room = max_in_flight - at_vendor
        fit = self.now + ASSET_MARGIN_SECONDS
        jobs = self._due(_READY, run_id, State.UPLOADED, min(limit, room), self.now, assets_until=fit)
        intents: list[Intent] = []
        spent = exposure.total + doubted
        for job in jobs:
            left = None if cap is None else cap - spent
            offer = self._offer(job, run_id, left, last=not at_vendor and not intents)
            if offer is None:
                return SubmissionClaim(tuple(intents), exposure, capped=True)
            spent += offer.worst
            intents.append(self._intend(job, run_id, lease, name(job), offer))
        return SubmissionClaim(tuple(intents), exposure, full=len(intents) >= room)

    def _offer(self, job: ClaimedJob, run_id: str, left: int | None, *, last: bool) -> _Offer | None:
        """How a job can be sent with `left` credits under the cap (None: there is no cap), None if it can't.

        `last`: nothing else is in flight that could settle lower and leave more room.
        """
        if left is None or job.source_fps is not None or job.max_fps_limit is not None:
            return _Offer(job.worst) if left is None or job.worst <= left else None
        # Nothing bounds what it settles at but a limit that is sent with it.
        seconds, mode = clip_seconds(job.start_seconds, job.end_seconds), Mode(job.generation_mode)
        for fps in self._guards(run_id, last=last):
            offer = _Offer(max(job.estimate, frames_cost(seconds, fps, mode)), fps)
            if offer.worst <= left:
                return offer
        return None

    def _guards(self, run_id: str, *, last: bool) -> Iterator[float]:
        """Limits on the frame rate to send a job with; the second is looked up only where the first won't do."""
        yield GUARD_FPS
        if last:
            yield min(GUARD_FPS, self._fastest_seen(run_id))

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
            job = replace(job, worst=offer.worst)
        number = job.submissions + 1
        submission_id: int = self.connection.execute(
            _INTENT,
            {"job_seq": job.seq, "run_id": run_id, "number": number, "name": name, "started_at": self.now},
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
            job=job,
            submission_id=submission_id,
            detail={"submission": submission_id, "max_fps_limit": offer.guard_fps},
        )
        return Intent(job, submission_id, name, self.now + lease, offer.guard_fps)

    def _expire_assets(self, run_id: str, limit: int) -> None:
        values = {"of_run": run_id, "assets_until": self.now + ASSET_MARGIN_SECONDS, "most": max(limit, 1)}
        expired = self.connection.execute(_EXPIRED, values).scalars()
        for seq in expired.all():
            self._move(
                Event.ASSETS_EXPIRED, seq, {"video_asset": None, "audio_asset": None, "assets_expire_at": None}
            )

    def exposure(self, manifest_id: int | None, known: Exposure = Exposure()) -> Exposure:
        """The most that a manifest's jobs (all jobs, if None) can have cost; reads only entries not yet `known`."""
        members = 0
        if manifest_id is not None:
            count = select(Manifest.entries).where(Manifest.id == manifest_id)
            members = self.connection.execute(count).scalar_one() or 0
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
