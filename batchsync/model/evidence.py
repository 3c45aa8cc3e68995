"""What the account's balance says about submissions whose outcome nobody knows. Pure: it weighs, and never acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from batchsync.model.credits import ESTIMATE_FPS, clip_seconds, frames_cost
from batchsync.model.job import Mode

USUAL_FPS = (24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60000 / 1001, 60.0)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A submission whose outcome nobody knows; `costs` are the credits that it may have cost, if it was created.

    `entry` is the number of its reserve among the credit entries: the order of things, whatever the clock said.
    `settling` is how long after its start (seconds) the vendor may still be at work on it.
    """

    submission_id: int
    job_id: str
    token: str
    held: bool
    started_at: float
    entry: int
    settling: float
    costs: frozenset[int]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the account held at a moment, and the newest credit entry that the ledger had then.

    `quiet`: nothing that the ledger follows was in flight.
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


Known = Callable[[int, int], int | None]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that there is to judge by.

    `readings` are in their order, the newest last. `known(a, b)` is what the ledger's entries after number `a`, up to
    `b`, sum up to; None if one of them is for something that the vendor may have taken before `a`. `loose` are, for
    each project that nobody follows any more, the credits by which it may have moved since without being noticed.
    """

    doubts: Sequence[Doubt]
    readings: Sequence[Reading]
    known: Known
    loose: Sequence[frozenset[int]] = ()


def weigh(evidence: Evidence) -> list[Weighed]:
    """Judge every held doubt by the balances."""
    return [_weigh(doubt, evidence) for doubt in evidence.doubts if doubt.held]


def _weigh(doubt: Doubt, evidence: Evidence) -> Weighed:
    line = evidence.readings
    before = [n for n, r in enumerate(line) if r.quiet and r.last_entry < doubt.entry]
    if not before:
        why = "no balance was recorded before it, at a moment when nothing was in flight"
        return Weighed(doubt, Finding.OPEN, why)
    settled = doubt.started_at + doubt.settling
    after = [n for n, r in enumerate(line) if r.quiet and r.last_entry >= doubt.entry and r.at >= settled]
    if not after:
        why = "there is no balance after it at which nothing was in flight: ask again when all has come to its end"
        return Weighed(doubt, Finding.OPEN, why)
    first, last = line[before[-1]], line[after[0]]
    if len({r.account_id for r in line[before[-1] : after[0] + 1]}) > 1:
        return Weighed(doubt, Finding.OPEN, "the balances since then are of more than one account")
    known = evidence.known(first.last_entry, last.last_entry)
    if known is None:
        return Weighed(doubt, Finding.OPEN, "a project that may be older than the balance before it was found since")
    return _judge(doubt, evidence, Span(first, last, known))


def _judge(doubt: Doubt, evidence: Evidence, span: Span) -> Weighed:
    until = span.last.last_entry
    others = [one for one in evidence.doubts if one.submission_id != doubt.submission_id and one.entry <= until]
    reach = _reachable([*(_moves(other, span) for other in others), *evidence.loose])
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
    # What was taken before can within the span only have settled, or have been given back.
    older = {a - b for a in doubt.costs for b in doubt.costs} | {-cost for cost in doubt.costs}
    if doubt.entry > span.first.last_entry:
        return doubt.costs | {0}
    if doubt.started_at + doubt.settling > span.first.at:
        return doubt.costs | older | {0}
    return frozenset(older | {0})


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
