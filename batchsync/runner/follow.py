"""The follow stage: one schedule of looks for all renders; a render that nobody looks at right now costs nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable
from dataclasses import replace

from batchsync.ledger.claims import ClaimedJob
from batchsync.model.credits import clip_seconds
from batchsync.model.renders import stalled_after
from batchsync.model.states import State
from batchsync.runner.floor import LEAST_TRIES, REFUSED_LOOKS, Floor, Links
from batchsync.runner.options import Stopped
from batchsync.runner.pacer import Priority
from batchsync.runner.schedule import kind_of
from batchsync.runner.stage import Stage, due_jobs
from batchsync.runner.telling import told
from batchsync.vendor.port import Next, Project, Trouble, VendorTrouble

log = logging.getLogger("batchsync.run")

AT_ONCE = 32  # looks that wait for their answer at the same time
MISSING_LOOKS = 3  # a project that isn't there so often in a row, and for so long, is believed to be gone
MISSING_SECONDS = 30.0
LONGEST_MISSING_GAP_SECONDS = 10.0
REFUND_LOOKS = 3  # looks at a project that came to nothing, until what it still costs is what it costs


class Looks:
    """Looks at projects and writes down what they have become."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self._looked: dict[int, float] = {}  # when a look at a job's project left last (epoch seconds)
        self._told_stalled: set[int] = set()
        self._refund_looks: dict[str, int] = {}

    def stage(self) -> Stage[ClaimedJob]:
        """The stage that brings jobs from `rendering` to `rendered`, or to a bad end."""
        return Stage(State.RENDERING, self.floor, AT_ONCE, due_jobs(State.RENDERING, self.floor), self.work)

    async def work(self, job: ClaimedJob) -> None:
        """Look at one project."""
        floor = self.floor
        if wait := self._too_soon(job.seq):
            floor.stages[State.RENDERING].hand(job, floor.clock.now() + wait)
            return

        def look() -> Awaitable[Project]:
            self._looked[job.seq] = floor.clock.now()
            return floor.vendor.project(job.project_id or "")

        try:
            project = await floor.ask(look, Priority.LOOK)
        except VendorTrouble as failure:
            await self._no_answer(job, failure.trouble)
            return
        floor.refused_looks = 0
        await self._apply(job, project)

    def _too_soon(self, seq: int) -> float:
        """Seconds until a job may be looked at: whatever it is for, looks are never closer than the poll interval.

        One that another run had in hand may have been looked at as late as that was heard of.
        """
        floor, last = self.floor, self._looked.get(seq)
        if last is None:
            last = -math.inf if floor.schedule.knows(seq) else floor.others_at
        wait = last + floor.options.poll_interval - floor.clock.now()
        return wait if 0.0 < wait <= floor.options.poll_interval else 0.0  # or a clock was set back

    async def _apply(self, job: ClaimedJob, project: Project) -> None:
        floor, seq, credits = self.floor, job.seq, project.credits
        if project.status == "complete" and job.submitted_at and job.rendered_at is None:
            self._ended(job, job.submitted_at)
        if not project.enabled:
            await self._not_there(job, "deleted", credits, "the project was deleted at the vendor")
        elif project.status in ("error", "canceled") and credits and self._may_be_refunded(job):
            await self._look_later(job, project, floor.clock.now() + floor.options.poll_interval)
        elif project.status == "error":
            code = project.error_code or "unknown_error"
            message = project.error_message or "the vendor gave no reason"
            await floor.ledger.write(lambda w: w.render_failed(seq, floor.run_id, "error", credits, code, message))
            floor.count_failure(job, code, message)
        elif project.status == "canceled":
            message = "canceled at the vendor"
            await floor.ledger.write(lambda w: w.vendor_canceled(seq, floor.run_id, credits, message))
            floor.left_vendor()
            extra = told("canceled", job=job.id, project=job.project_id, credits=credits)
            log.warning("job %s was canceled at the vendor", job.id, extra=extra)
        elif project.status == "complete" and project.downloads:
            floor.links[seq] = Links(project.downloads, floor.clock.now(), first=job.rendered_at is None)
            await floor.ledger.write(lambda w: w.render_done(seq, floor.run_id, credits, project.fps))
            extra = told("rendered", job=job.id, project=job.project_id, credits=credits)
            log.info("job %s is rendered", job.id, extra=extra)
            floor.stages[State.RENDERED].hand(job)
            floor.left_vendor()
        elif project.status == "complete":
            await self._no_output(job, credits)
        else:
            await self._goes_on(job, project)

    def _ended(self, job: ClaimedJob, submitted_at: float) -> None:
        """Learn from it. Where renders end long before they were believed to, the others need not wait as long."""
        schedule, now = self.floor.schedule, self.floor.clock.now()
        if schedule.ended(job.seq, kind_of(job), submitted_at, now):
            self.floor.stages[State.RENDERING].retime(
                lambda other, at: schedule.sooner(other.seq, kind_of(other), other.submitted_at or now, at, now)
            )

    def _may_be_refunded(self, job: ClaimedJob) -> bool:
        """Whether to wait a little: credits may come back a moment after the project has ended."""
        project = job.project_id or ""
        self._refund_looks[project] = self._refund_looks.get(project, 0) + 1
        return self._refund_looks[project] < REFUND_LOOKS

    async def _goes_on(self, job: ClaimedJob, project: Project) -> None:
        """It renders, however long: one that is stalled is told of once, followed slowly, and never sent again."""
        floor, now = self.floor, self.floor.clock.now()
        submitted_at = job.submitted_at or now
        stalled = now - submitted_at > stalled_after(clip_seconds(job.start_seconds, job.end_seconds))
        if stalled and job.seq not in self._told_stalled:
            self._told_stalled.add(job.seq)
            log.warning(
                "job %s is stalled: project %s has been %s for %.0f min, far longer than usual; it is still followed",
                *(job.id, job.project_id, project.status, (now - submitted_at) / 60),
                extra=told("stalled", job=job.id, project=job.project_id, seconds=round(now - submitted_at)),
            )
        look_at = floor.schedule.next_look(job.seq, kind_of(job), submitted_at, now, stalled=stalled)
        await self._look_later(job, project, look_at)

    async def _look_later(self, job: ClaimedJob, project: Project, look_at: float) -> None:
        """Keep the job in hand until its next look. What has changed is written down, and nothing else."""
        floor, status, credits = self.floor, project.status, project.credits
        if status != job.vendor_status or credits not in (None, job.project_credits) or job.tries:
            await floor.ledger.write(lambda w: w.still_rendering(job.seq, floor.run_id, status, credits, look_at))
            stated = job.project_credits if credits is None else credits
            job = replace(job, vendor_status=status, project_credits=stated, tries=0, strikes=0, failing_since=None)
        floor.stages[State.RENDERING].hand(job, look_at)

    async def _no_output(self, job: ClaimedJob, credits: int | None) -> None:
        """Complete, but without a file: it may come a little later. Never a reason for another render."""
        floor, seq, now = self.floor, job.seq, self.floor.clock.now()
        message = "the vendor says complete, but gives no file"
        if job.tries >= LEAST_TRIES and now - (job.failing_since or now) > floor.options.patience:
            await floor.ledger.write(lambda w: w.gave_up(seq, floor.run_id, "no_output", message))
            floor.count_failure(job, "no_output", message)
            return
        look_at = now + max(floor.options.poll_interval, floor.retry_at(job.tries) - now)
        await floor.ledger.write(
            lambda w: w.attempt_failed(
                seq, floor.run_id, "no_output", message, look_at, strike=False, credits=credits
            )
        )
        floor.ring(State.RENDERING, look_at)

    async def _missing(self, job: ClaimedJob, trouble: Trouble) -> None:
        """The vendor knows no such project: believed only when it says so for a while, as it is paid for."""
        floor, now = self.floor, self.floor.clock.now()
        lasting = job.strikes + 1 >= MISSING_LOOKS and now - (job.failing_since or now) >= MISSING_SECONDS
        if not lasting:
            code, message = trouble.code, trouble.message
            look_at = min(floor.retry_at(job.tries), now + LONGEST_MISSING_GAP_SECONDS)
            await floor.ledger.write(
                lambda w: w.attempt_failed(job.seq, floor.run_id, code, message, look_at, strike=True)
            )
            floor.ring(State.RENDERING, look_at)
        elif await floor.ledger.write(lambda w: w.claim_refuted(job.seq, floor.run_id)):
            extra = told("held", job=job.id, code="unknown_project", project=job.project_id)
            log.warning("job %s is held again: the vendor knows no project %s", job.id, job.project_id, extra=extra)
        elif job.vendor_status == "missing":
            await self._not_there(job, "deleted", None, "the vendor still knows no such project")
        else:
            message = "the vendor says that there is no such project; `batchsync retry` looks for it once more"
            await self._not_there(job, "missing", None, message)

    async def _not_there(self, job: ClaimedJob, status: str, credits: int | None, message: str) -> None:
        await self.floor.ledger.write(
            lambda w: w.render_failed(job.seq, self.floor.run_id, status, credits, "deleted", message)
        )
        self.floor.count_failure(job, "deleted", message)

    async def _no_answer(self, job: ClaimedJob, trouble: Trouble) -> None:
        floor = self.floor
        # One that was seen complete is there: then it is its download that strikes.
        if trouble.next is Next.GONE and job.rendered_at is None:
            await self._missing(job, trouble)
            return
        if trouble.next is Next.FATAL:
            floor.refused_looks += 1
            if floor.refused_looks >= REFUSED_LOOKS:
                floor.stop(Stopped.UNAUTHORIZED)
        if trouble.next is Next.REFUSED or (trouble.next is Next.GARBAGE and job.strikes >= MISSING_LOOKS):
            # It is paid for: an answer that can't be used is waited out as long as an outage is.
            trouble = replace(trouble, next=Next.AGAIN)
        await floor.failed(job, trouble)
