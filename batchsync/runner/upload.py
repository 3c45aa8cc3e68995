"""The upload stage: brings a job's files to the vendor, each content once, and remembers that they are there."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
from anyio import to_thread

from batchsync.ledger.claims import ClaimedJob
from batchsync.ledger.views import Views
from batchsync.model.job import MediaFacts, SourceKind
from batchsync.model.states import State
from batchsync.runner.floor import LEASE_SECONDS, Floor, Lane
from batchsync.runner.reading import Changed, Source, pieces
from batchsync.runner.slots import Given, Item, Kind, Slots
from batchsync.runner.stage import LOOK_SECONDS, Stage
from batchsync.runner.telling import told
from batchsync.vendor.port import Next, Trouble, VendorTrouble

log = logging.getLogger("batchsync.run")

KEPT_SECONDS = 7 * 24 * 3600.0  # how long the vendor keeps an upload
REUSE_MARGIN_SECONDS = 12 * 3600.0  # an upload is used again only while it is sure to outlive the night
OUTLIVED = "upload_too_slow"  # another URL, as short-lived, would do no better at once
JOBS_PER_TRANSFER = 4  # those that wait for their turn keep the line busy while others ask for their URLs


@dataclass(frozen=True, slots=True)
class Asset:
    """A local file that a job needs at the vendor."""

    kind: Kind
    path: str
    digest: str

    @property
    def item(self) -> Item:
        """What an upload URL is asked for with."""
        return self.kind, Path(self.path).suffix.lower().removeprefix(".")


@dataclass(frozen=True, slots=True)
class AtVendor:
    """Where the vendor has an input, and until when (infinity: it is not ours to expire)."""

    path: str
    until: float


class Uploads:
    """Uploads the inputs of jobs. Which job brings a content that many share, the ledger's claim decides."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self._slots = Slots(floor)

    def stage(self) -> Stage[ClaimedJob]:
        """The stage that brings jobs from `planned` to `uploaded`."""
        capacity = self.floor.options.transfers * JOBS_PER_TRANSFER
        return Stage(State.PLANNED, self.floor, capacity, self.claim, self.work, lambda: self.floor.open)

    async def claim(self, free: int) -> Sequence[ClaimedJob]:
        """Jobs whose files nobody else is bringing: several, so that they ask for their URLs together."""
        floor = self.floor
        if free < floor.options.transfers:
            return ()
        ahead, scope = floor.ahead, floor.scope
        until = floor.clock.now() + REUSE_MARGIN_SECONDS
        got = await floor.ledger.write(
            lambda w: w.claim_uploads(floor.run_id, free, LEASE_SECONDS, ahead, scope, until, within=LOOK_SECONDS)
        )
        if got.ready:
            floor.ring(State.UPLOADED)
            floor.ring(State.PLANNED)  # there may be more of them
        return got.jobs

    async def work(self, job: ClaimedJob) -> None:
        """Bring one job's files to the vendor."""
        try:
            video, audio = await self._inputs(job)
        except VendorTrouble as failure:
            await self.floor.failed(job, failure.trouble, Lane.UPLOAD)
            return
        until = min(video.until, audio.until)
        ends = None if math.isinf(until) else until
        await self.floor.ledger.write(
            lambda w: w.assets_ready(job.seq, self.floor.run_id, video.path, audio.path, ends)
        )
        if not self.floor.full:
            self.floor.ring(State.UPLOADED)
        self.floor.ring(State.PLANNED)  # others may have waited for these files

    async def _inputs(self, job: ClaimedJob) -> tuple[AtVendor, AtVendor]:
        video = _asset("video", job.video_kind, job.video, job.video_digest)
        audio = _asset("audio", job.audio_kind, job.audio, job.audio_digest)
        local = [asset for asset in (video, audio) if asset is not None]
        there, facts = await self._find(local)
        missing = [asset for asset in local if asset not in there]
        if missing:
            there |= await self._upload(missing, facts)
        return (
            there[video] if video else AtVendor(job.video, math.inf),
            there[audio] if audio else AtVendor(job.audio, math.inf),
        )

    async def _find(self, assets: Sequence[Asset]) -> tuple[dict[Asset, AtVendor], dict[str, MediaFacts]]:
        """Those of `assets` that are at the vendor, and stay there for long enough; of all, what the plan saw."""
        scope, until = self.floor.scope, self.floor.clock.now() + REUSE_MARGIN_SECONDS

        def look(views: Views) -> tuple[dict[Asset, AtVendor], dict[str, MediaFacts]]:
            rows = {asset: views.upload(scope, asset.digest, asset.kind, until) for asset in assets}
            there = {asset: AtVendor(*row) for asset, row in rows.items() if row is not None}
            return there, views.media([asset.path for asset in assets])

        return await self.floor.ledger.read(look) if assets else ({}, {})

    async def _upload(self, assets: Sequence[Asset], facts: Mapping[str, MediaFacts]) -> dict[Asset, AtVendor]:
        slots = await self._slots.get([asset.item for asset in assets])
        done: dict[Asset, AtVendor] = {}
        failures: list[Exception] = []

        async def send(asset: Asset, given: Given) -> None:
            try:
                done[asset] = await self._send(asset, given, facts.get(asset.path))
            except Exception as failure:  # one file's trouble doesn't undo the other's upload
                failures.append(failure)

        async with anyio.create_task_group() as tasks:
            for asset, given in zip(assets, slots, strict=True):
                tasks.start_soon(send, asset, given)
        if failures:
            raise failures[0]
        return done

    async def _send(self, asset: Asset, given: Given, known: MediaFacts | None) -> AtVendor:
        floor = self.floor

        async def ready() -> None:
            # Its URL may have run out while it waited for its turn: that is nobody's fault.
            nonlocal given
            if given.has_expired(floor.clock.now()):
                (given,) = await self._slots.get([asset.item])

        async def put() -> int:
            return await self._put(asset, given, known)

        storage = floor.storage[Lane.UPLOAD]
        await storage.opens()
        async with floor.transfers:
            try:
                size = await storage.ask(put, ready)
            except VendorTrouble as failure:
                if failure.trouble.next is not Next.GONE or failure.trouble.code == OUTLIVED:
                    raise
                (given,) = await self._slots.get([asset.item])
                size = await storage.ask(put, ready)
        floor.got_through(Lane.UPLOAD)
        log.info("uploaded %s", asset.path, extra=told("uploaded", file=asset.path, bytes=size))
        there = AtVendor(given.slot.file_path, floor.clock.now() + KEPT_SECONDS)
        await floor.ledger.write(
            lambda w: w.uploaded(floor.scope, asset.digest, asset.kind, size, there.path, there.until)
        )
        return there

    async def _put(self, asset: Asset, given: Given, known: MediaFacts | None) -> int:
        """Send one file, as it was planned; returns its size."""
        began = self.floor.clock.now()
        try:
            source = await to_thread.run_sync(Source, Path(asset.path), asset.digest, known)
            with closing(source):
                async with aclosing(pieces(source)) as chunks:
                    await self.floor.vendor.put(given.slot, chunks, source.size)
        except (OSError, Changed) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise VendorTrouble(
                Trouble(Next.REFUSED, "input_changed", f"{asset.path}: {reason or error}; nothing was charged")
            ) from None
        except VendorTrouble as failure:
            if failure.trouble.next is Next.GONE and began < given.slot.expires_at <= self.floor.clock.now():
                words = f"{asset.path}: the upload takes longer than its URL is good for; fewer --transfers may help"
                raise VendorTrouble(replace(failure.trouble, code=OUTLIVED, message=words)) from None
            raise
        return source.size


def _asset(kind: Kind, source: str, value: str, digest: str | None) -> Asset | None:
    if source != SourceKind.FILE.value or digest is None:
        return None
    return Asset(kind, value, digest)
