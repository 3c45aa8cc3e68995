"""Credits: the kinds of ledger entries and their sums. Whole numbers only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from batchsync.model.job import Mode
from batchsync.model.states import Effect

ESTIMATE_FPS = 30
CREDITS_PER_FRAME = {Mode.LITE: 1, Mode.STANDARD: 1, Mode.PRO: 2}


class EntryKind(StrEnum):
    """Why credits moved. `reserve` and `release` are our own caution and cancel out; the others are money."""

    RESERVE = "reserve"  # + before a submission leaves: what it may cost
    RELEASE = "release"  # − when that is no longer at risk
    CHARGE = "charge"  # + what the vendor said it took when it made the project
    SETTLE = "settle"  # ± what the vendor restated while it rendered, or in the end
    REFUND = "refund"  # − what it gave back for a failed or canceled project


MONEY_KINDS = (EntryKind.CHARGE, EntryKind.SETTLE, EntryKind.REFUND)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over entries. `charged` is what finished or running projects cost, `refunded` what came back."""

    estimated: int = 0
    charged: int = 0
    refunded: int = 0
    reserved: int = 0

    @property
    def net(self) -> int:
        return self.charged - self.refunded


def totals(entries: Iterable[tuple[str, int]], estimated: int = 0) -> Totals:
    """Sum (kind, amount) pairs; amounts are signed as they stand in the ledger."""
    sums = dict.fromkeys(EntryKind, 0)
    for kind, amount in entries:
        sums[EntryKind(kind)] += amount
    return Totals(
        estimated=estimated,
        charged=sums[EntryKind.CHARGE] + sums[EntryKind.SETTLE],
        refunded=-sums[EntryKind.REFUND],
        reserved=sums[EntryKind.RESERVE] + sums[EntryKind.RELEASE],
    )


def frames_cost(seconds: float, fps: float, mode: Mode) -> int:
    """Credits for `seconds` of video at `fps`; part frames count as whole ones, as nothing says otherwise."""
    # Fractions of the decimal text: 0.1 s × 30 must be 3 frames, not 3.0000000000000004 rounded up to 4.
    frames = math.ceil(Fraction(repr(float(seconds))) * Fraction(repr(float(fps))))
    return frames * CREDITS_PER_FRAME[mode]


def estimate(start: float, end: float, mode: Mode) -> int:
    """What the vendor takes at submission: it counts 30 frames per second whatever the video has."""
    return frames_cost(clip_seconds(start, end), ESTIMATE_FPS, mode)


def worst(start: float, end: float, mode: Mode, max_fps: float | None, source_fps: float | None) -> int:
    """The most a job may cost: at the true frame rate where known, and never less than the first estimate.

    Whether `max_fps_limit` lowers the vendor's first estimate isn't documented, so it doesn't lower this one.
    """
    if source_fps is not None and max_fps is not None:
        fps = min(source_fps, max_fps)
    else:
        fps = source_fps or max_fps or ESTIMATE_FPS
    return frames_cost(clip_seconds(start, end), max(ESTIMATE_FPS, fps), mode)


def clip_seconds(start: float, end: float) -> float:
    """The length of a clip, as its decimal texts say: 1.1 − 1.0 is 0.1."""
    return float(Fraction(repr(float(end))) - Fraction(repr(float(start))))


@dataclass(frozen=True, slots=True)
class Stake:
    """What one job has at stake: what is reserved, what its present project has cost so far, the most it may cost."""

    reserved: int
    project: int
    worst: int
    estimate: int


@dataclass(frozen=True, slots=True)
class Movement:
    """The entries that an event brings, and the job's stake after it."""

    entries: tuple[tuple[EntryKind, int], ...]
    reserved: int
    project: int

    @property
    def money(self) -> int:
        return sum(amount for kind, amount in self.entries if kind in MONEY_KINDS)


def move(effect: Effect, stake: Stake, stated: int | None = None) -> Movement:
    """What an event with `effect` does to credits; `stated` is the vendor's figure for the project, if it gave one.

    After it, the project's entries sum up to `stated`. While a project renders, what it may still cost beyond
    that stays reserved, so that the sum of all entries is the most that can have been spent.
    """
    reserved, project = stake.reserved, stake.project
    entries: list[tuple[EntryKind, int]] = []
    if effect is Effect.RESERVE:
        entries.append((EntryKind.RESERVE, stake.worst - reserved))
        reserved = stake.worst
    elif effect is Effect.FOLLOW:
        entries.append((EntryKind.RESERVE, max(reserved, stake.worst - project, 0) - reserved))
        reserved += entries[-1][1]
    elif effect is Effect.CHARGE:
        project = stake.estimate if stated is None else stated
        entries.append((EntryKind.CHARGE, project))
    elif effect is Effect.UNCHARGE:
        entries += [(EntryKind.SETTLE, -project), (EntryKind.RESERVE, stake.worst - reserved)]
        reserved, project = stake.worst, 0
    elif effect in (Effect.ADJUST, Effect.SETTLE, Effect.REFUND) and stated is not None:
        refunded = effect is Effect.REFUND and stated < project
        entries.append((EntryKind.REFUND if refunded else EntryKind.SETTLE, stated - project))
        project = stated
    if effect is Effect.CHARGE:
        kept = max(0, stake.worst - project)
    elif effect is Effect.ADJUST:
        kept = min(reserved, max(0, stake.worst - project))
    elif effect in (Effect.RELEASE, Effect.SETTLE, Effect.REFUND):
        kept = 0
    else:
        kept = reserved
    entries.append((EntryKind.RELEASE if kept < reserved else EntryKind.RESERVE, kept - reserved))
    return Movement(tuple((kind, amount) for kind, amount in entries if amount), kept, project)
