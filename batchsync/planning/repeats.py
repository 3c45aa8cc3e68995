"""Warnings of work that would be paid again, and of anything that comes many times. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from batchsync.model.job import KnownJob, PlannedJob
from batchsync.model.problem import Problem
from batchsync.model.states import State

SHOWN = 5  # warnings of one kind; the rest is summed up


def few(warnings: Sequence[Problem], what: str) -> list[Problem]:
    """The first warnings of a kind, then one that says how many more there are; `what` names the kind."""
    if len(warnings) <= SHOWN + 1:
        return list(warnings)
    message = f"and {len(warnings) - SHOWN:,} more warnings like this, from here on ({what})"
    rest = replace(warnings[SHOWN], message=message, column=None, value=None, hint=None)
    return [*warnings[:SHOWN], rest]


class PaidAgain(NamedTuple):
    """New or changed jobs that ask for what another job asks for: how many, what they cost, and warnings of them."""

    jobs: int
    credits: int
    warnings: Sequence[Problem]


def paid_again(
    jobs: Sequence[PlannedJob], old: Mapping[str, KnownJob], by_ask: Mapping[str, Sequence[KnownJob]]
) -> PaidAgain:
    """Warn of new or changed jobs that ask for what another job asks for, of this manifest or of the ledger.

    `old` are the ledger's jobs that the manifest's jobs are, by id; `by_ask` all that the ledger knows by ask.
    """
    first: dict[str, PlannedJob] = {}
    found: list[Problem] = []
    credits = 0
    for job in jobs:
        other = _in_ledger(job, by_ask) or _in_manifest(job, first)
        first.setdefault(job.ask, job)
        was = old.get(job.id)
        if other is None or (was is not None and was.ask == job.ask):
            continue
        credits += job.estimate
        message = f"asks for the same as {other}; it would cost about {job.estimate:,} credits again"
        column, value = ("id", job.spec.id) if job.spec.id else (None, None)
        found.append(Problem(job.spec.place, message, column=column, value=value, severity="warning"))
    what = f"the same work under other ids, about {credits:,} credits in all"
    return PaidAgain(len(found), credits, few(found, what))


def _in_ledger(job: PlannedJob, by_ask: Mapping[str, Sequence[KnownJob]]) -> str | None:
    for known in by_ask.get(job.ask, ()):
        lost = known.state in (State.FAILED, State.CANCELED) and known.net == 0
        if known.id != job.id and not lost:
            cost = f", {known.net:,} credits so far" if known.net else ""
            return f"job {known.id!r} in the ledger ({known.state}{cost})"
    return None


def _in_manifest(job: PlannedJob, first: Mapping[str, PlannedJob]) -> str | None:
    other = first.get(job.ask)
    return None if other is None else f"job {other.id!r} at {other.spec.place}"
