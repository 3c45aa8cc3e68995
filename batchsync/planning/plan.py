"""`plan`: specs, facts about files and the ledger's jobs into jobs to run, their cost, and what is wrong. Pure."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from batchsync.model.job import JobSpec, KnownJob, MediaFacts, PlannedJob
from batchsync.model.problem import Problem
from batchsync.model.states import AT_VENDOR, State
from batchsync.planning.asks import Ask, asked
from batchsync.planning.identity import Names, recognise, unique
from batchsync.planning.outputs import shared_outputs
from batchsync.planning.repeats import PaidAgain, paid_again


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
    same contents, `changed` are there with others and not submitted yet. `duplicates` counts entries that are another
    one's job. `states` counts where the ledger has its jobs; `paid_again` is about work that others ask for too.

    `waiting` are those that are not submitted yet, and all that follows is for them: `files` are what they upload,
    (kind, digest) → bytes, `credits_estimated` is what the vendor takes at submission, and `credits_worst` the most
    it may come to. `problems` are faults and warnings.
    """

    jobs: tuple[PlannedJob, ...]
    new: tuple[PlannedJob, ...]
    known: tuple[PlannedJob, ...]
    changed: tuple[PlannedJob, ...]
    waiting: tuple[PlannedJob, ...]
    duplicates: int
    states: Mapping[State, int]
    paid_again: PaidAgain
    problems: tuple[Problem, ...]
    files: Mapping[tuple[str, str], int]
    credits_estimated: int
    credits_worst: int

    @property
    def complete(self) -> int:
        return self.states.get(State.COMPLETE, 0)

    @property
    def rendering(self) -> int:
        """How many of its jobs are at the vendor."""
        return sum(self.states.get(state, 0) for state in AT_VENDOR)

    @property
    def uploads(self) -> Uploads:
        return Uploads(len(self.files), sum(self.files.values()))


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
    every, problems = asked(specs, facts, errors)
    asks = unique(every, problems)
    ids = {ask.spec.id for ask in asks if ask.spec.id is not None}
    by_id = known.by_id(ids)
    by_ask = known.by_ask({ask.digest for ask in asks})
    found = recognise(asks, manifest or _standing(specs), by_id, by_ask, problems)
    jobs = _named(found, ids, known)
    old = {was.id: was for _, was in found if was is not None}
    problems += shared_outputs(jobs, old, known.outputs({job.output for job in jobs}))
    again = paid_again(jobs, old, by_ask)
    return _summary(jobs, old, again, [*problems, *again.warnings], duplicates=len(every) - len(jobs))


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


def _summary(
    jobs: Sequence[PlannedJob],
    old: Mapping[str, KnownJob],
    again: PaidAgain,
    problems: Sequence[Problem],
    duplicates: int,
) -> Plan:
    waiting = tuple(job for job in jobs if job.id not in old or old[job.id].not_submitted)
    return Plan(
        jobs=tuple(jobs),
        new=tuple(job for job in jobs if job.id not in old),
        known=tuple(job for job in jobs if job.id in old and old[job.id].ask == job.ask),
        changed=tuple(job for job in jobs if job.id in old and old[job.id].ask != job.ask),
        waiting=waiting,
        duplicates=duplicates,
        states=Counter(was.state for was in old.values()),
        paid_again=again,
        problems=tuple(sorted(problems, key=lambda problem: problem.place.order)),
        files={
            (role, facts.digest): facts.size
            for job in waiting
            for role, facts in (("video", job.video), ("audio", job.audio))
            if facts is not None
        },
        credits_estimated=sum(job.estimate for job in waiting),
        credits_worst=sum(job.worst for job in waiting),
    )
