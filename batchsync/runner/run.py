"""One run: starts the stages, watches limits and signals, ends well, and says what was done."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from statistics import median
from typing import Any

import anyio

from batchsync import __version__
from batchsync.errors import DiskFull, SettingError, one_error
from batchsync.ledger.ledger import GroupCommit, Ledger, Writes
from batchsync.ledger.views import Views
from batchsync.model.renders import ENOUGH_RENDERS
from batchsync.model.states import UNFINISHED
from batchsync.model.throughput import Throughput, seconds_left
from batchsync.runner import process
from batchsync.runner.books import IN_FLIGHT, Books, Statement
from batchsync.runner.download import Downloads
from batchsync.runner.floor import LEASE_SECONDS, Floor
from batchsync.runner.follow import Looks
from batchsync.runner.options import RunOptions, Stopped
from batchsync.runner.signals import received
from batchsync.runner.snapshot import Snapshot, Watcher
from batchsync.runner.stage import Stage
from batchsync.runner.submit import MOST_LOST, Submissions
from batchsync.runner.telling import told
from batchsync.runner.upload import Uploads
from batchsync.vendor.port import Vendor, VendorTrouble

log = logging.getLogger("batchsync.run")

HEARTBEAT_SECONDS = 10.0  # of the leases' 60: a few that come late lose nothing
TICK_SECONDS = 0.5  # how often limits are looked at
START_PATIENCE_SECONDS = 30.0  # at most, with a vendor that can't be reached at the start
CREDIT_LOOK_SECONDS = 15.0  # between two looks whether there is credit again
DOUBT_LOOK_SECONDS = 15.0  # likewise, at what the balance says of lost answers
GOODBYE_SECONDS = 5.0  # at most, for a question by the way or at the end
# A signal ends a run within 10 s: submissions have 7 (`submit.STOP_SECONDS`), then the last question has this.
HURRIED_GOODBYE_SECONDS = 1.0
LAST_RESORT_SECONDS = 9.5
PAST_RENDERS = 1000  # of the ledger's, that a run learns from how long renders take
NO_GOODBYE = frozenset({Stopped.UNREACHABLE, Stopped.UNAUTHORIZED, Stopped.DISK_FULL})


def new_run_id() -> str:
    """A run's id: its start in UTC and a few random letters, so that ids sort by time."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"


async def _soon(floor: Floor, ask: Callable[[], Awaitable[None]]) -> None:
    """Ask the vendor something by the way: not for long, and no longer than until the run is to stop."""
    async with anyio.create_task_group() as tasks:

        async def end_with_the_run() -> None:
            await floor.stopping.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(end_with_the_run)
        with anyio.move_on_after(GOODBYE_SECONDS):
            await ask()
        tasks.cancel_scope.cancel()


class Run:
    """A run over the jobs of one manifest (`manifest_id`), or of the whole ledger (None)."""

    def __init__(
        self,
        ledger: Ledger,
        vendor: Vendor,
        options: RunOptions,
        *,
        manifest_id: int | None,
        api_url: str,
        watch: Watcher | None = None,
    ) -> None:
        self.id = new_run_id()
        self._ledger = ledger
        self._vendor = vendor
        self._options = options
        self._manifest_id = manifest_id
        self._api_url = api_url
        self._clock = ledger.clock
        self._watch = watch
        self._started = self._clock.monotonic()
        self._stopped: Stopped | None = None
        self._throughput = Throughput()
        self._usual: float | None = None
        self._jobs = 0
        self._floor: Floor | None = None
        self._looking = anyio.CancelScope()  # at the balance, in the beginning and in the end

    async def __call__(self) -> Snapshot:
        """Work until there is nothing more to do or the run has to stop. Raises BatchsyncError for exit 2."""
        others_at = self._ledger.read(self._last_sign)  # before those that are dead lose their leases
        self._jobs = self._start()
        log.info(
            "run %s begins: %d jobs", self.id, self._jobs, extra=told("run_begins", run=self.id, jobs=self._jobs)
        )
        if self._jobs:
            writer = GroupCommit(self._ledger, self.id)
            with one_error():
                async with anyio.create_task_group() as services:
                    services.start_soon(writer.serve)
                    try:
                        await self._work(writer, others_at)
                    finally:
                        await self._leave(writer)
        else:
            self._ledger.write(lambda w: w.end_run(None), self.id)
        end = self.snapshot()
        counts = {state.value: count for state, count in end.counts.items() if count}
        extra = told("run_ends", run=self.id, stopped=end.stopped, jobs=counts, credits=end.credits.net)
        log.info("run %s ends: %s", self.id, end.stopped or "nothing is left to do", extra=extra)
        return end

    # --- beginning ---

    def _start(self) -> int:
        """Register the run and give it its jobs; returns how many."""
        options = {name: value for name, value in asdict(self._options).items() if value is not None}

        def write(w: Writes) -> int:
            w.start_run(
                process.me(),
                manifest_id=self._manifest_id,
                version=__version__,
                api_url=self._api_url,
                options=options,
            )
            held = w.reap(process.is_dead)
            if held:
                log.warning("%d jobs are held: an earlier run ended while they were being submitted", len(held))
            if self._options.on_ambiguous == "resubmit":
                w.resubmit_held(self._manifest_id, MOST_LOST)
            count = w.take_on(self.id, self._manifest_id, self._options.limit)
            if self._options.output_dir is not None:
                w.redirect(self.id, str(self._options.output_dir.absolute()))
            return count

        return self._ledger.write(write, self.id)

    def _last_sign(self, views: Views) -> float:
        """Until when another run may have worked on its jobs, by its end and by the leases that it renewed last."""
        ended, leased = views.others(self.id)
        return min(self._clock.now(), max(ended, leased - LEASE_SECONDS + HEARTBEAT_SECONDS))

    # --- the middle ---

    async def _work(self, writer: GroupCommit, others_at: float) -> None:
        async with anyio.create_task_group() as outer:
            outer.start_soon(self._listen)
            books = Books(self._vendor, writer, self.id)
            first: Statement | None = None
            last = anyio.current_time() + self._options.patience
            most = min(self._options.patience, START_PATIENCE_SECONDS)

            def rest(seconds: float) -> None:
                patience.deadline = min(last, anyio.current_time() + seconds + most)

            with self._looking, anyio.move_on_after(most) as patience:
                first = await books.first(rest)
            if patience.cancelled_caught:
                log.error("the vendor can't be reached", extra=told("unreachable"))
                self._stopped = self._stopped or Stopped.UNREACHABLE
            if self._stopped is None:
                if first is not None:
                    await books.require_same_account(first)
                    await books.write("start", first)
                account = first.account if first else None
                scope = account.id if account and account.id else self._api_url
                pace = await writer.read(lambda v: v.pace(scope))
                floor = Floor(writer, self._vendor, self._options, self._clock, scope, pace)
                floor.jobs = self._jobs
                floor.others_at = others_at
                floor.answered = account is not None
                past = await writer.read(lambda v: v.render_times(PAST_RENDERS))
                floor.schedule.remember(past)
                if len(past) >= ENOUGH_RENDERS:
                    self._usual = median(seconds for _, seconds in past)
                await self._stages_until_done(floor, books)
            await self._goodbye(books)
            outer.cancel_scope.cancel()

    async def _goodbye(self, books: Books) -> None:
        """Write down the closing balance, if it can be had soon."""
        stopped = self._stopped
        if self._floor is not None and stopped not in NO_GOODBYE:
            hurry = stopped is Stopped.SIGNAL
            most = HURRIED_GOODBYE_SECONDS if hurry else GOODBYE_SECONDS
            with anyio.move_on_after(most) as self._looking:
                await books.note("end")
        self._stopped = stopped  # a signal that came only now has stopped nothing

    async def _stages_until_done(self, floor: Floor, books: Books) -> None:
        self._floor = floor
        submissions = Submissions(floor, self._manifest_id)
        submit = submissions.stage()
        others: list[Stage[Any]] = [Uploads(floor).stage(), Looks(floor).stage(), Downloads(floor).stage()]
        # Three groups, from the one that ends last: the heartbeat, submissions that wait for their answer, all else.
        async with anyio.create_task_group() as beating:
            beating.start_soon(self._beat, floor)
            async with anyio.create_task_group() as paid, anyio.create_task_group() as free:
                free.start_soon(submit.run, paid)
                for stage in others:
                    free.start_soon(stage.run, free)
                if self._stopped is not None:
                    floor.stop(self._stopped)
                try:
                    await self._supervise(floor, books)
                except DiskFull as error:
                    floor.disk_full(error)
                floor.over = True
                if floor.stopped is not None:
                    submissions.hurry()
                free.cancel_scope.cancel()
            beating.cancel_scope.cancel()
        self._stopped = await self._why_stopped(floor)
        if self._stopped is Stopped.UNAUTHORIZED and not floor.answered:
            raise SettingError(
                "the vendor refused the API key",
                hint="check MAGIC_HOUR_API_KEY; nothing was sent that costs anything",
            )

    async def _why_stopped(self, floor: Floor) -> Stopped | None:
        """Why unfinished jobs are left, None if there are none."""
        mine = await floor.ledger.read(lambda v: v.any_in(self.id, UNFINISHED))
        if not mine and not await floor.ledger.read(lambda v: v.unfinished(self._manifest_id)):
            return None
        if not mine:
            return Stopped.LIMIT if self._options.limit is not None else None
        capped = self._options.max_credits is not None
        return floor.stopped or floor.closed or (Stopped.MAX_CREDITS if capped else None)

    async def _supervise(self, floor: Floor, books: Books) -> None:
        """Return when the run is over; meanwhile watch its limits, and tell the watcher how it stands."""
        looked = shown = self._clock.monotonic()
        doubts, doubted = 0, -math.inf
        while floor.stopped is None:
            self._check_limits(floor)
            if floor.stopped is None and await self._is_done(floor):
                return
            now = self._clock.monotonic()
            if floor.doubts > doubts and now - doubted > DOUBT_LOOK_SECONDS:
                doubts, doubted = floor.doubts, now
                await _soon(floor, lambda: books.note("doubt"))
            if floor.broke and now - looked > CREDIT_LOOK_SECONDS:
                looked = now
                await _soon(floor, lambda: self._look_for_credit(floor))
            if self._watch is not None and now - shown >= self._watch.seconds:
                self._watch.show(await floor.ledger.read(self._view))
                # A view of a large ledger takes its time: never spend more than a few percent on it.
                shown = self._clock.monotonic() + 20 * (self._clock.monotonic() - now)
            await floor.rest(TICK_SECONDS)

    def _check_limits(self, floor: Floor) -> None:
        options, now = self._options, self._clock.monotonic()
        if options.until is not None and self._clock.now() >= options.until:
            floor.stop(Stopped.UNTIL)
        elif options.max_duration is not None and now - self._started >= options.max_duration:
            floor.stop(Stopped.MAX_DURATION)
        elif floor.outage.seconds > options.patience:
            floor.stop(Stopped.UNREACHABLE)

    async def _is_done(self, floor: Floor) -> bool:
        if any(stage.busy or stage.handed for stage in floor.stages.values()):
            return False
        blocked = floor.closed is not None or floor.capped
        wanted = IN_FLIGHT if blocked else UNFINISHED
        if await floor.ledger.read(lambda v: v.any_in(self.id, wanted)):
            return False
        if blocked or self._options.limit is not None:
            return True
        # Another process may have added to the manifest, or a person put jobs back, while this run went on.
        more = await floor.ledger.write(lambda w: w.take_on(self.id, self._manifest_id))
        if more:
            floor.jobs += more
            floor.changed()
        return not more

    async def _look_for_credit(self, floor: Floor) -> None:
        try:
            account = await floor.ask(self._vendor.account)
        except VendorTrouble:
            return
        cheapest = await floor.ledger.read(lambda v: v.cheapest_waiting(self.id))
        if account.credits is not None and cheapest is not None and account.credits >= cheapest:
            extra = told("credits_again", credits=account.credits)
            log.warning("the account has %d credits again: going on", account.credits, extra=extra)
            floor.broke = False
            floor.changed()

    async def _listen(self) -> None:
        """First signal: stop well. Second: at once, as the ledger bears it."""
        heard = False
        with received() as signals:
            async for number in signals:
                if heard:
                    os._exit(3)
                heard = True
                self._stopped = Stopped.SIGNAL
                self._looking.cancel()
                # A name that doesn't resolve or a disk that hangs can't be cancelled; the ledger bears a hard end.
                last_resort = threading.Timer(LAST_RESORT_SECONDS, os._exit, (3,))
                last_resort.daemon = True
                last_resort.start()
                log.warning("%s: stopping; once more stops at once", signal.Signals(number).name)
                if self._floor is not None:
                    self._floor.stop(Stopped.SIGNAL)

    async def _beat(self, floor: Floor) -> None:
        """Keep this run's leases, take over what dead ones have left, and share the pace with those beside it."""
        while True:
            await anyio.sleep(HEARTBEAT_SECONDS)
            in_hand = [seq for stage in floor.stages.values() for seq in stage.seqs]
            waiting = [(stage, [piece for _, _, piece in stage.handed]) for stage in floor.stages.values()]

            def write(w: Writes, in_hand: list[int] = in_hand) -> tuple[set[int], list[int]]:
                return w.renew(in_hand, self.id, LEASE_SECONDS), w.reap(process.is_dead)

            floor.others_at = await floor.ledger.read(self._last_sign)
            try:
                lost, held = await floor.ledger.write(write)
                await floor.share_pace()
            except DiskFull as error:
                floor.disk_full(error)
                continue
            for stage, pieces in waiting:
                stage.forget([piece for piece in pieces if piece.seq in lost])
            if held:
                log.warning("%d jobs are held: another run ended while they were being submitted", len(held))
            floor.changed()

    # --- the end ---

    async def _leave(self, writer: GroupCommit) -> None:
        """Give everything back and say goodbye. What can't be written now, the next start finds out by itself."""
        stopped = self._stopped.value if self._stopped else None
        floor = self._floor
        limit = None if floor is None else floor.pacer.pace.limit

        def write(w: Writes) -> None:
            if floor is not None and limit is not None:
                w.leave_pace(floor.scope, self.id, limit)
            w.release(self.id)
            w.end_run(stopped)

        try:
            with anyio.CancelScope(shield=True):
                await writer.write(write)
        except DiskFull as error:
            log.error("%s", error)
        finally:
            writer.close()

    # --- how it stands ---

    def _view(self, views: Views) -> Snapshot:
        now = self._clock.monotonic()
        seen = Snapshot(
            self.id,
            views.counts(self._manifest_id),
            views.credits(self._manifest_id),
            now - self._started,
            self._stopped,
            self._floor.waits_for if self._floor else None,
            self._options.max_credits,
        )
        self._throughput.note(now, seen.ended)
        rate = self._throughput.per_second(now)
        in_flight = min(self._options.max_in_flight, seen.total - seen.ended)
        left = seconds_left(seen.total - seen.ended, rate, self._usual, in_flight)
        return replace(seen, rate=rate, left=left, flight=views.flight(self._manifest_id))

    def snapshot(self) -> Snapshot:
        """How the run stands now, from the ledger."""
        return self._ledger.read(self._view)
