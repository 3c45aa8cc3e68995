"""What must hold in every ledger at every moment: `batchsync ledger check` looks at a user's, the tests at theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, case, func, select

from batchsync.ledger.engine import integrity_faults
from batchsync.ledger.tables import CreditEntry, Job, JobEvent, Run, Submission
from batchsync.model.credits import MONEY_KINDS, EntryKind
from batchsync.model.states import TRANSITIONS, Event, State

_MONEY = [kind.value for kind in MONEY_KINDS]
# A person, or an option that a person gave, let the job be sent again although a project of it may live.
_BY_A_PERSON = frozenset({Event.RESOLVED_ABSENT, Event.ABANDONED})
_BIRTHS = frozenset({Event.SUBMIT_ACCEPTED, Event.RESOLVED_FOUND, Event.RETRY_FOLLOW})
# A new render is refused while a project may live: by `retry_render` the vendor had called it dead.
_DEATHS = frozenset({Event.RENDER_FAILED, Event.VENDOR_CANCELED, Event.CLAIM_REFUTED, Event.RETRY_RENDER})


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that should hold and doesn't: which rule (a stable code), where (a job's id, or None), and how."""

    rule: str
    job: str | None
    message: str


def check(connection: Connection) -> Iterator[Broken]:
    """Everything that is broken in the ledger, as of one snapshot. Reads it all, in bounded memory but for ids."""
    for fault in integrity_faults(connection):
        yield Broken("database", None, fault)
    ids = {row.seq: row.id for row in connection.execute(select(Job.seq, Job.id))}
    for rule in (_histories, _sums, _projects, _submissions, _caps):
        yield from rule(connection, ids)


def _rows(connection: Connection, query: Any) -> Iterator[Any]:
    return iter(connection.execute(query.execution_options(yield_per=10_000)))


# --- state = fold of the events ---


def _histories(connection: Connection, ids: Mapping[int, str]) -> Iterator[Broken]:
    """A job stands where its events lead, each of them allowed, and never had two live projects on its own."""
    stands = {row.seq: row.state for row in connection.execute(select(Job.seq, Job.state))}
    query = select(JobEvent.job_seq, JobEvent.event, JobEvent.from_state, JobEvent.to_state)
    events = _rows(connection, query.order_by(JobEvent.job_seq, JobEvent.id))
    for seq, story in groupby(events, key=itemgetter(0)):
        fold = _Fold()
        for _, event, before, after in story:
            if (fault := fold.step(event, before, after)) is not None:
                yield Broken("events", ids.get(seq), fault)
        if fold.two_lives:
            yield Broken("one_project", ids.get(seq), "it was submitted while a project of it was alive")
        if fold.state != stands.pop(seq, None):
            yield Broken("state", ids.get(seq), f"its events lead to {fold.state}, but it is said to be elsewhere")
    for seq in stands:
        yield Broken("events", ids.get(seq), "it has no events")


class _Fold:
    """A job's events, one after another."""

    def __init__(self) -> None:
        self.state: str | None = None
        self.alive = False
        self.two_lives = False

    def step(self, event: str, before: str | None, after: str) -> str | None:
        """Take one event in; returns what is wrong with it, if anything is."""
        came_from, self.state = self.state, after
        if before != came_from:
            return f"{event} came when it was {before}, but it was {came_from}"
        if event == Event.ADDED:
            return None if (before, after) == (None, State.PLANNED) else f"{event} led from {before} to {after}"
        rule = TRANSITIONS.get(Event(event)) if event in set(Event) else None
        if rule is None or before not in rule.sources or after != (rule.to or before):
            return f"{event} may not lead from {before} to {after}"
        self._live(Event(event))
        return None

    def _live(self, event: Event) -> None:
        if event is Event.SUBMIT_STARTED:
            self.two_lives = self.two_lives or self.alive
        elif event in _BIRTHS:
            self.alive = True
        elif event in _DEATHS or event in _BY_A_PERSON:
            self.alive = False


# --- credits = sum of entries ---


def _sums(connection: Connection, ids: Mapping[int, str]) -> Iterator[Broken]:
    """What a job's row says of its credits is what its entries add up to; money is always a project's."""
    is_money = CreditEntry.kind.in_(_MONEY)
    money = func.coalesce(func.sum(case((is_money, CreditEntry.amount), else_=0)), 0)
    caution = func.coalesce(func.sum(case((is_money, 0), else_=CreditEntry.amount)), 0)
    of_project = func.coalesce(
        func.sum(case((is_money & (CreditEntry.project_id == Job.project_id), CreditEntry.amount), else_=0)), 0
    )
    query = (
        select(Job.seq, Job.net, Job.reserved, Job.project_credits, Job.project_id, money, caution, of_project)
        .outerjoin(CreditEntry, CreditEntry.job_seq == Job.seq)
        .group_by(Job.seq)
    )
    for seq, net, reserved, project_credits, project, spent, kept, project_spent in _rows(connection, query):
        if net != spent:
            yield Broken("net", ids.get(seq), f"its row says {net} credits net, its entries {spent}")
        if reserved != kept or reserved < 0:
            yield Broken("reserved", ids.get(seq), f"its row says {reserved} credits reserved, its entries {kept}")
        if project is not None and project_credits != project_spent:
            message = f"its row says {project_credits} credits for project {project}, its entries {project_spent}"
            yield Broken("project_credits", ids.get(seq), message)
    odd = select(CreditEntry.job_seq, CreditEntry.id, CreditEntry.kind, CreditEntry.amount).where(
        (is_money != CreditEntry.project_id.is_not(None)) | (CreditEntry.amount == 0)
    )
    for seq, number, kind, amount in _rows(connection, odd):
        yield Broken("entries", ids.get(seq), f"credit entry {number} ({kind} {amount:+}) is none that can be")


# --- projects and submissions ---


def _projects(connection: Connection, ids: Mapping[int, str]) -> Iterator[Broken]:
    """A project belongs to one job, and a job's project came from one of its submissions."""
    owners: defaultdict[str, set[int]] = defaultdict(set)
    for project, seq in _rows(
        connection, select(Submission.project_id, Submission.job_seq).where(Submission.project_id.is_not(None))
    ):
        owners[project].add(seq)
    for project, seqs in owners.items():
        if len(seqs) > 1:
            names = ", ".join(str(ids.get(seq)) for seq in sorted(seqs))
            yield Broken("project_owner", None, f"project {project} is that of several jobs: {names}")
    for seq, project in _rows(connection, select(Job.seq, Job.project_id).where(Job.project_id.is_not(None))):
        if seq not in owners.get(project, ()):
            yield Broken("project_owner", ids.get(seq), f"no submission of it made its project {project}")


def _submissions(connection: Connection, ids: Mapping[int, str]) -> Iterator[Broken]:
    """A submission is open while its job is `submitting`, and only then; a held job's last one is unknown."""
    query = select(Job.seq, Job.state, Submission.number, Job.submissions, Submission.settled_at, Submission.outcome)
    counted: defaultdict[int, int] = defaultdict(int)
    wanted: dict[int, int] = {}
    for seq, state, number, newest, settled, outcome in _rows(
        connection, query.join(Submission, Submission.job_seq == Job.seq)
    ):
        counted[seq] += 1
        wanted[seq] = newest
        is_open = settled is None
        if is_open != (state == State.SUBMITTING.value and number == newest):
            how = "is open" if is_open else "is settled"
            yield Broken("submission", ids.get(seq), f"submission {number} {how}, and the job is {state}")
        if state == State.HELD.value and number == newest and outcome != "unknown":
            yield Broken("submission", ids.get(seq), f"it is held, and submission {number} is known: {outcome}")
    for seq, newest in wanted.items():
        if counted[seq] != newest:
            yield Broken("submission", ids.get(seq), f"it has {counted[seq]} submissions where it says {newest}")


# --- reserved and charged never pass the cap ---


def _caps(connection: Connection, ids: Mapping[int, str]) -> Iterator[Broken]:
    """No run ever started a submission that could have passed its --max-credits.

    Counts the jobs that came with the run's manifest. What others brought into it later can't be told apart.
    """
    for run, manifest, options in connection.execute(select(Run.id, Run.manifest_id, Run.options)).all():
        cap = options.get("max_credits")
        if cap is not None:
            yield from _cap(connection, run, manifest, int(cap))


def _cap(connection: Connection, run: str, manifest: int | None, cap: int) -> Iterator[Broken]:
    query = select(CreditEntry.run_id, CreditEntry.kind, CreditEntry.submission_id, CreditEntry.amount)
    if manifest is not None:
        query = query.join(Job, Job.seq == CreditEntry.job_seq).where(Job.manifest_id == manifest)
    spent, started = 0, {None}
    for by, kind, submission, amount in _rows(connection, query.order_by(CreditEntry.id)):
        spent += amount
        if kind != EntryKind.RESERVE.value or submission in started:
            continue  # what a late answer puts aside again is no new risk that anybody took
        started.add(submission)
        if by == run and spent > cap:
            message = f"run {run} had at most {cap} credits to spend, and put {spent} at risk"
            yield Broken("cap", None, message)
            return
