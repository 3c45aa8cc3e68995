"""How many looks a night's jobs take, and how long finished renders wait to be noticed: on a simulated clock.

    python tests/bench/night.py [jobs]

Each line is a night of so many jobs, some hundred in flight. The schedule and the pace are those of a run; beside
them, on the same renders: the backoff that the vendor's documentation shows, and its own client.
"""

from __future__ import annotations

import heapq
import math
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import NormalDist, mean
from typing import Protocol

from limits import Bucket, Free

from batchsync.model.renders import RenderKind
from batchsync.runner.pace import Pace
from batchsync.runner.schedule import Schedule

JOBS = 10_000
IN_FLIGHT = 200
SUBMIT_SECONDS = 0.1  # between two submissions at the night's start
USUAL = 229.0


@dataclass(frozen=True, slots=True)
class Render:
    """What a job will turn out to be: its kind, and the seconds from its submission to its end."""

    kind: RenderKind
    seconds: float


class Looker(Protocol):
    """Says when to look at a render, as the runner's Schedule does."""

    def first_look(self, seq: int, kind: RenderKind, submitted_at: float) -> float: ...

    def next_look(self, seq: int, kind: RenderKind, submitted_at: float, now: float) -> float: ...

    def ended(self, seq: int, kind: RenderKind, submitted_at: float, now: float) -> bool: ...

    def sooner(self, seq: int, kind: RenderKind, submitted_at: float, at: float, now: float) -> float: ...


class Fixed:
    """Gaps that don't learn: from the first, each `growth` times as long as the one before, up to the `longest`."""

    def __init__(self, first: float, growth: float, longest: float) -> None:
        self.first, self.growth, self.longest = first, growth, longest
        self._gaps: dict[int, float] = {}

    def first_look(self, seq: int, kind: RenderKind, submitted_at: float) -> float:
        self._gaps[seq] = self.first
        return submitted_at + self.first

    def next_look(self, seq: int, kind: RenderKind, submitted_at: float, now: float) -> float:
        self._gaps[seq] = min(self._gaps[seq] * self.growth, self.longest)
        return now + self._gaps[seq]

    def ended(self, seq: int, kind: RenderKind, submitted_at: float, now: float) -> bool:
        del self._gaps[seq]
        return False

    def sooner(self, seq: int, kind: RenderKind, submitted_at: float, at: float, now: float) -> float:
        return at


@dataclass(slots=True)
class Tally:
    """What the vendor's side counts."""

    looks: int = 0
    refused: int = 0
    lags: list[float] = field(default_factory=list)
    first_looks: int = 0  # the first wave's: renders that were submitted before any other was done
    first_lags: list[float] = field(default_factory=list)
    ended_at: float = 0.0

    def __str__(self) -> str:
        lags = sorted(self.lags)
        high = lags[int(len(lags) * 0.95)]
        return f"{self.looks / len(lags):7.1f} {mean(lags):7.1f} {high:7.1f}"


class Night:
    """One night: `jobs` renders, at most `in_flight` at a time; requests go as the pace lets them."""

    def __init__(
        self,
        looker: Looker,
        renders: Iterator[Render],
        jobs: int,
        limit: float | None = None,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self.looker, self.renders, self.left = looker, renders, jobs
        self.limit = Bucket(limit, limit) if limit else Free()
        self.pace = Pace(None, 0.0) if limit else None
        self.tally = Tally()
        self._submitted: dict[int, tuple[Render, float]] = {}
        self._due: list[tuple[float, int]] = []  # looks, as (when, seq)
        self._submissions: deque[float] = deque(n * SUBMIT_SECONDS for n in range(min(jobs, in_flight)))
        self._later = jobs - len(self._submissions)  # a render of a later wave has a number up to this

    def __call__(self) -> Tally:
        now = 0.0
        while self._due or self._submissions:
            submits = bool(self._submissions) and (not self._due or self._submissions[0] <= max(now, self._due[0][0]))
            now = max(now, self._submissions[0] if submits else self._due[0][0])
            while self.pace is not None and not self.pace.take(now):
                now += max(self.pace.wait(now), 1e-3)
            answered = self.limit.admit(now)
            if self.pace is not None and answered:
                self.pace.succeeded(now, now)
            elif self.pace is not None:
                self.pace.limited(now, now, None)
            self.tally.refused += not answered
            if submits and answered:
                self._submit(now)
            elif not submits:
                self._look(now, answered)
        self.tally.ended_at = now
        return self.tally

    def _submit(self, now: float) -> None:
        self._submissions.popleft()
        seq, self.left = self.left, self.left - 1
        render = next(self.renders)
        self._submitted[seq] = render, now
        heapq.heappush(self._due, (self.looker.first_look(seq, render.kind, now), seq))

    def _look(self, now: float, answered: bool) -> None:
        self.tally.looks += 1
        if not answered:
            return
        _, seq = heapq.heappop(self._due)
        render, submitted_at = self._submitted[seq]
        self.tally.first_looks += seq > self._later
        if now < submitted_at + render.seconds:
            heapq.heappush(self._due, (self.looker.next_look(seq, render.kind, submitted_at, now), seq))
            return
        lag = now - submitted_at - render.seconds
        self.tally.lags.append(lag)
        if seq > self._later:
            self.tally.first_lags.append(lag)
        if self.looker.ended(seq, render.kind, submitted_at, now):
            self._due = [(self._sooner(seq, at, now), seq) for at, seq in self._due]
            heapq.heapify(self._due)
        if self.left > len(self._submissions):
            self._submissions.append(now)

    def _sooner(self, seq: int, at: float, now: float) -> float:
        render, submitted_at = self._submitted[seq]
        return self.looker.sooner(seq, render.kind, submitted_at, at, now)


# --- renders ---

Dice = random.Random
Vendor = Callable[[Dice, int], Iterator[Render]]
CLIP = RenderKind("lite", 10.0)


def spread(dice: Dice, median: float, sigma: float) -> float:
    return median * math.exp(sigma * dice.gauss(0.0, 1.0))


def usual(median: float, sigma: float) -> Vendor:
    """Lognormal times."""
    return lambda dice, jobs: (Render(CLIP, spread(dice, median, sigma)) for _ in range(jobs))


def two_kinds(dice: Dice, jobs: int) -> Iterator[Render]:
    """Half of them short, half long, and nothing tells which."""
    return (Render(CLIP, spread(dice, dice.choice((60.0, 400.0)), 0.1)) for _ in range(jobs))


def by_length(dice: Dice, jobs: int) -> Iterator[Render]:
    """Ten seconds, and four for each of the clip's."""
    for _ in range(jobs):
        clip = math.exp(dice.uniform(math.log(3.0), math.log(120.0)))
        yield Render(RenderKind("lite", clip), 10.0 + spread(dice, 4.0 * clip, 0.2))


def by_mode(dice: Dice, jobs: int) -> Iterator[Render]:
    """Three modes, the slowest six times as slow as the fastest."""
    medians = {"lite": 100.0, "standard": USUAL, "pro": 600.0}
    for _ in range(jobs):
        mode, clip = dice.choice(list(medians)), dice.uniform(3.0, 60.0)
        yield Render(RenderKind(mode, clip), spread(dice, medians[mode], 0.3))


def slower(sigma: float) -> Vendor:
    """Three times as slow for the middle third of the night."""

    def renders(dice: Dice, jobs: int) -> Iterator[Render]:
        for n in range(jobs):
            yield Render(CLIP, spread(dice, USUAL * (3 if jobs // 3 < n < 2 * jobs // 3 else 1), sigma))

    return renders


def queue(dice: Dice, jobs: int) -> Iterator[Render]:
    """The vendor renders half of what is in flight, and lets the rest wait for it."""
    free = [0.0] * (IN_FLIGHT // 2)
    ends: list[float] = []
    for n in range(jobs):
        now = n * SUBMIT_SECONDS if n < IN_FLIGHT else heapq.heappop(ends)
        end = max(now, heapq.heappop(free)) + spread(dice, USUAL, 0.3)
        heapq.heappush(free, end)
        heapq.heappush(ends, end)
        yield Render(CLIP, end - now)


NIGHTS: dict[str, tuple[Vendor, float]] = {
    "usual, sigma 0.3": (usual(USUAL, 0.3), 5.0),
    "usual, sigma 0.5": (usual(USUAL, 0.5), 5.0),
    "usual, sigma 0.8": (usual(USUAL, 0.8), 5.0),
    "always the same": (usual(USUAL, 0.0), 5.0),
    "60 s or 400 s": (two_kinds, 5.0),
    "2 s": (usual(2.0, 0.3), 5.0),
    "2 s, --poll-interval 0.2": (usual(2.0, 0.3), 0.2),
    "20 min": (usual(1200.0, 0.3), 5.0),
    "by clip length": (by_length, 5.0),
    "by mode": (by_mode, 5.0),
    "3 times slower, and back": (slower(0.3), 5.0),
    "the same, and 3 times": (slower(0.0), 5.0),
    "a queue at the vendor's": (queue, 5.0),
}
# Short nights, where nothing is known yet: the renders' median in seconds and its sigma, and how many are in flight.
SHORT: list[tuple[float, float, int]] = [
    *((seconds, 0.3, 60) for seconds in (2.0, 10.0, 20.0, 40.0, 60.0, 90.0)),
    (USUAL, 0.3, 60),
    (USUAL, 0.5, 60),
    (1200.0, 0.3, 120),
]
SHORT_WAVES = 4
SHORT_NIGHTS = 3
RATE = 8.0  # requests per second, of the night whose vendor has a limit


def others() -> dict[str, Looker]:
    return {"docs": Fixed(3.0, 1.5, 30.0), "SDK": Fixed(0.5, 1.0, 0.5)}


def least(median: float, sigma: float) -> float:
    """Looks a job times their mean lag: what no schedule comes below, though it knew this lognormal distribution.

    Where S(t) still run, f(t) end, and looks are g(t) apart, looks are ∫ S/g and the lag is ∫ f g/2: their product is
    at least half the square of ∫ √(S f), by Cauchy and Schwarz.
    """
    normal, step, total = NormalDist(math.log(median), sigma), median / 2000, 0.0
    for n in range(1, 40_000):
        log = math.log(n * step)
        total += math.sqrt((1.0 - normal.cdf(log)) * normal.pdf(log) / (n * step)) * step
    return total**2 / 2


def tell(name: str, vendor: Vendor, poll_interval: float, jobs: int, limit: float | None = None) -> None:
    """Print a night's line. Without a limit, fewer jobs do for a client that asks for each twice a second."""
    cells = []
    for client, looker in {"ours": Schedule(poll_interval), **others()}.items():
        count = jobs if client != "SDK" or limit else max(jobs // 20, 1)
        cells.append(str(Night(looker, vendor(random.Random(7), count), count, limit)()))
    print(f"{name:<25}" + " |".join(cells), flush=True)


def tell_short(median: float, sigma: float, in_flight: int) -> None:
    """Print the line of a short night: the mean of a few, that differ much."""
    cells, jobs = [], in_flight * SHORT_WAVES
    for client in ("ours", "docs"):
        looks = first_looks = 0
        lags, first_lags = [], []
        for seed in range(SHORT_NIGHTS):
            looker = Schedule(5.0) if client == "ours" else others()[client]
            tally = Night(looker, usual(median, sigma)(Dice(seed), jobs), jobs, in_flight=in_flight)()
            looks, first_looks = looks + tally.looks, first_looks + tally.first_looks
            lags += tally.lags
            first_lags += tally.first_lags
        cells.append(
            f"{first_looks / len(first_lags):7.1f} {mean(first_lags):7.1f} {looks / len(lags):7.1f} {mean(lags):7.1f}"
        )
    print(f"{f'{median:g} s, sigma {sigma:g}, {in_flight} at once':<30}" + " |".join(cells), flush=True)


def main(jobs: int) -> None:
    began = time.process_time()
    print(f"{jobs:,} jobs a night, {IN_FLIGHT} in flight; looks per job, mean lag and its 95th percentile in s\n")
    print(f"{'':<25}" + " |".join(f"{name:^23}" for name in ("batchsync", "docs' backoff", "SDK")))
    for name, (vendor, poll_interval) in NIGHTS.items():
        tell(name, vendor, poll_interval, jobs)
    tell(f"usual, {RATE:g} requests/s", usual(USUAL, 0.3), 5.0, jobs, RATE)
    print()
    for sigma in (0.3, 0.5, 0.8):
        bound = least(USUAL, sigma)
        print(f"usual, sigma {sigma}: looks x lag >= {bound:.0f} s for any schedule, at 13 looks {bound / 13:.1f} s")
    print(f"\nshort nights, {SHORT_WAVES} waves; looks per job and mean lag, of the first wave and of all\n")
    print(f"{'':<30}" + " |".join(f"{name:^31}" for name in ("batchsync", "docs' backoff")))
    for short in SHORT:
        tell_short(*short)
    print(f"\n{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else JOBS)
