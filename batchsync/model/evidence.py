"""What the account's balance says about submissions whose outcome nobody knows. Pure: it weighs, and never acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from batchsync.model.credits import ESTIMATE_FPS, clip_seconds, frames_cost
from batchsync.model.job import Mode

# A vendor whose answer was lost may still be at work on the request: only after this long is silence a no.
SETTLING_SECONDS = 10.0
USUAL_FPS = (24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60000 / 1001, 60.0)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A submission whose outcome nobody knows; `costs` are the credits that it may have cost, if it was created."""

    submission_id: int
    job_id: str
    token: str
    held: bool
    started_at: float
    costs: frozenset[int]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the account held at a moment, and the newest credit entry that the ledger had then.

    `quiet`: nothing of the ledger was in flight, so that no project could settle without the ledger knowing.
    """

    at: float
    account_id: str | None
    credits: int
    last_entry: int
    quiet: bool


class Finding(StrEnum):
    """What the balance says about a doubt."""

    CREATED = "created"
    NOT_CREATED = "not created"
    OPEN = "can't tell"


@dataclass(frozen=True, slots=True)
class Span:
    """The account around a doubt: two quiet readings, and the credits that the ledger knows of between them."""

    first: Reading
    last: Reading
    known: int

    @property
    def lost(self) -> int:
        """Credits that the account lost."""
        return self.first.credits - self.last.credits

    @property
    def unexplained(self) -> int:
        """Credits that it lost beyond those that the ledger knows of."""
        return self.lost - self.known


@dataclass(frozen=True, slots=True)
class Weighed:
    """A doubt, and what the balance says about it and why; `span` is None where there is nothing to compare."""

    doubt: Doubt
    finding: Finding
    why: str
    span: Span | None = None


def costs_of(start: float, end: float, mode: Mode, max_fps: float | None, source_fps: float | None) -> frozenset[int]:
    """The credits that a project may have cost at any moment: its first estimate, or those of its true frame rate."""
    seconds = clip_seconds(start, end)
    rates = [source_fps] if source_fps is not None else [*USUAL_FPS, *([max_fps] if max_fps else [])]
    capped = {min(rate, max_fps) if max_fps else rate for rate in rates}
    return frozenset(frames_cost(seconds, rate, mode) for rate in {*capped, float(ESTIMATE_FPS)})


def weigh(
    doubts: Sequence[Doubt], readings: Iterable[Reading], now: Reading, known: Callable[[int, int], int]
) -> list[Weighed]:
    """Judge every held one of `doubts` by the balances recorded, in order of time, and by the one read `now`.

    `known(a, b)` is the credits that the ledger's entries after number `a`, up to `b`, sum up to.
    """
    line = [*readings, now]
    return [_weigh(doubt, doubts, line, known) for doubt in doubts if doubt.held]


def _weigh(
    doubt: Doubt, doubts: Sequence[Doubt], line: Sequence[Reading], known: Callable[[int, int], int]
) -> Weighed:
    first = next((r for r in reversed(line) if r.quiet and r.at <= doubt.started_at), None)
    if first is None:
        return Weighed(
            doubt, Finding.OPEN, "no balance was recorded before it, at a moment when nothing was in flight"
        )
    last = next((r for r in line if r.quiet and r.at >= doubt.started_at + SETTLING_SECONDS), None)
    if last is None:
        return Weighed(doubt, Finding.OPEN, "other jobs are in flight: ask again when they have come to their end")
    if any(r.account_id != first.account_id for r in line if first.at <= r.at <= last.at):
        return Weighed(doubt, Finding.OPEN, "the balances since then are of more than one account")
    span = Span(first, last, known(first.last_entry, last.last_entry))
    return _judge(doubt, doubts, span)


def _judge(doubt: Doubt, doubts: Sequence[Doubt], span: Span) -> Weighed:
    others = [d for d in doubts if d.submission_id != doubt.submission_id and d.started_at <= span.last.at]
    reach = _reachable([_moves(other, span) for other in others])
    left = span.unexplained
    without = reach(left)
    with_it = any(reach(left - cost) for cost in doubt.costs)
    if with_it and not without:
        return Weighed(doubt, Finding.CREATED, "what is unexplained can only be explained with this job", span)
    if without and not with_it:
        why = "nothing is unexplained" if not left else "what is unexplained is explained without this job"
        return Weighed(doubt, Finding.NOT_CREATED, why, span)
    if with_it:
        return Weighed(doubt, Finding.OPEN, "what is unexplained may be this job, or another lost one", span)
    why = "no choice of the lost submissions adds up to that: the account is used elsewhere too, or was filled up"
    return Weighed(doubt, Finding.OPEN, why, span)


def _moves(doubt: Doubt, span: Span) -> frozenset[int]:
    """By how many credits a doubt may have lowered the balance within the span; 0 if it was never created."""
    if doubt.started_at >= span.first.at:
        return doubt.costs | {0}
    # It was taken before: within the span it can only have settled, or have been given back.
    return frozenset({0, *(a - b for a in doubt.costs for b in doubt.costs), *(-cost for cost in doubt.costs)})


def _reachable(choices: Sequence[frozenset[int]]) -> Callable[[int], bool]:
    """Whether a sum can be made of one number from each of `choices`: bit n of one long number stands for sum n."""
    bits, lowest = 1, 0
    for choice in choices:
        low = min(choice)
        lowest += low
        together = 0
        for amount in choice:
            together |= bits << (amount - low)
        bits = together
    return lambda total: total >= lowest and bool(bits >> (total - lowest) & 1)
