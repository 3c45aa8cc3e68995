"""`plan`: specs, facts about files and the ledger's jobs into jobs to run, their cost, and what is wrong. Pure."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from batchsync.model.job import JobSpec, KnownJob, MediaFacts, PlannedJob
from batchsync.model.problem import Problem
from batchsync.model.states import State
from batchsync.planning.asks import Ask, asked
from batchsync.planning.identity import Names, recognise, unique
from batchsync.planning.outputs import shared_outputs
from batchsync.planning.repeats import paid_again


class KnownJobs(Protocol):
    """What the planner asks of a ledger; any number of ids, asks or paths may be given at once."""

    def by_id(self, ids: Collection[str]) -> Mapping[str, KnownJob]: ...

    def by_ask(self, asks: Collection[str]) -> Mapping[str, Sequence[KnownJob]]: ...

    def tokens(self) -> AbstractSet[str]: ...

    def outputs(self, paths: Collection[str]) -> Mapping[str, str]: ...


class NothingKnown:
    """The KnownJobs of a ledger that doesn't exist yet."""

    def by_id(self, ids: Collection[str]) -> Mapping[str, KnownJob]:
        return {}

    def by_ask(self, asks: Collection[str]) -> Mapping[str, Sequence[KnownJob]]:
        return {}

    def tokens(self) -> AbstractSet[str]:
        return frozenset()

    def outputs(self, paths: Collection[str]) -> Mapping[str, str]:
        return {}


class Uploads(NamedTuple):
    """Distinct files to upload, and their bytes."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a manifest comes to.

    `jobs` are all its jobs, each once, in order; of these `new` are not in the ledger, `known` are there with the
    same contents, `changed` are there with others and not submitted yet. `complete` counts those that are done.
    `uploads` and the credits are for jobs that are not submitted yet: `credits_estimated` is what the vendor takes
    at submission, `credits_worst` the most it may come to. `problems` are faults and warnings.
    """

    jobs: tuple[PlannedJob, ...]
    new: tuple[PlannedJob, ...]
    known: tuple[PlannedJob, ...]
    changed: tuple[PlannedJob, ...]
    complete: int
    problems: tuple[Problem, ...]
    uploads: Uploads
    credits_estimated: int
    credits_worst: int
    waiting: tuple[PlannedJob, ...] = ()  # those of `jobs` that are not submitted yet


def plan(
    specs: Sequence[JobSpec],
    facts: Mapping[str, MediaFacts],
    errors: Mapping[str, str],
    known: KnownJobs,
    *,
    manifest: str | None = None,
) -> Plan:
    """Plan the entries of the manifest at `manifest`, an absolute path; without it, where the entries say they stand.

    `facts` and `errors` are what was found out about local files, by path; `known` is the ledger.
    Entries with a fault have no job in the plan.
    """
    asks, problems = asked(specs, facts, errors)
    asks = unique(asks, problems)
    ids = {ask.spec.id for ask in asks if ask.spec.id is not None}
    by_id = known.by_id(ids)
    by_ask = known.by_ask({ask.digest for ask in asks})
    found = recognise(asks, manifest or _standing(specs), by_id, by_ask, problems)
    jobs = _named(found, ids, known)
    old = {was.id: was for _, was in found if was is not None}
    problems += shared_outputs(jobs, old, known.outputs({job.output for job in jobs}))
    problems += paid_again(jobs, old, by_ask)
    return _summary(jobs, old, problems)


def _standing(specs: Sequence[JobSpec]) -> str:
    file = specs[0].place.file if specs else "-"
    return file if file == "-" else os.path.abspath(file)


def _named(found: Sequence[tuple[Ask, KnownJob | None]], ids: AbstractSet[str], known: KnownJobs) -> list[PlannedJob]:
    """The planned jobs; an id made here must be no other job's, neither the manifest's nor the ledger's."""
    tokens, taken = known.tokens(), set(ids)
    while True:
        names = Names(tokens, taken)
        jobs = [names.job(ask, was) for ask, was in found]
        made = {job.id for job, (_, was) in zip(jobs, found, strict=True) if was is None and job.auto_id}
        clashes = known.by_id(made).keys() - taken
        if not clashes:
            return jobs
        taken |= clashes


def _summary(jobs: Sequence[PlannedJob], old: Mapping[str, KnownJob], problems: Sequence[Problem]) -> Plan:
    waiting = [job for job in jobs if job.id not in old or old[job.id].not_submitted]
    files = {
        (role, facts.digest): facts.size
        for job in waiting
        for role, facts in (("video", job.video), ("audio", job.audio))
        if facts is not None
    }
    return Plan(
        jobs=tuple(jobs),
        new=tuple(job for job in jobs if job.id not in old),
        known=tuple(job for job in jobs if job.id in old and old[job.id].ask == job.ask),
        changed=tuple(job for job in jobs if job.id in old and old[job.id].ask != job.ask),
        complete=sum(was.state is State.COMPLETE for was in old.values()),
        problems=tuple(sorted(problems, key=lambda problem: problem.place.line or problem.place.entry or 0)),
        uploads=Uploads(len(files), sum(files.values())),
        credits_estimated=sum(job.estimate for job in waiting),
        credits_worst=sum(job.worst for job in waiting),
        waiting=tuple(waiting),
    )
