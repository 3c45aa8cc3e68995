"""The download stage: brings finished files here, whole, and goes on with what was cut."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from anyio import to_thread

from batchsync.errors import DiskFull, LeaseLost, OutputError
from batchsync.ledger.claims import ClaimedJob
from batchsync.ledger.views import SavedOutput, Views
from batchsync.model.states import State
from batchsync.runner import saving
from batchsync.runner.floor import Floor, Lane
from batchsync.runner.receiving import receive
from batchsync.runner.stage import Stage, due_jobs
from batchsync.runner.telling import told
from batchsync.vendor.port import Body, Download, Next, Trouble, VendorTrouble

log = logging.getLogger("batchsync.run")

MOST_READINGS = 4  # of a file whose end can't be told from a cut, before the try counts as failed
JOBS_PER_TRANSFER = 4  # while some receive, others wait for the disk


@dataclass(frozen=True, slots=True)
class Place:
    """Where one file of a job goes, under which name it arrives, and what is already there of it.

    `whole`: it is in its place; `arrived`: all of it is there under its temporary name; `size` is how much of it is
    there under that name, None where nothing is.
    """

    seq: int
    ordinal: int
    project_id: str
    final: Path
    part: Path
    whole: bool
    arrived: bool
    size: int | None
    validator: str | None


class Downloads:
    """Saves the files of finished renders."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor

    def stage(self) -> Stage[ClaimedJob]:
        """The stage that brings jobs from `rendered` to `complete`."""
        capacity = self.floor.options.transfers * JOBS_PER_TRANSFER
        return Stage(State.RENDERED, self.floor, capacity, due_jobs(State.RENDERED, self.floor), self.work)

    async def work(self, job: ClaimedJob) -> None:
        """Save all files of one job."""
        floor = self.floor
        links = floor.links.pop(job.seq, None)
        if links is None or links.have_expired(floor.clock.now()):
            await floor.ledger.write(lambda w: w.look_again(job.seq, floor.run_id))
            floor.ring(State.RENDERING)
            return
        try:
            paths = [await self._save(job, n, link, links.first) for n, link in enumerate(links.files)]
        except VendorTrouble as failure:
            # Without their links the next try begins with a fresh look, which costs nothing.
            await floor.failed(job, _never_refused(failure.trouble), Lane.DOWNLOAD)
            return
        except OutputError as error:
            await self._give_up(job, error.code, error.message)
            return
        except OSError as error:
            if error.errno in saving.NO_ROOM:
                raise DiskFull(
                    f"no room left for the outputs in {job.output_dir}",
                    hint="make room, then run the same command again; nothing is rendered twice",
                ) from None
            await self._give_up(job, OutputError.code, f"{error.filename or job.output}: {error.strerror}")
            return
        await floor.ledger.write(lambda w: w.output_saved(job.seq, floor.run_id, paths))
        log.info("job %s is complete: %s", job.id, paths[0], extra=told("complete", job=job.id, files=paths))

    async def _give_up(self, job: ClaimedJob, code: str, message: str) -> None:
        message = f"{message}; it is rendered and paid for, and `batchsync retry {job.id}` downloads it again"
        await self.floor.ledger.write(lambda w: w.gave_up(job.seq, self.floor.run_id, code, message))
        self.floor.count_failure(job, code, message)

    async def _save(self, job: ClaimedJob, ordinal: int, link: Download, first: bool) -> str:
        known = None if first else await self.floor.ledger.read(lambda v: v.output(job.seq, ordinal))
        place = await to_thread.run_sync(_look, job, ordinal, await self._name(job, ordinal), known)
        if place.whole:
            return str(place.final)
        if place.arrived and place.size is not None:
            size = place.size
        else:
            await self.floor.storage[Lane.DOWNLOAD].opens()
            async with self.floor.transfers:
                size = await self._fetch(place, link)
        await to_thread.run_sync(saving.put_in_place, place.part, place.final, size)
        return str(place.final)

    async def _name(self, job: ClaimedJob, ordinal: int) -> str:
        """The name of the job's `ordinal`-th file: a further one never takes that of another job's file."""
        number = ordinal
        while True:
            name = saving.numbered(job.output, number)
            if ordinal == 0 or await self.floor.ledger.read(partial(_is_free, job=job, name=name)):
                return name
            number += 1

    async def _fetch(self, place: Place, link: Download) -> int:
        """Have the whole file under its temporary name, and its digest in the ledger; returns its size."""
        offset = 0
        if place.size and place.validator:
            offset = await to_thread.run_sync(lambda: _size(place.part) or 0)  # it may have waited for long
        try:
            (size, digest), validator = await self._read(place, link, offset)
        except VendorTrouble as failure:
            if failure.trouble.code in ("range_not_satisfiable", "bad_range", "no_length"):
                await to_thread.run_sync(lambda: place.part.unlink(missing_ok=True))
            raise
        self.floor.got_through(Lane.DOWNLOAD)
        run, final = self.floor.run_id, str(place.final)
        await self.floor.ledger.write(
            lambda w: w.output_whole(place.seq, run, place.ordinal, place.project_id, final, validator, size, digest)
        )
        return size

    async def _read(self, place: Place, link: Download, offset: int) -> tuple[tuple[int, str], str | None]:
        """Size and digest of the whole file, and its validator.

        One whose end isn't marked is whole if another reading says the same.
        """
        longest = (0, "")
        validator, clean = place.validator, place.size is None
        for _ in range(MOST_READINGS):
            async with AsyncExitStack() as stack:
                opened = partial(self._open, stack, link, offset, validator)
                body = await self.floor.storage[Lane.DOWNLOAD].ask(opened)
                if not body.offset and not clean:
                    await self._clear(place)
                announce = partial(self._announce, place, body.validator)
                got = await receive(place.part, body.offset, body.chunks(), announce)
            if body.proved or got == longest:
                return got, body.validator
            longest = max(longest, got)  # what was shorter was cut
            offset, validator, clean = 0, None, False
        message = "the storage doesn't say how long the file is, and no two readings of it gave the same"
        raise VendorTrouble(Trouble(Next.GARBAGE, "no_length", message))

    async def _open(self, stack: AsyncExitStack, link: Download, offset: int, validator: str | None) -> Body:
        """Ask for a file; `stack` closes it."""
        return await stack.enter_async_context(self.floor.vendor.download(link, offset=offset, validator=validator))

    async def _clear(self, place: Place) -> None:
        """Have nothing of another file in the way: a new validator must never stand beside its bytes."""
        if not await self.floor.ledger.read(lambda v: v.holds_lease(place.seq, self.floor.run_id)):
            raise LeaseLost(f"{place.final}: another process has taken it over, and what has arrived is its own")
        await to_thread.run_sync(lambda: place.part.unlink(missing_ok=True))

    async def _announce(self, place: Place, validator: str | None) -> None:
        """Have it written down that the bytes of a new beginning arrive."""
        run, final = self.floor.run_id, str(place.final)
        await self.floor.ledger.write(
            lambda w: w.output_started(place.seq, run, place.ordinal, place.project_id, final, validator)
        )


def _is_free(views: Views, *, job: ClaimedJob, name: str) -> bool:
    """Whether no other job's output has that name."""
    return views.known_jobs(job.output_dir).outputs([name]).get(name, job.id) == job.id


def _never_refused(trouble: Trouble) -> Trouble:
    """A file that is paid for is asked for again, whatever storage says; only patience or strikes end it."""
    if trouble.next is Next.REFUSED:
        return replace(trouble, next=Next.GARBAGE)
    return trouble


def _size(part: Path) -> int | None:
    try:
        return part.lstat().st_size
    except FileNotFoundError:
        return None


def _look(job: ClaimedJob, ordinal: int, name: str, known: SavedOutput | None) -> Place:
    """Where a file goes, and what a process before this one has left of it; blocking."""
    final = saving.target(job.output_dir, name)
    part = saving.part_of(final, job.token)
    if known is not None and (known.path, known.project_id) != (str(final), job.project_id):
        known = None
    whole = _holds(final, known)
    if whole:
        part.unlink(missing_ok=True)
    return Place(
        seq=job.seq,
        ordinal=ordinal,
        project_id=job.project_id or "",
        final=final,
        part=part,
        whole=whole,
        arrived=not whole and _holds(part, known),
        size=_size(part),
        validator=known.validator if known else None,
    )


def _holds(path: Path, known: SavedOutput | None) -> bool:
    """Whether the whole file is already there under `path`, because a process was killed just after it came."""
    if known is None or known.digest is None or path.is_symlink() or not path.is_file():
        return False
    return saving.digest_of(path) == known.digest
