"""The real ledger, driven through every event in every order against a simple model of what should stand in it."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from ledger.book import ESTIMATE, TABLES, WORST, Hands, Row, add, job, open_blank, start_run

from batchsync.errors import IllegalTransition, LeaseLost
from batchsync.ledger.claims import ASSET_MARGIN_SECONDS, Exposure, SubmissionClaim
from batchsync.ledger.ledger import Writes
from batchsync.ledger.submissions import Accepted
from batchsync.model.states import AT_VENDOR, NOT_SUBMITTED, TRANSITIONS, UNFINISHED, Event, State

JOBS = 3
RUNS = ("run-a", "run-b")
STRANGER = "run-c"
LEASE = 60.0
LEASED = (State.PLANNED, State.RENDERING, State.RENDERED)
LIVING = (None, "queued", "rendering", "complete", "missing")  # the vendor's last word on what may still be there

Write = Callable[[Writes], Any]

# These three are written by `add` and by a claim for submissions: the model says when, and nothing refuses them.
NEVER_REFUSED = {Event.CHANGED, Event.ASSETS_EXPIRED, Event.SUBMIT_STARTED}
COMING = [event for event in TRANSITIONS if event not in (Event.ASSETS_EXPIRED, Event.STRAY_PROJECT)]
WAYS = {  # some of the ways into each state, in steps of `bring`
    "": State.PLANNED,
    "u": State.UPLOADED,
    "us": State.SUBMITTING,
    "ush": State.HELD,
    "usa": State.RENDERING,
    "usad": State.RENDERED,
    "usado": State.COMPLETE,
    "usaf": State.FAILED,
    "usag": State.FAILED,
    "usac": State.CANCELED,
}

seqs = st.integers(1, 2 * JOBS)  # up to JOBS: that job or the next to which it may happen; beyond: blindly
runs = st.sampled_from(RUNS)
wilds = st.sampled_from([None, None, None, *RUNS, STRANGER])  # None: whoever may
stated = st.none() | st.integers(0, WORST + 50)
statuses = st.sampled_from(["queued", "rendering"])
waits = st.sampled_from([0.0, 5.0, 100.0])


@dataclass
class Model:
    """What should stand in a job's row."""

    seq: int
    worst: int
    estimate: int
    asked: int = 0
    state: State = State.PLANNED
    owner: str | None = None
    until: float = 0.0
    not_before: float = 0.0
    expire_at: float | None = None
    reserved: int = 0
    project: str | None = None
    status: str | None = None
    submission: int = 0
    submissions: int = 0
    made: bool = False  # whether the last submission is known to have made a project
    changed: bool = False  # whether it asks for something else since the last submission
    abandoned: bool = False
    answered: bool = False  # whether the vendor itself has answered the last submission
    unknown: set[int] = field(default_factory=set)  # submissions of which nobody knows whether they made a project

    @property
    def doubted(self) -> int:
        """What may have been charged beside what is reserved: a held job has its last submission's reserve."""
        return self.worst * (len(self.unknown) - (self.state is State.HELD))

    def free(self, not_before: float | None = None) -> None:
        self.owner = None
        if not_before is not None:
            self.not_before = not_before


class LedgerMachine(RuleBasedStateMachine):
    """Two runs share one ledger with a few jobs; anything may happen to any of them, rightly or wrongly."""

    @initialize(
        cap=st.none() | st.integers(0, 9 * WORST),
        max_in_flight=st.integers(1, JOBS),
        ahead=st.tuples(*[st.sampled_from(sorted(WAYS))] * JOBS),
    )
    def begin(self, cap: int | None, max_in_flight: int, ahead: tuple[str, ...]) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "batchsync.db")
        self.clock = Hands()
        self.ledger = open_blank(self.path, self.clock)
        self.cap, self.max_in_flight, self.count = cap, max_in_flight, len(ahead)
        self.exposure = Exposure()
        self.jobs = {n: Model(n, WORST + n, ESTIMATE + n) for n in range(1, self.count + 1)}
        add(self.ledger, [job(f"job-{m.seq}", worst=m.worst, estimate=m.estimate) for m in self.jobs.values()])
        for run in (*RUNS, STRANGER):
            start_run(self.ledger, run, options={} if cap is None else {"max_credits": cap})
        self.stated: dict[str, int] = {}  # the vendor's last word on each project's credits
        self.projects = 0
        self.past: dict[str, list[Row]] = {"events": [], "credit_entries": []}
        self.looking_on = sqlite3.connect(self.path)
        for seq, steps in zip(self.jobs, ahead, strict=True):
            self.bring(seq + self.count, steps)

    def bring(self, seq: int, steps: str) -> None:
        """Start with jobs that have come some way: a random walk would seldom get so far."""
        walk: dict[str, Callable[[], None]] = {
            "u": lambda: self.assets_ready(seq, None, None),
            "s": lambda: self.claim_submissions(RUNS[1], self.count),
            "h": lambda: self.lost(seq),
            "a": lambda: self.accepted(seq, ESTIMATE, 0.0),
            "d": lambda: self.render_done(seq, None, ESTIMATE - 10),
            "o": lambda: self.output_saved(seq, None),
            "f": lambda: self.ended_badly(seq, None, "error", 0),
            "c": lambda: self.ended_badly(seq, None, "canceled", 0),
            "g": lambda: self.gave_up(seq, None),
        }
        for step in steps:
            walk[step]()

    def come(self, event: Event, seq: int, credits: int | None = None, wait: float = 0.0) -> None:
        """Have `event` come to a job."""
        coming: dict[Event, Callable[[], None]] = {
            Event.CHANGED: lambda: self.changed(seq, WORST),
            Event.ASSETS_READY: lambda: self.assets_ready(seq, None, None),
            Event.SUBMIT_STARTED: lambda: self.claim_submissions(RUNS[0], self.count),
            Event.SUBMIT_ACCEPTED: lambda: self.accepted(seq, credits, wait),
            Event.SUBMIT_DEFERRED: lambda: self.deferred(seq, wait),
            Event.SUBMIT_REFUSED: lambda: self.refused(seq),
            Event.SUBMIT_LOST: lambda: self.lost(seq),
            Event.RESOLVED_FOUND: lambda: self.resolved_found(seq),
            Event.RESOLVED_ABSENT: lambda: self.resolved_absent(seq),
            Event.CLAIM_REFUTED: lambda: self.claim_refuted(seq, None),
            Event.ABANDONED: lambda: self.abandoned(seq),
            Event.STILL_RENDERING: lambda: self.still_rendering(seq, None, "rendering", credits, wait),
            Event.RENDER_DONE: lambda: self.render_done(seq, None, credits),
            Event.RENDER_FAILED: lambda: self.ended_badly(seq, None, "deleted", credits),
            Event.VENDOR_CANCELED: lambda: self.ended_badly(seq, None, "canceled", credits),
            Event.LOOK_AGAIN: lambda: self.look_again(seq, None),
            Event.OUTPUT_SAVED: lambda: self.output_saved(seq, None),
            Event.ATTEMPT_FAILED: lambda: self.attempt_failed(seq, None, wait, False, credits),
            Event.GAVE_UP: lambda: self.gave_up(seq, None),
            Event.RETRY_RENDER: lambda: self.retried(seq),
            Event.RETRY_FOLLOW: lambda: self.retried(seq),
        }
        coming[event]()

    @rule(seq=st.integers(1, JOBS), turns=st.lists(st.integers(0, 99), min_size=1, max_size=8), credits=stated)
    def goes_on(self, seq: int, turns: list[int], credits: int | None) -> None:
        """A job takes a way that is allowed, whatever that is."""
        for turn in turns:
            legal = [e for e in COMING if self.jobs[seq].state in TRANSITIONS[e].sources]
            if legal:
                self.come(legal[turn % len(legal)], seq + self.count, credits)
                self.check()

    def teardown(self) -> None:
        if hasattr(self, "looking_on"):
            self.looking_on.close()
            self.ledger.close()
            self.folder.cleanup()

    # --- how things are tried ---

    def attempt(self, event: Event, seq: int, write: Write, *, owner: str | None = None, run: str = RUNS[0]) -> bool:
        """Write, if that is right; else see it refused, with nothing written. Moves the model's state."""
        model = self.jobs[seq]
        legal = model.state in TRANSITIONS[event].sources
        if not legal or (owner is not None and owner != model.owner):
            before = self.everything()
            with pytest.raises(LeaseLost if legal else IllegalTransition):
                self.ledger.write(write, run)
            assert self.everything() == before
            return False
        self.ledger.write(write, run)
        model.state = TRANSITIONS[event].to or model.state
        return True

    def owner_of(self, seq: int, wild: str | None) -> str:
        """Who tries: anybody, or whoever rightly may, after a claim if it takes one."""
        if wild is not None:
            return wild
        model = self.jobs[seq]
        if model.owner is None and model.state in LEASED:
            self.clock.at = max(self.clock.at, model.not_before)
            self.take(RUNS[0], model.state, self.count)
        return model.owner or RUNS[0]

    def aim(self, seq: int, *events: Event) -> int:
        """A job to which one of `events` may happen, if there is one and it isn't to be blind."""
        if seq > self.count:
            return seq - self.count
        sources = frozenset().union(*(TRANSITIONS[event].sources for event in events))
        around = [(seq + step - 1) % self.count + 1 for step in range(self.count)]
        return next((n for n in around if self.jobs[n].state in sources), seq)

    def new_project(self) -> str:
        self.projects += 1
        return f"project-{self.projects}"

    # --- claims ---

    def due(self, state: State) -> list[Model]:
        found = [
            m for m in self.jobs.values() if m.state is state and m.owner is None and m.not_before <= self.clock.at
        ]
        return sorted(found, key=lambda m: (m.not_before, m.seq))

    def take(self, run: str, state: State, limit: int) -> None:
        wanted = self.due(state)[:limit]
        got = self.ledger.write(lambda w: w.claim(run, state, limit, LEASE), run)
        assert [claimed.seq for claimed in got] == [m.seq for m in wanted]
        for model in wanted:
            model.owner, model.until = run, self.clock.at + LEASE

    @rule(run=runs, state=st.sampled_from(LEASED), limit=st.integers(0, JOBS))
    def claim(self, run: str, state: State, limit: int) -> None:
        self.take(run, state, limit)

    @rule(run=runs, limit=st.integers(0, JOBS))
    def claim_submissions(self, run: str, limit: int) -> None:
        for model in self.jobs.values():
            expired = model.expire_at is not None and model.expire_at < self.clock.at + ASSET_MARGIN_SECONDS
            if model.state is State.UPLOADED and expired and limit >= self.count:
                model.state, model.expire_at = State.PLANNED, None
        if limit < self.count:  # so many as the limit may expire, and then it matters which
            for model in self.jobs.values():
                if model.state is State.UPLOADED:
                    model.expire_at = None
            self.ledger.write(lambda w: w.connection.exec_driver_sql("UPDATE jobs SET assets_expire_at = NULL"))
        before = self.full_exposure()
        spent = before + sum(model.doubted for model in self.jobs.values())
        room = self.max_in_flight - sum(m.state in AT_VENDOR for m in self.jobs.values())
        wanted: list[Model] = []
        capped = False
        for model in self.due(State.UPLOADED)[: max(0, min(limit, room))]:
            spent += model.worst
            if self.cap is not None and spent > self.cap:
                capped = True
                break
            wanted.append(model)

        def write(w: Writes) -> SubmissionClaim:
            return w.claim_submissions(
                run,
                limit,
                LEASE,
                max_in_flight=self.max_in_flight,
                name=lambda claimed: f"name of {claimed.id}",
                cap=self.cap,
                exposure=self.exposure,
            )

        got = self.ledger.write(write, run)
        assert [intent.job.seq for intent in got.intents] == [m.seq for m in wanted]
        assert got.capped == capped
        if self.cap is not None:
            assert got.exposure.total == before
            assert not wanted or self.full_exposure() + sum(m.doubted for m in self.jobs.values()) <= self.cap
        self.exposure = got.exposure
        for intent, model in zip(got.intents, wanted, strict=True):
            model.state, model.owner, model.until = State.SUBMITTING, run, self.clock.at + LEASE
            model.submission, model.submissions = intent.submission_id, model.submissions + 1
            model.made = model.answered = model.changed = False
            model.reserved = model.worst

    @rule(run=runs)
    def renew(self, run: str) -> None:
        mine = [m for m in self.jobs.values() if m.owner == run]
        lost = self.ledger.write(lambda w: w.renew(list(self.jobs), run, LEASE), run)
        assert lost == set(self.jobs) - {model.seq for model in mine}
        for model in mine:
            model.until = self.clock.at + LEASE

    def let_go(self, run: str) -> list[int]:
        held = []
        for model in self.jobs.values():
            if model.owner == run and model.state in UNFINISHED:
                model.owner = None
                if model.state is State.SUBMITTING:
                    model.state = State.HELD
                    model.unknown.add(model.submission)
                    held.append(model.seq)
        return held

    @rule(run=runs)
    def release(self, run: str) -> None:
        assert self.ledger.write(lambda w: w.release(run), run) == self.let_go(run)

    @rule(verdicts=st.tuples(*[st.sampled_from([True, False, None])] * len(RUNS)))
    def reap(self, verdicts: tuple[bool | None, ...]) -> None:
        """Hosts are the runs' own here: each has a verdict of its own."""
        said = dict(zip(RUNS, verdicts, strict=True))
        held: list[int] = []
        for run in RUNS:
            untils = [m.until for m in self.jobs.values() if m.owner == run]
            if untils and (said[run] or (said[run] is None and max(untils) < self.clock.at)):
                held += self.let_go(run)
        self.ledger.write(
            lambda w: [w.connection.exec_driver_sql(f"UPDATE runs SET host = id WHERE id = '{run}'") for run in RUNS]
        )
        found = self.ledger.write(lambda w: w.reap(lambda host, pid, born: said[host]), STRANGER)
        assert sorted(found) == sorted(held)

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0, 5000.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.at += seconds

    # --- before the vendor has it ---

    @rule(seq=seqs, worst=st.integers(ESTIMATE, WORST))
    def changed(self, seq: int, worst: int) -> None:
        seq = self.aim(seq, Event.CHANGED)
        model = self.jobs[seq]
        model.asked += 1
        planned = job(f"job-{seq}", f"ask {model.asked} of {seq}", worst=worst, estimate=worst)
        touched = model.state in NOT_SUBMITTED and model.owner is None
        assert add(self.ledger, [planned]).changed == touched
        if touched:
            model.state, model.worst, model.estimate = State.PLANNED, worst, worst
            model.changed = True

    @rule(seq=seqs, wild=wilds, lasts=st.none() | st.sampled_from([0.0, 7200.0, 10**6]))
    def assets_ready(self, seq: int, wild: str | None, lasts: float | None) -> None:
        seq = self.aim(seq, Event.ASSETS_READY)
        owner = self.owner_of(seq, wild)
        until = None if lasts is None else self.clock.at + lasts
        if self.attempt(
            Event.ASSETS_READY, seq, lambda w: w.assets_ready(seq, owner, "api-assets/v", "a", until), owner=owner
        ):
            self.jobs[seq].free(0.0)
            self.jobs[seq].expire_at = until

    # --- the answers to a submission ---

    @rule(seq=seqs, credits=stated, wait=waits, keeper=st.none() | runs)
    def accepted(self, seq: int, credits: int | None, wait: float, keeper: str | None = None) -> None:
        seq = self.aim(seq, Event.SUBMIT_ACCEPTED)
        model, project, look_at = self.jobs[seq], self.new_project(), self.clock.at + wait

        def write(w: Writes) -> Accepted:
            became = w.accepted(seq, model.submission, project, credits, look_at, 200, owner=keeper)
            assert became is not Accepted.KEPT or keeper == model.owner
            return became

        if not model.submission or model.made:
            before = self.everything()
            with pytest.raises(IllegalTransition):
                self.ledger.write(write, RUNS[0])
            assert self.everything() == before
        elif not self.is_its_own(model):
            # Too late for the job, but paid for: it is counted, and nothing else moves.
            assert self.ledger.write(write) is Accepted.STRAY
            self.stated[project] = model.estimate if credits is None else credits
            model.made = model.answered = True
            model.unknown.discard(model.submission)
        elif self.attempt(Event.SUBMIT_ACCEPTED, seq, write):
            if keeper is not None and keeper == model.owner:
                model.not_before = look_at
            else:
                model.free(look_at)
            model.answered, model.abandoned = True, False
            self.created(model, project, credits)

    def is_its_own(self, model: Model) -> bool:
        """Whether a project of the last submission is the job's own, whatever was believed of it meanwhile."""
        if model.state in (State.PLANNED, State.UPLOADED):
            return not model.changed
        given_up = model.state is State.FAILED and model.abandoned and model.project is None
        return given_up or model.state in (State.SUBMITTING, State.HELD)

    def created(self, model: Model, project: str, credits: int | None) -> None:
        cost = model.estimate if credits is None else credits
        model.project, model.status, self.stated[project] = project, None, cost
        model.made = True
        model.unknown.discard(model.submission)
        model.reserved = max(0, model.worst - cost)

    @rule(seq=seqs, wait=waits)
    def deferred(self, seq: int, wait: float) -> None:
        seq = self.aim(seq, Event.SUBMIT_DEFERRED)
        model, at = self.jobs[seq], self.clock.at + wait
        if self.attempt(
            Event.SUBMIT_DEFERRED, seq, lambda w: w.deferred(seq, model.submission, "busy", "later", at, 503)
        ):
            model.free(at)
            model.answered = True
            model.reserved = 0
            model.unknown.discard(model.submission)

    @rule(seq=seqs)
    def refused(self, seq: int) -> None:
        seq = self.aim(seq, Event.SUBMIT_REFUSED)
        model = self.jobs[seq]
        if self.attempt(Event.SUBMIT_REFUSED, seq, lambda w: w.refused(seq, model.submission, "bad", "no", 422)):
            model.free()
            model.answered = True
            model.reserved = 0
            model.unknown.discard(model.submission)

    @rule(seq=seqs)
    def lost(self, seq: int) -> None:
        seq = self.aim(seq, Event.SUBMIT_LOST)
        model = self.jobs[seq]
        if self.attempt(Event.SUBMIT_LOST, seq, lambda w: w.lost(seq, model.submission, "cut", "gone", None)):
            model.free()
            model.unknown.add(model.submission)

    # --- what a person decides ---

    @rule(seq=seqs)
    def resolved_found(self, seq: int) -> None:
        seq = self.aim(seq, Event.RESOLVED_FOUND)
        project = self.new_project()
        if self.attempt(Event.RESOLVED_FOUND, seq, lambda w: w.resolved(seq, project_id=project)):
            self.jobs[seq].free(0.0)
            self.jobs[seq].answered = False
            self.created(self.jobs[seq], project, None)

    @rule(seq=seqs, wild=wilds)
    def claim_refuted(self, seq: int, wild: str | None) -> None:
        seq = self.aim(seq, Event.CLAIM_REFUTED)
        owner, model = self.owner_of(seq, wild), self.jobs[seq]
        if model.status is not None or model.answered:
            before = self.everything()
            assert self.ledger.write(lambda w: w.claim_refuted(seq, owner)) is False
            assert self.everything() == before
        elif self.attempt(Event.CLAIM_REFUTED, seq, lambda w: w.claim_refuted(seq, owner), owner=owner):
            self.stated[model.project or ""] = 0
            model.project, model.made, model.reserved = None, False, model.worst
            model.unknown.add(model.submission)
            model.free(0.0)

    @rule(seq=seqs)
    def resolved_absent(self, seq: int) -> None:
        seq = self.aim(seq, Event.RESOLVED_ABSENT)
        if self.attempt(Event.RESOLVED_ABSENT, seq, lambda w: w.resolved(seq, project_id=None)):
            self.jobs[seq].free(0.0)
            self.jobs[seq].reserved = 0
            self.jobs[seq].unknown.discard(self.jobs[seq].submission)

    @rule(seq=seqs)
    def abandoned(self, seq: int) -> None:
        seq = self.aim(seq, Event.ABANDONED)
        if self.attempt(Event.ABANDONED, seq, lambda w: w.abandoned(seq)):
            self.jobs[seq].free()
            self.jobs[seq].reserved = 0
            self.jobs[seq].abandoned = True

    @rule(seq=seqs)
    def retried(self, seq: int) -> None:
        seq = self.aim(seq, Event.RETRY_RENDER, Event.RETRY_FOLLOW)
        model = self.jobs[seq]
        follows = model.project is not None and model.status in LIVING
        event = Event.RETRY_FOLLOW if follows else Event.RETRY_RENDER
        if self.attempt(event, seq, lambda w: w.retried(seq)):
            model.free(0.0)
            model.abandoned = False
            if follows:
                model.reserved = max(0, model.worst - self.stated[model.project or ""])
            else:
                model.project = model.status = None

    # --- looks ---

    def restated(self, model: Model, credits: int | None) -> None:
        if credits is not None and model.project is not None:
            self.stated[model.project] = credits
        cost = self.stated[model.project] if model.project is not None else 0
        model.reserved = min(model.reserved, max(0, model.worst - cost))

    @rule(seq=seqs, wild=wilds, status=st.sampled_from(["queued", "rendering"]), credits=stated, wait=waits)
    def still_rendering(self, seq: int, wild: str | None, status: str, credits: int | None, wait: float) -> None:
        seq = self.aim(seq, Event.STILL_RENDERING)
        owner, look_at = self.owner_of(seq, wild), self.clock.at + wait
        if self.attempt(
            Event.STILL_RENDERING,
            seq,
            lambda w: w.still_rendering(seq, owner, status, credits, look_at),
            owner=owner,
        ):
            self.jobs[seq].not_before, self.jobs[seq].status = look_at, status
            self.restated(self.jobs[seq], credits)

    @rule(seq=seqs, wild=wilds, credits=stated)
    def render_done(self, seq: int, wild: str | None, credits: int | None) -> None:
        seq = self.aim(seq, Event.RENDER_DONE)
        owner = self.owner_of(seq, wild)
        if self.attempt(Event.RENDER_DONE, seq, lambda w: w.render_done(seq, owner, credits, 25.0), owner=owner):
            model = self.jobs[seq]
            model.not_before, model.status = 0.0, "complete"
            self.restated(model, credits)
            model.reserved = 0

    @rule(seq=seqs, wild=wilds, how=st.sampled_from(["error", "deleted", "missing", "canceled"]), credits=stated)
    def ended_badly(self, seq: int, wild: str | None, how: str, credits: int | None) -> None:
        seq = self.aim(seq, Event.RENDER_FAILED)
        owner = self.owner_of(seq, wild)
        event = Event.VENDOR_CANCELED if how == "canceled" else Event.RENDER_FAILED

        def write(w: Writes) -> None:
            if how == "canceled":
                w.vendor_canceled(seq, owner, credits, "canceled there")
            else:
                w.render_failed(seq, owner, how, credits, "code", "words")

        if self.attempt(event, seq, write, owner=owner):
            model = self.jobs[seq]
            model.free()
            model.status = how
            self.restated(model, credits)
            model.reserved = 0

    # --- downloads ---

    @rule(seq=seqs, wild=wilds)
    def look_again(self, seq: int, wild: str | None) -> None:
        seq = self.aim(seq, Event.LOOK_AGAIN)
        owner = self.owner_of(seq, wild)
        if self.attempt(Event.LOOK_AGAIN, seq, lambda w: w.look_again(seq, owner), owner=owner):
            self.jobs[seq].free()

    @rule(seq=seqs, wild=wilds)
    def output_saved(self, seq: int, wild: str | None) -> None:
        seq = self.aim(seq, Event.OUTPUT_SAVED)
        owner = self.owner_of(seq, wild)
        if self.attempt(
            Event.OUTPUT_SAVED, seq, lambda w: w.output_saved(seq, owner, [f"/out/{seq}.mp4"]), owner=owner
        ):
            self.jobs[seq].free(0.0)

    # --- failures of any stage ---

    @rule(seq=seqs, wild=wilds, wait=waits, strike=st.booleans(), credits=stated)
    def attempt_failed(self, seq: int, wild: str | None, wait: float, strike: bool, credits: int | None) -> None:
        seq = self.aim(seq, Event.ATTEMPT_FAILED)
        owner, at, model = self.owner_of(seq, wild), self.clock.at + wait, self.jobs[seq]
        if model.project is None:
            credits = None  # nobody states the credits of nothing
        if self.attempt(
            Event.ATTEMPT_FAILED,
            seq,
            lambda w: w.attempt_failed(seq, owner, "odd", "words", at, strike=strike, credits=credits),
            owner=owner,
        ):
            model.free(at)
            self.restated(model, credits)

    @rule(seq=seqs, wild=wilds)
    def gave_up(self, seq: int, wild: str | None) -> None:
        seq = self.aim(seq, Event.GAVE_UP)
        owner = self.owner_of(seq, wild)
        if self.attempt(Event.GAVE_UP, seq, lambda w: w.gave_up(seq, owner, "odd", "words"), owner=owner):
            self.jobs[seq].free()
            self.jobs[seq].reserved = 0

    # --- what holds at every moment ---

    def check(self) -> None:
        self.the_rows_are_the_model()
        self.nothing_is_broken()
        self.every_credit_is_accounted_for()
        self.the_open_submissions_are_the_models()
        self.what_was_written_is_never_changed()

    def select(self, sql: str) -> list[Row]:
        return self.looking_on.execute(sql).fetchall()

    def everything(self) -> dict[str, list[Row]]:
        return {table: self.select(f"SELECT * FROM {table}") for table in TABLES}

    def full_exposure(self) -> int:
        return int(self.select("SELECT coalesce(sum(amount), 0) FROM credit_entries")[0][0])

    @invariant()
    def the_rows_are_the_model(self) -> None:
        rows = self.select(
            "SELECT seq, state, lease_owner, not_before, reserved, project_id, vendor_status, submissions FROM jobs"
        )
        assert rows == [
            (m.seq, m.state.value, m.owner, m.not_before, m.reserved, m.project, m.status, m.submissions)
            for m in self.jobs.values()
        ]

    @invariant()
    def nothing_is_broken(self) -> None:
        """What `batchsync ledger check` verifies on a user's file."""
        assert self.ledger.read(lambda v: list(v.check())) == []

    @invariant()
    def every_credit_is_accounted_for(self) -> None:
        money = "kind IN ('charge', 'settle', 'refund')"
        projects: dict[str, int] = dict(
            self.select(f"SELECT project_id, sum(amount) FROM credit_entries WHERE {money} GROUP BY project_id")
        )
        assert projects == {
            project: credits for project, credits in self.stated.items() if credits or project in projects
        }
        assert all(net >= 0 for (net,) in self.select("SELECT net FROM jobs"))
        assert self.full_exposure() == self.ledger.write(lambda w: w.exposure(None)).total

    @invariant()
    def the_open_submissions_are_the_models(self) -> None:
        open_ones = self.select("SELECT job_seq, id FROM submissions WHERE settled_at IS NULL ORDER BY job_seq")
        submitting = [(m.seq, m.submission) for m in self.jobs.values() if m.state is State.SUBMITTING]
        assert open_ones == submitting

    @invariant()
    def what_was_written_is_never_changed(self) -> None:
        for table, before in self.past.items():
            now = self.select(f"SELECT * FROM {table} ORDER BY id")
            assert now[: len(before)] == before
            self.past[table] = now


@pytest.mark.parametrize("way", WAYS)
def test_every_event_in_every_state(way: str) -> None:
    """What the machine does by chance, once for sure: a job for each event, all brought to the same state."""
    machine, count = LedgerMachine(), len(COMING)
    try:
        machine.begin(None, count, ("",) * count)
        machine.bring(1 + count, way)
        for seq in range(2, count + 1):
            machine.bring(seq + count, way.replace("s", "") if machine.jobs[seq].state is State.SUBMITTING else way)
        assert {model.state for model in machine.jobs.values()} == {WAYS[way]}
        for seq, event in enumerate(COMING, start=1):
            machine.come(event, seq + count, ESTIMATE)
            machine.check()
    finally:
        machine.teardown()


def test_every_state_is_tried() -> None:
    assert set(WAYS.values()) == set(State)


def test_the_ledger_is_the_model_whatever_happens() -> None:
    """A failure is told as it was found: to shrink it would take minutes, and the steps are readable."""
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
