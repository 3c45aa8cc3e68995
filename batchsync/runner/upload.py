"""The upload stage: brings a job's files to the vendor, each content once, and remembers that they are there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

import anyio
from anyio import to_thread

from batchsync.ledger.claims import ClaimedJob
from batchsync.model.job import SourceKind
from batchsync.model.states import State
from batchsync.runner.floor import LEASE_SECONDS, Floor, Lane
from batchsync.runner.reading import Changed, read_checked
from batchsync.runner.stage import LOOK_SECONDS, Stage
from batchsync.vendor.port import Next, Trouble, UploadSlot, VendorTrouble

KEPT_SECONDS = 7 * 24 * 3600.0  # how long the vendor keeps an upload
REUSE_MARGIN_SECONDS = 12 * 3600.0  # an upload is used again only while it is sure to outlive the night
JOBS_PER_TRANSFER = 4  # jobs that share a file wait for one upload: more jobs than transfers keep the line busy

Kind = Literal["video", "audio"]


@dataclass(frozen=True, slots=True)
class Asset:
    """A local file that a job needs at the vendor."""

    kind: Kind
    path: str
    digest: str

    @property
    def extension(self) -> str:
        return Path(self.path).suffix.lower().removeprefix(".")


@dataclass(frozen=True, slots=True)
class AtVendor:
    """Where the vendor has an input, and until when (None: it is not ours to expire)."""

    path: str
    until: float | None


class Uploads:
    """Uploads the inputs of jobs."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self._known: dict[tuple[str, str], AtVendor] = {}
        self._locks: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    def stage(self) -> Stage[ClaimedJob]:
        """The stage that brings jobs from `planned` to `uploaded`."""
        floor = self.floor
        # Files of jobs that may never be submitted tonight are not worth their upload.
        ahead = max(32, floor.options.max_in_flight)

        async def claim(free: int) -> Sequence[ClaimedJob]:
            return await floor.ledger.write(
                lambda w: w.claim_uploads(floor.run_id, free, LEASE_SECONDS, ahead, within=LOOK_SECONDS)
            )

        capacity = floor.options.transfers * JOBS_PER_TRANSFER
        return Stage(State.PLANNED, floor, capacity, claim, self.work, lambda: floor.open)

    async def work(self, job: ClaimedJob) -> None:
        """Bring one job's files to the vendor."""
        try:
            video, audio = await self._inputs(job)
        except VendorTrouble as failure:
            await self.floor.failed(job, failure.trouble, Lane.UPLOAD)
            return
        until = min((asset.until for asset in (video, audio) if asset.until is not None), default=None)
        await self.floor.ledger.write(
            lambda w: w.assets_ready(job.seq, self.floor.run_id, video.path, audio.path, until)
        )
        if not self.floor.full:
            self.floor.ring(State.UPLOADED)

    async def _inputs(self, job: ClaimedJob) -> tuple[AtVendor, AtVendor]:
        video = _asset("video", job.video_kind, job.video, job.video_digest)
        audio = _asset("audio", job.audio_kind, job.audio, job.audio_digest)
        local = [asset for asset in (video, audio) if asset is not None]
        found = dict(zip(local, await self._bring(local), strict=True))
        return (
            found[video] if video else AtVendor(job.video, None),
            found[audio] if audio else AtVendor(job.audio, None),
        )

    async def _bring(self, assets: Sequence[Asset]) -> list[AtVendor]:
        """Have each of `assets` at the vendor, whoever brings it; jobs that need the same one wait for one upload."""
        async with AsyncExitStack() as stack:
            # In one order, so that two jobs never wait for each other.
            for key in sorted({(asset.digest, asset.kind) for asset in assets}):
                await stack.enter_async_context(self._locks.setdefault(key, anyio.Lock()))
            missing = [asset for asset in assets if await self._find(asset) is None]
            if missing:
                await self._upload(missing)
            return [self._known[asset.digest, asset.kind] for asset in assets]

    async def _find(self, asset: Asset) -> AtVendor | None:
        until = self.floor.clock.now() + REUSE_MARGIN_SECONDS
        known = self._known.get((asset.digest, asset.kind))
        if known is not None and known.until is not None and known.until > until:
            return known
        scope = self.floor.upload_scope
        row = await self.floor.ledger.read(lambda v: v.upload(scope, asset.digest, asset.kind, until))
        if row is None:
            return None
        self._known[asset.digest, asset.kind] = AtVendor(*row)
        return self._known[asset.digest, asset.kind]

    async def _upload(self, assets: Sequence[Asset]) -> None:
        wanted = [(asset.kind, asset.extension) for asset in assets]
        slots = await self._slots(wanted)
        failures: list[Exception] = []

        async def send(asset: Asset, slot: UploadSlot) -> None:
            try:
                await self._send(asset, slot)
            except Exception as failure:  # one file's trouble doesn't undo the other's upload
                failures.append(failure)

        async with anyio.create_task_group() as tasks:
            for asset, slot in zip(assets, slots, strict=True):
                tasks.start_soon(send, asset, slot)
        if failures:
            raise failures[0]

    async def _slots(self, wanted: Sequence[tuple[Kind, str]]) -> list[UploadSlot]:
        return await self.floor.ask(lambda: self.floor.vendor.upload_slots(wanted))

    async def _send(self, asset: Asset, slot: UploadSlot) -> None:
        async with self.floor.transfers:
            try:
                size = (await to_thread.run_sync(Path(asset.path).stat)).st_size
                try:
                    await self._put(asset, slot, size)
                except VendorTrouble as failure:
                    if failure.trouble.next is not Next.GONE:
                        raise
                    # Its URL ran out while it waited for its turn: that is nobody's fault.
                    (slot,) = await self._slots([(asset.kind, asset.extension)])
                    await self._put(asset, slot, size)
            except (OSError, Changed) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                raise VendorTrouble(
                    Trouble(Next.REFUSED, "input_changed", f"{asset.path}: {reason or error}; nothing was charged")
                ) from None
        self.floor.got_through(Lane.UPLOAD)
        until = self.floor.clock.now() + KEPT_SECONDS
        scope = self.floor.upload_scope
        await self.floor.ledger.write(
            lambda w: w.uploaded(scope, asset.digest, asset.kind, size, slot.file_path, until)
        )
        self._known[asset.digest, asset.kind] = AtVendor(slot.file_path, until)

    async def _put(self, asset: Asset, slot: UploadSlot, size: int) -> None:
        async with aclosing(read_checked(Path(asset.path), size, asset.digest)) as chunks:
            await self.floor.vendor.put(slot, chunks, size)


def _asset(kind: Kind, source: str, value: str, digest: str | None) -> Asset | None:
    if source != SourceKind.FILE.value or digest is None:
        return None
    return Asset(kind, value, digest)
