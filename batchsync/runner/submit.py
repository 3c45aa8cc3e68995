"""The submit stage: the only place where money is spent. Intents are on disk before their requests leave."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio

from batchsync.ledger.claims import GUARD_FPS, ClaimedJob, Exposure, Intent
from batchsync.ledger.ledger import Writes
from batchsync.ledger.submissions import Accepted
from batchsync.model.job import Mode, SourceKind
from batchsync.model.states import State
from batchsync.runner.floor import LEASE_SECONDS, Floor, Lane
from batchsync.runner.options import Stopped
from batchsync.runner.pacer import Priority
from batchsync.runner.schedule import kind_of
from batchsync.runner.stage import Stage
from batchsync.runner.telling import told
from batchsync.vendor.port import Created, Next, NotCreated, SubmitRequest, Submitted, Unknown

log = logging.getLogger("batchsync.run")

AT_ONCE = 16  # submissions that wait for their answer at the same time
STOP_SECONDS = 7.0  # how long a submission may still wait for its answer once the run is stopping
MOST_LOST = 3  # with --on-ambiguous resubmit: a vendor that never answers must not be paid for ever


class Submissions:
    """Sends jobs to the vendor and writes down what became of each."""

    def __init__(self, floor: Floor, cap_manifest: int | None) -> None:
        self.floor = floor
        self._cap_manifest = cap_manifest
        self._exposure = Exposure()
        self._told_guarded = False
        self._made_room = 0  # submissions since the upload stage was last told that it may bring more files
        self._waiting: set[anyio.CancelScope] = set()

    def stage(self) -> Stage[Intent]:
        """The stage that brings jobs from `uploaded` to `rendering`."""
        return Stage(State.UPLOADED, self.floor, AT_ONCE, self.claim, self.work, lambda: self.floor.open)

    async def claim(self, free: int) -> Sequence[Intent]:
        """Write the intents of as many submissions as the pace lets go right now."""
        floor, options = self.floor, self.floor.options
        # The turn comes first: an intent that waits for its turn would be held if the process died meanwhile.
        turns = 0
        while not turns and floor.open:
            with anyio.move_on_after(1.0):
                turns = await floor.pacer.take(Priority.WORK, free)
        if not turns:
            return []
        got = await floor.ledger.write(
            lambda w: w.claim_submissions(
                floor.run_id,
                turns,
                LEASE_SECONDS,
                max_in_flight=options.max_in_flight,
                name=self._name,
                cap=options.max_credits,
                cap_manifest=self._cap_manifest,
                exposure=self._exposure,
            )
        )
        floor.pacer.give_back(turns - len(got.intents))
        for intent in got.intents:
            self._tell_guarded(intent)
        self._exposure = got.exposure
        floor.capped, floor.full = got.capped, got.full
        self._made_room += len(got.intents)
        if self._made_room >= floor.ahead // 4 or not (got.full or got.capped or len(got.intents) == turns):
            self._made_room = 0
            floor.ring(State.PLANNED)  # there is room for the files of others now
        if len(got.intents) == turns:
            floor.ring(State.UPLOADED)  # it was the pace that let no more go, and there may be more
        return got.intents

    def _tell_guarded(self, intent: Intent) -> None:
        """Say where a job is asked for otherwise than its manifest has it."""
        if intent.guard_fps is None:
            return
        if not self._told_guarded:
            self._told_guarded = True
            log.warning(
                "--max-credits: the frame rate of some videos isn't known; so that the cap holds, they are asked for "
                "at %g frames per second at most (a max_fps_limit of your own, or ffprobe, makes that unnecessary)",
                GUARD_FPS,
            )
        if intent.guard_fps < GUARD_FPS:
            log.warning("job %s is asked for at %g frames per second at most", intent.job.id, intent.guard_fps)

    def _name(self, job: ClaimedJob) -> str:
        name = job.name or job.id
        return name if self.floor.options.plain_names else f"{name} · {job.token}"

    async def work(self, intent: Intent) -> None:
        """Send one submission and write its outcome; cancelled by nothing but its own deadline."""
        with anyio.CancelScope(shield=True):
            left = self.floor.clock.monotonic()
            outcome = await self._send(intent)
            try:
                await self._record(intent, outcome, left)
            except Exception:
                if isinstance(outcome, Created):
                    _tell_unrecorded(intent, outcome)
                raise

    async def _send(self, intent: Intent) -> Submitted | None:
        """The outcome of a submission, None if it may leave no more: the run takes nothing new, or slept too long."""
        if not self.floor.open or self.floor.clock.now() >= intent.until:
            return None
        outcome: Submitted = Unknown("stopped", "the run was stopped while it waited for the vendor's answer")
        with anyio.CancelScope(shield=True) as scope:
            self._waiting.add(scope)
            try:
                outcome = await self.floor.vendor.submit(_request(intent))
            finally:
                self._waiting.discard(scope)
        return outcome

    def hurry(self) -> None:
        """Give submissions that wait for their answer a few more seconds."""
        for scope in self._waiting:
            scope.deadline = min(scope.deadline, anyio.current_time() + STOP_SECONDS)

    async def _record(self, intent: Intent, outcome: Submitted | None, left: float) -> None:
        seq, submission = intent.job.seq, intent.submission_id
        floor = self.floor
        if outcome is None:
            message = "nothing new was to be sent any more, or the run stood still for too long, before it left"
            await floor.ledger.write(lambda w: w.deferred(seq, submission, "stopped", message, 0.0, None))
            floor.ring(State.UPLOADED)
        elif isinstance(outcome, Created):
            floor.learn(None, left)
            floor.got_through(Lane.SUBMISSION)
            now = floor.clock.now()
            look_at = floor.schedule.first_look(seq, kind_of(intent.job), now)
            project, credits, status = outcome.project_id, outcome.credits, outcome.status
            became = await floor.ledger.write(
                lambda w: w.accepted(seq, submission, project, credits, look_at, status, owner=floor.run_id)
            )
            extra = told("submitted", job=intent.job.id, project=project, credits=credits)
            log.info("job %s is project %s", intent.job.id, project, extra=extra)
            if became is Accepted.KEPT:
                floor.stages[State.RENDERING].hand(intent.job.as_accepted(project, credits, now), look_at)
            elif became is Accepted.FOLLOWED:
                floor.ring(State.RENDERING)
            else:
                log.error(_ODD_ANSWERS[became], intent.job.id, project)
        elif isinstance(outcome, NotCreated):
            await self._not_created(intent, outcome, left)
        else:
            await self._unknown(intent, outcome)

    async def _not_created(self, intent: Intent, outcome: NotCreated, left: float) -> None:
        """Have the job sent again later, its files uploaded anew if the vendor hasn't got them; or have it fail."""
        floor, trouble = self.floor, outcome.trouble
        seq, submission = intent.job.seq, intent.submission_id
        code, message, status = trouble.code, trouble.message, trouble.status
        floor.learn(trouble, left)
        not_before, then = floor.clock.now(), ""
        again = trouble.next is Next.AGAIN
        if trouble.next is Next.GONE and await floor.ledger.write(
            lambda w: w.input_gone(seq, submission, message, status)
        ):
            then = "; its files are uploaded again"
        elif trouble.next in (Next.REFUSED, Next.GONE) or (again and floor.is_alone(intent.job, Lane.SUBMISSION)):
            await floor.ledger.write(lambda w: w.refused(seq, submission, code, message, status))
            floor.count_failure(intent.job, code, message)
            return
        else:
            if trouble.next is Next.FATAL:
                floor.close(Stopped.UNAUTHORIZED)
            elif trouble.next is Next.BROKE:
                floor.out_of_credits()
            elif trouble.next is not Next.PACED:
                not_before = floor.retry_at(intent.job.tries, trouble.retry_after)
            await floor.ledger.write(
                lambda w: w.deferred(seq, submission, code, message, not_before, status, failing=again)
            )
        extra = told("not_created", job=intent.job.id, code=code, status=status)
        log.info("job %s was not created: %s (%s)%s", intent.job.id, message, code, then, extra=extra)
        floor.left_vendor()
        floor.ring(State.UPLOADED, not_before)

    async def _unknown(self, intent: Intent, outcome: Unknown) -> None:
        seq, submission = intent.job.seq, intent.submission_id
        code, message, status = outcome.code, outcome.message, outcome.status
        resubmit = self.floor.options.on_ambiguous == "resubmit" and self.floor.stopped is None

        def write(w: Writes) -> bool:
            w.lost(seq, submission, code, message, status)
            return resubmit and w.resubmitted(seq, MOST_LOST)

        self.floor.doubts += 1
        self.floor.left_vendor()
        if await self.floor.ledger.write(write):
            self.floor.ring(State.UPLOADED)
            words, event = "job %s is sent again, though it may have been created: %s (%s)", "sent_again"
        else:
            words, event = "job %s is held: %s (%s)", "held"
        log.warning(words, intent.job.id, message, code, extra=told(event, job=intent.job.id, code=code))


_ODD_ANSWERS = {
    Accepted.STRAY: "job %s: project %s was created after the job had gone another way; it is paid for, counted, "
    "and not downloaded",
    Accepted.DOUBTED: "job %s is held: the vendor answered with project %s, which is another job's already",
}


def _tell_unrecorded(intent: Intent, outcome: Created) -> None:
    """The last place where a project's id can be kept, if the ledger can't take it."""
    job = intent.job.id
    log.error(
        "job %s was created as project %s, and the ledger could not note it; once it can: "
        "`batchsync resolve %s --project %s`",
        *(job, outcome.project_id, job, outcome.project_id),
    )


def _request(intent: Intent) -> SubmitRequest:
    job = intent.job
    return SubmitRequest(
        name=intent.name,
        video=job.video_asset or job.video,
        audio=job.audio_asset or job.audio,
        start_seconds=job.start_seconds,
        end_seconds=job.end_seconds,
        generation_mode=Mode(job.generation_mode),
        max_fps_limit=job.max_fps_limit or intent.guard_fps,
        video_is_youtube=job.video_kind == SourceKind.YOUTUBE.value,
    )
