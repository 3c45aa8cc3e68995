"""The download stage: brings finished files here, whole, and goes on with what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from anyio import to_thread

from batchsync.errors import DiskFull, LeaseLost, OutputError
from batchsync.ledger.claims import ClaimedJob
from batchsync.ledger.views import SavedOutput, Views
from batchsync.model.states import State
from batchsync.runner import saving
from batchsync.runner.floor import LEASE_SECONDS, Floor, Lane
from batchsync.runner.stage import LOOK_SECONDS, Stage
from batchsync.vendor.port import Body, Download, Next, Trouble, VendorTrouble

PIECE_BYTES = 1 << 20
MOST_READINGS = 4  # of a file whose end can't be told from a cut, before the try counts as failed
JOBS_PER_TRANSFER = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where one file of a job goes, and under which name it arrives."""

    seq: int
    ordinal: int
    project_id: str
    final: Path
    part: Path


class Downloads:
    """Saves the files of finished renders."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor

    def stage(self) -> Stage[ClaimedJob]:
        """The stage that brings jobs from `rendered` to `complete`."""
        capacity = self.floor.options.transfers * JOBS_PER_TRANSFER
        return Stage(State.RENDERED, self.floor, capacity, self.claim, self.work)

    async def claim(self, free: int) -> Sequence[ClaimedJob]:
        """Jobs that lie in the ledger; others are handed over by the follow stage."""
        floor = self.floor
        return await floor.ledger.write(
            lambda w: w.claim(floor.run_id, State.RENDERED, free, LEASE_SECONDS, within=LOOK_SECONDS)
        )

    async def work(self, job: ClaimedJob) -> None:
        """Save all files of one job."""
        floor = self.floor
        links = floor.links.pop(job.seq, None)
        if links is None or links.have_expired(floor.clock.now()):
            await floor.ledger.write(lambda w: w.look_again(job.seq, floor.run_id))
            floor.ring(State.RENDERING)
            return
        try:
            paths = [await self._save(job, ordinal, link) for ordinal, link in enumerate(links.files)]
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

    async def _give_up(self, job: ClaimedJob, code: str, message: str) -> None:
        message = f"{message}; it is rendered and paid for, and `batchsync retry {job.id}` downloads it again"
        await self.floor.ledger.write(lambda w: w.gave_up(job.seq, self.floor.run_id, code, message))
        self.floor.count_failure(job, code, message)

    async def _save(self, job: ClaimedJob, ordinal: int, link: Download) -> str:
        known = await self.floor.ledger.read(lambda v: v.output(job.seq, ordinal))
        final = await self._target(job, ordinal)
        place = Place(job.seq, ordinal, job.project_id or "", final, saving.part_of(final, job.token))
        if known is not None and (known.path, known.project_id) != (str(final), place.project_id):
            known = None
        if await to_thread.run_sync(_holds, final, known):
            await to_thread.run_sync(lambda: place.part.unlink(missing_ok=True))
            return str(final)
        if await to_thread.run_sync(_holds, place.part, known):
            size = await to_thread.run_sync(_size, place.part)
        else:
            async with self.floor.transfers:
                size = await self._fetch(place, link, known)
        await to_thread.run_sync(saving.put_in_place, place.part, final, size)
        return str(final)

    async def _target(self, job: ClaimedJob, ordinal: int) -> Path:
        """Where the job's `ordinal`-th file goes: a further one never takes the name that another job's file has."""
        output, number = job.output, ordinal
        while True:
            name = saving.numbered(output, number)
            if ordinal == 0 or await self.floor.ledger.read(partial(_is_free, job=job, name=name)):
                return await to_thread.run_sync(saving.target, job.output_dir, name)
            number += 1

    async def _fetch(self, place: Place, link: Download, known: SavedOutput | None) -> int:
        """Have the whole file under its temporary name, and its digest in the ledger; returns its size."""
        offset, validator = 0, None
        if known is not None and known.validator:
            validator = known.validator
            offset = await to_thread.run_sync(_size, place.part)
        try:
            size, digest = await self._read(place, link, offset, validator)
        except VendorTrouble as failure:
            if failure.trouble.code in ("range_not_satisfiable", "bad_range", "no_length"):
                await to_thread.run_sync(lambda: place.part.unlink(missing_ok=True))
            raise
        self.floor.got_through(Lane.DOWNLOAD)
        await self.floor.ledger.write(
            lambda w: w.output_whole(place.seq, self.floor.run_id, place.ordinal, size, digest)
        )
        return size

    async def _read(self, place: Place, link: Download, offset: int, validator: str | None) -> tuple[int, str]:
        """Size and digest of the whole file. One whose end isn't marked is whole if another reading says the same."""
        longest = (0, "")
        for _ in range(MOST_READINGS):
            async with self.floor.vendor.download(link, offset=offset, validator=validator) as body:
                got = await self._receive(place, body)
            if body.proved or got == longest:
                return got
            longest = max(longest, got)  # what was shorter was cut
            offset, validator = 0, None
        message = "the storage doesn't say how long the file is, and no two readings of it gave the same"
        raise VendorTrouble(Trouble(Next.GARBAGE, "no_length", message))

    async def _begin_anew(self, place: Place, validator: str | None) -> None:
        run = self.floor.run_id
        if not await self.floor.ledger.read(lambda v: v.holds_lease(place.seq, run)):
            raise LeaseLost(f"{place.final}: another process has taken it over, and what has arrived is that one's")
        # Before the new validator is written down: it must never stand beside the bytes of another file.
        await to_thread.run_sync(lambda: place.part.unlink(missing_ok=True))
        await self.floor.ledger.write(
            lambda w: w.output_started(place.seq, run, place.ordinal, place.project_id, str(place.final), validator)
        )

    async def _receive(self, place: Place, body: Body) -> tuple[int, str]:
        if not body.offset:
            await self._begin_anew(place, body.validator)
        part = await to_thread.run_sync(saving.Part, place.part, body.offset)
        held = bytearray()
        try:
            async for chunk in body.chunks():
                held += chunk
                if len(held) >= PIECE_BYTES:
                    data, held = bytes(held), bytearray()
                    await to_thread.run_sync(part.write, data)
            await to_thread.run_sync(part.write, bytes(held))
            held = bytearray()
            if not part.size:
                raise VendorTrouble(Trouble(Next.GARBAGE, "empty_output", "the vendor sent an empty file"))
            return part.size, await to_thread.run_sync(part.sync)
        finally:
            with suppress(OSError):  # what came before the cut is where the next try goes on
                part.write(bytes(held))
            part.close()


def _is_free(views: Views, *, job: ClaimedJob, name: str) -> bool:
    """Whether no other job's output has that name."""
    return views.known_jobs(job.output_dir).outputs([name]).get(name, job.id) == job.id


def _never_refused(trouble: Trouble) -> Trouble:
    """A file that is paid for is asked for again, whatever storage says; only patience or strikes end it."""
    if trouble.next is Next.REFUSED:
        return replace(trouble, next=Next.GARBAGE)
    return trouble


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _holds(path: Path, known: SavedOutput | None) -> bool:
    """Whether the whole file is already there under `path`, because a process was killed just after it came."""
    if known is None or known.digest is None or path.is_symlink() or not path.is_file():
        return False
    return saving.digest_of(path) == known.digest
