"""What the stages of a run share: the ledger, the vendor, the pace, and whether anything new may start."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from batchsync.clock import Clock
from batchsync.errors import DiskFull
from batchsync.ledger.claims import ClaimedJob
from batchsync.ledger.ledger import GroupCommit
from batchsync.model import backoff
from batchsync.model.states import State
from batchsync.runner.options import RunOptions, Stopped
from batchsync.runner.pacer import Pacer, Priority
from batchsync.runner.schedule import Schedule
from batchsync.runner.storage import Storage
from batchsync.runner.telling import told
from batchsync.vendor.port import Download, Next, Trouble, Vendor, VendorTrouble

if TYPE_CHECKING:
    from batchsync.runner.stage import Stage

log = logging.getLogger("batchsync.run")

LEASE_SECONDS = 60.0
LEAST_TRIES = 2  # before a job is given up for its age alone: a machine that slept has tried nothing meanwhile
MOST_STRIKES = 5  # failures that are the job's own, in a row, before it is given up
OUTAGE_STREAK = 3  # failures of the vendor's, of any request, in a row, before all requests wait
LONGEST_PAUSE_SECONDS = 30.0  # between two tries to reach a vendor that is out of reach
TOLD_PAUSES = 2  # pauses in a row after which people are told: a hiccup is nothing to read about
TOLD_SECONDS = 5.0  # likewise, how long nothing of one kind gets through
LEAST_DOWNLOAD_SECONDS = 120.0  # for which a file that is paid for is asked for, whatever the storage says to it
LINK_TRIAL_SECONDS = 60.0  # for which a link that was just given is tried, whatever the clocks say
REFUSED_LOOKS = 3  # looks in a row that the vendor refused the key for, before a run can't go on

T = TypeVar("T")


@dataclass(slots=True)
class Outage:
    """How the vendor's API has answered lately: failures in a row, pauses made, since when (monotonic seconds)."""

    streak: int = 0
    pauses: int = 0
    since: float | None = None
    last: float | None = None
    message: str = ""

    @property
    def seconds(self) -> float:
        """How long it is known to last: from its first failure to its last, not to now."""
        return 0.0 if self.since is None or self.last is None else self.last - self.since


class Lane(StrEnum):
    """What can be out of reach while the rest answers."""

    UPLOAD = "uploads"
    SUBMISSION = "submissions"
    LOOK = "looks at renders"
    DOWNLOAD = "downloads"


_SOURCES = {
    Lane.UPLOAD: State.PLANNED,
    Lane.SUBMISSION: State.UPLOADED,
    Lane.LOOK: State.RENDERING,
    Lane.DOWNLOAD: State.RENDERED,
}


@dataclass(slots=True)
class Way:
    """How a lane has gone lately: when work last got through, and since when it doesn't (epoch seconds)."""

    through: float = 0.0
    stuck: float | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Links:
    """Links to the files of a finished render, and when they were given (epoch seconds, as everything of a link).

    `first`: nobody had any links to these files before, so nothing of them can be here.
    """

    files: tuple[Download, ...]
    given_at: float
    first: bool = False

    def have_expired(self, now: float) -> bool:
        """Whether only fresh ones are worth a try. Just given, they are tried whatever the two clocks say."""
        expired = any(link.expires_at is not None and link.expires_at <= now for link in self.files)
        return expired and now - self.given_at > LINK_TRIAL_SECONDS


class Floor:
    """Shared by the stages of one run. Everything here can be lost: what counts stands in the ledger."""

    def __init__(
        self,
        ledger: GroupCommit,
        vendor: Vendor,
        options: RunOptions,
        clock: Clock,
        scope: str,
        pace: float | None = None,
    ) -> None:
        self.ledger = ledger
        self.vendor = vendor
        self.options = options
        self.clock = clock
        self.run_id = ledger.run_id
        self.scope = scope  # what uploads and the pace hold for: the account, or the API's address if it isn't told
        self.pacer = Pacer(options.rate, clock, pace)
        self.schedule = Schedule(options.poll_interval)
        self.transfers = anyio.CapacityLimiter(options.transfers)
        # Each has its own: they may go to two storages, and one has two limits for them anyway.
        self.storage = {lane: Storage(lane.value, clock) for lane in (Lane.UPLOAD, Lane.DOWNLOAD)}
        self.outage = Outage()
        self.ways = {lane: Way() for lane in Lane}
        self.answered = False  # whether the key was ever good for anything
        self.refused_looks = 0  # in a row, for the key
        self.jobs = 0  # that the run has taken on
        self.failures = 0  # jobs that ended badly
        self.doubts = 0  # submissions whose answer was lost
        self.others_at = 0.0  # until when other runs are known to have had jobs in hand (epoch seconds)
        self.capped = False  # the next job would pass --max-credits
        self.full = False  # as many jobs are at the vendor as may be there
        self.broke = False  # out of credits, and waiting for more
        self.over = False  # it ends: nothing more is to start
        # Links to finished files: signed and short-lived, so never written down; a fresh look gives new ones.
        self.links: dict[int, Links] = {}
        self.stages: dict[State, Stage[Any]] = {}
        self.closed: Stopped | None = None
        self.stopped: Stopped | None = None
        self.stopping = anyio.Event()
        self._supervisor = anyio.Event()

    @property
    def ahead(self) -> int:
        """How many jobs may wait for their submission: files of more may never be needed tonight."""
        return max(32, self.options.max_in_flight)

    # --- who wakes whom ---

    def ring(self, state: State, at: float = 0.0) -> None:
        """The ledger may have a job in `state` to work on, from `at` (epoch seconds) on."""
        if state in self.stages:
            self.stages[state].ring(at)

    def changed(self) -> None:
        """Something that concerns the whole run: everybody looks what there is to do."""
        for stage in self.stages.values():
            stage.ring()
        self.idle()

    def idle(self) -> None:
        """A stage has nothing in hand, or the run is to end: perhaps it is over."""
        self._supervisor.set()

    async def rest(self, seconds: float) -> None:
        """Wait until the run may be over, at most so long."""
        with anyio.move_on_after(seconds):
            await self._supervisor.wait()
        self._supervisor = anyio.Event()

    def left_vendor(self) -> None:
        """A job is no longer at the vendor: there may be room, and credits, for another."""
        if self.full or self.capped:
            self.full = self.capped = False
            self.ring(State.UPLOADED)

    # --- whether anything new may start ---

    def close(self, why: Stopped) -> None:
        """Submit nothing new; what is in flight is followed to its end."""
        if self.closed is None and self.stopped is None:
            log.warning("nothing new is submitted: %s", why.value, extra=told("closed", why=why.value))
            self.closed = why
            self.changed()

    def stop(self, why: Stopped) -> None:
        """End the run soon: nothing new starts, and only requests that cost money are seen through."""
        if self.stopped is None:
            log.warning("stopping: %s", why.value, extra=told("stopping", why=why.value))
            self.stopped = why
            self.stopping.set()
            self.changed()

    def disk_full(self, error: DiskFull) -> None:
        """There is no room to write anything down: end the run."""
        log.error("%s", error)
        self.stop(Stopped.DISK_FULL)

    @property
    def open(self) -> bool:
        """Whether new submissions may start."""
        return self.closed is None and self.stopped is None and not self.broke and not self.over

    @property
    def waits_for(self) -> str | None:
        """What holds everything up right now, in words for people; None if nothing does."""
        pause = self.pacer.paused_for
        if self.outage.since is not None and self.outage.streak >= OUTAGE_STREAK:
            return f"vendor out of reach ({self.outage.message}), next try in {pause:.0f} s"
        if pause > 1:
            return f"rate limited by the vendor, next try in {pause:.0f} s"
        if self.broke:
            return "out of credits, waiting for more"
        return None

    # --- requests to the API ---

    async def ask(self, call: Callable[[], Awaitable[T]], priority: Priority = Priority.WORK) -> T:
        """Make one API request in its turn, and learn from the answer. Raises VendorTrouble."""
        await self.pacer.take(priority)
        left = self.clock.monotonic()
        try:
            answer = await call()
        except VendorTrouble as failure:
            self.learn(failure.trouble, left)
            raise
        self.learn(None, left)
        if priority is Priority.LOOK:
            self.got_through(Lane.LOOK)
        return answer

    def learn(self, trouble: Trouble | None, left: float) -> None:
        """Take note of how a request to the API went (None: well), which left at `left` in monotonic seconds."""
        if trouble is not None and trouble.next is Next.AGAIN:
            self.outage.streak += 1
            self.outage.last = self.clock.monotonic()
            self.outage.since = self.outage.since or self.outage.last
            self.outage.message = trouble.message
            # Requests that were under way when a pause began fail with it, and say nothing new.
            if self.outage.streak >= OUTAGE_STREAK and not self.pacer.paused_for:
                self.outage.pauses += 1
                pause = backoff.delay(self.outage.pauses, random.random())  # noqa: S311
                self.pacer.pause(min(pause, LONGEST_PAUSE_SECONDS))
                if self.outage.pauses == TOLD_PAUSES:
                    why = trouble.message
                    log.warning("the vendor is out of reach: %s; waiting for it", why, extra=told("unreachable"))
            return
        if trouble is not None and trouble.next is Next.PACED:
            before = self.pacer.paused_for
            self.pacer.limited(left, trouble.retry_after)
            if before < TOLD_SECONDS <= self.pacer.paused_for:
                seconds = self.pacer.paused_for
                extra = told("rate_limited", seconds=round(seconds, 1))
                log.warning("the vendor asks for a rest: all requests wait for %.0f s", seconds, extra=extra)
        else:
            self.pacer.succeeded(left)
        if trouble is None or trouble.next is not Next.FATAL:
            self.answered = True
        if self.outage.pauses >= TOLD_PAUSES:
            log.warning("the vendor answers again: going on", extra=told("reachable"))
        self.outage = Outage()

    async def share_pace(self) -> None:
        """Write down the limit that holds this run up, and share it with the runs beside this one."""
        limit = self.pacer.held_up_by
        if limit is not None:
            share = await self.ledger.write(lambda w: w.note_pace(self.scope, self.run_id, limit))
            self.pacer.pace.share(share)

    def got_through(self, lane: Lane) -> None:
        """Work of that kind went well: whoever can't get through meanwhile has a trouble of its own."""
        if self.ways[lane].told:
            log.warning("%s get through again: going on", lane.value, extra=told("through", what=lane.value))
        self.ways[lane] = Way(through=self.clock.now())

    def _is_stuck(self, lane: Lane, trouble: Trouble) -> None:
        """Work of that kind can't get through; people learn it if that lasts, and if nothing else tells them."""
        way, now = self.ways[lane], self.clock.now()
        way.stuck = way.stuck or now
        if not way.told and now - way.stuck >= TOLD_SECONDS and self.outage.pauses < TOLD_PAUSES:
            way.told = True
            extra = told("stuck", what=lane.value)
            log.warning("%s don't get through: %s; trying again", lane.value, trouble.message, extra=extra)

    def is_alone(self, job: ClaimedJob, lane: Lane) -> bool:
        """Whether `job` has failed for longer than patience while others got through.

        If nobody did, it is the vendor that is out of reach: then the run ends, and the job has lost nothing.
        """
        since = job.failing_since
        if since is None or self.clock.now() - since <= self.options.patience:
            return False
        if self.outage.streak >= OUTAGE_STREAK or job.tries < LEAST_TRIES:
            return False  # how long that may last is watched for all jobs together
        if self.ways[lane].through < since:
            self.stop(Stopped.UNREACHABLE)
            return False
        return True

    # --- what becomes of a piece of work that failed ---

    def retry_at(self, tries: int, retry_after: float | None = None) -> float:
        """When to try again after `tries` failures before this one, in epoch seconds."""
        return self.clock.now() + backoff.delay(tries + 1, random.random(), retry_after)  # noqa: S311

    async def failed(self, job: ClaimedJob, trouble: Trouble, lane: Lane = Lane.LOOK) -> None:
        """Write down that work on a job that costs nothing failed: try again later, or give the job up."""
        now = self.clock.now()
        strike = trouble.next in (Next.GARBAGE, Next.GONE)
        again = trouble.next is Next.AGAIN
        code, message = trouble.code, trouble.message
        if trouble.next is Next.FATAL:
            self.close(Stopped.UNAUTHORIZED)
        elif trouble.next is Next.BROKE:
            self.out_of_credits()
        elif again or (strike and lane is Lane.UPLOAD):
            self._is_stuck(lane, trouble)
        failing = now - (job.failing_since or now)
        lasting = lane is not Lane.DOWNLOAD or failing >= min(LEAST_DOWNLOAD_SECONDS, self.options.patience)
        struck = strike and lasting and job.strikes + 1 >= MOST_STRIKES
        hopeless = trouble.next is Next.REFUSED or struck
        if hopeless or (again and self.is_alone(job, lane)):
            await self.ledger.write(lambda w: w.gave_up(job.seq, self.run_id, code, message))
            self.count_failure(job, code, message)
            return
        paced = trouble.next is Next.PACED
        not_before = now if paced else self.retry_at(job.tries, trouble.retry_after)
        wait = max(not_before - now, self.pacer.paused_for)
        extra = told("retry_later", job=job.id, code=code, seconds=round(wait, 1))
        log.info("job %s: %s (%s); next try in %.0f s", job.id, message, code, wait, extra=extra)
        await self.ledger.write(
            lambda w: w.attempt_failed(job.seq, self.run_id, code, message, not_before, strike=strike)
        )
        self.ring(_SOURCES[lane], not_before)

    def count_failure(self, job: ClaimedJob, code: str, message: str) -> None:
        """Count a job that ended badly, against --max-failures."""
        extra = told("failed", job=job.id, code=code, project=job.project_id)
        log.warning("job %s failed: %s (%s)", job.id, message, code, extra=extra)
        self.left_vendor()
        self.failures += 1
        borne = self.options.max_failures
        if borne is not None and self.failures >= borne.of(self.jobs):
            self.close(Stopped.MAX_FAILURES)

    def out_of_credits(self) -> None:
        """The account is empty: stop submitting, or wait until it isn't."""
        if self.options.on_out_of_credits == "wait":
            self.broke = True
        else:
            self.close(Stopped.OUT_OF_CREDITS)
