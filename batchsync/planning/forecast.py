"""What a plan will come to: uploads, credits, money, time. What can't be known is None, never 0. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from batchsync.model.credits import clip_seconds, frames_cost
from batchsync.model.job import Mode, PlannedJob
from batchsync.model.renders import ENOUGH_RENDERS, USUAL_SECONDS
from batchsync.model.seen import Seen, Settled
from batchsync.planning.plan import Plan, Uploads
from batchsync.planning.pricing import Price


@dataclass(frozen=True, slots=True)
class Expected:
    """Credits in the end: None unless they are known of every job. `known` is the sum of those that can be told.

    `by_rate` jobs have a known frame rate, `by_ratio` one as other jobs of the ledger had, `unknown` none.
    """

    credits: int | None
    known: int
    by_rate: int
    by_ratio: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the jobs that are not submitted yet will take.

    `uploads` are the files that the vendor hasn't still, None where the account isn't known; `at_most` and
    `expected` are credits, dollars None without a price; `missing` is what the balance lacks, None where there is no
    balance. `seconds` is how long the vendor needs for `renders` renders, with `usual` seconds for one, which are
    this ledger's own median if `own`.
    """

    uploads: Uploads | None
    expected: Expected
    at_most: int | None
    used_this_month: int
    usd_estimated: Decimal | None
    usd_expected: Decimal | None
    balance: int | None
    missing: int | None
    tier: str | None
    renders: int
    max_in_flight: int
    usual: float
    own: bool
    seconds: float


def forecast(plan: Plan, seen: Seen, price: Price | None, balance: int | None, max_in_flight: int) -> Forecast:
    """Foresee what `plan` will come to, with `max_in_flight` jobs at the vendor at once."""
    expected = expect(plan.waiting, seen.settled)
    # What came back of last month's charges doesn't make this month's first credits cheaper.
    estimated, used = plan.credits_estimated, max(0, seen.used_this_month)
    needed = max(estimated, expected.known)
    renders = len(plan.waiting) + plan.rendering
    own = seen.render_seconds is not None and seen.renders >= ENOUGH_RENDERS
    usual = seen.render_seconds if own and seen.render_seconds is not None else USUAL_SECONDS
    return Forecast(
        uploads=_left(plan, seen),
        expected=expected,
        at_most=plan.credits_worst if all(_is_bounded(job) for job in plan.waiting) else None,
        used_this_month=used,
        usd_estimated=price.usd(estimated, used) if price else None,
        usd_expected=price.usd(expected.credits, used) if price and expected.credits is not None else None,
        balance=balance,
        missing=None if balance is None else max(0, needed - balance),
        tier=seen.tier,
        renders=renders,
        max_in_flight=max_in_flight,
        usual=usual,
        own=own,
        seconds=math.ceil(renders / max_in_flight) * usual,
    )


def _left(plan: Plan, seen: Seen) -> Uploads | None:
    there = seen.at_vendor
    if there is None:
        return None if plan.files else Uploads(0, 0)
    sizes = [size for key, size in plan.files.items() if key not in there]
    return Uploads(len(sizes), sum(sizes))


def _is_bounded(job: PlannedJob) -> bool:
    return _fps(job) is not None or job.spec.max_fps_limit is not None


def _fps(job: PlannedJob) -> float | None:
    return job.video.fps if job.video is not None else None


# --- credits in the end ---

_Kind = tuple[float, float, Mode, float | None, float | None, int]


def expect(jobs: tuple[PlannedJob, ...], settled: Mapping[Mode, Settled]) -> Expected:
    """The credits that `jobs` will have taken in the end: at their frame rates, or at what others `settled` at."""
    kinds: Counter[_Kind] = Counter(
        (j.spec.start_seconds, j.end_seconds, j.spec.generation_mode, j.spec.max_fps_limit, _fps(j), j.estimate)
        for j in jobs
    )
    total, counts = Fraction(0), {"by_rate": 0, "by_ratio": 0, "unknown": 0}
    for kind, count in kinds.items():
        how, credits = _expected(*kind, settled=settled)
        counts[how] += count
        total += credits * count
    known = math.ceil(total)
    return Expected(None if counts["unknown"] else known, known, **counts)


def _expected(
    start: float,
    end: float,
    mode: Mode,
    limit: float | None,
    fps: float | None,
    estimate: int,
    *,
    settled: Mapping[Mode, Settled],
) -> tuple[str, Fraction]:
    """The credits of one job, and how they are known."""
    seconds = clip_seconds(start, end)
    if fps is not None:
        return "by_rate", Fraction(frames_cost(seconds, min(fps, limit or fps), mode))
    ratio = settled.get(mode)
    if ratio is None:
        return "unknown", Fraction(0)
    credits = Fraction(estimate * ratio.settled, ratio.estimated)
    return "by_ratio", credits if limit is None else min(credits, Fraction(frames_cost(seconds, limit, mode)))
