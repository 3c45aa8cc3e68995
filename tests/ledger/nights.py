"""An account and the ledger that spends from it: what the vendor takes, settles and gives back, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from ledger.book import Hands, add, make_ready, start_run

from batchsync.ledger.claims import Intent
from batchsync.ledger.ledger import Ledger
from batchsync.model.job import PlannedJob
from batchsync.model.states import State

LEASE = 1e9


def at(text: str, zone: str = "UTC") -> float:
    """A moment in epoch seconds: `2026-03-29 01:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


class Account:
    """What the account holds follows the vendor's word only; the ledger is told the same, and adds up for itself."""

    def __init__(self, ledger: Ledger, clock: Hands, planned: Sequence[PlannedJob] = (), run: str = "run-a") -> None:
        self.ledger, self.clock, self.run = ledger, clock, run
        self.balance = 100_000
        self.stated: dict[str, int] = {}
        if planned:
            self.take_on(planned)

    def take_on(self, planned: Sequence[PlannedJob], path: str = "/w/jobs.csv", run: str | None = None) -> None:
        """Add jobs, and start a run that has every unfinished job."""
        self.run = run or self.run
        add(self.ledger, planned, path)
        start_run(self.ledger, self.run)

    def send(self, when: float) -> Intent:
        """Submit the next job; nobody has answered yet."""
        self.clock.at = when
        make_ready(self.ledger, self.run, 1)
        claim = self.ledger.write(
            lambda w: w.claim_submissions(self.run, 1, LEASE, max_in_flight=99, name=lambda job: job.id), self.run
        )
        return claim.intents[0]

    def charge(self, when: float, credits: int = 60) -> Intent:
        """Submit the next job; the vendor makes a project of it."""
        intent = self.send(when)
        project = f"p{intent.submission_id}"
        self._state(project, credits)
        self.ledger.write(
            lambda w: w.accepted(intent.job.seq, intent.submission_id, project, credits, when, 200), self.run
        )
        self.ledger.write(lambda w: w.claim(self.run, State.RENDERING, 9, LEASE), self.run)
        return intent

    def lose(self, when: float, credits: int = 0) -> Intent:
        """Submit the next job; the answer is lost, and the vendor may have taken `credits` for it."""
        intent = self.send(when)
        self.balance -= credits
        self.ledger.write(lambda w: w.lost(intent.job.seq, intent.submission_id, "cut", "gone", None), self.run)
        return intent

    def settle(self, when: float, intent: Intent, credits: int, *, saved: bool = True) -> None:
        """The render is finished and cost `credits` in the end; its file arrives."""
        self.clock.at = when
        self._state(f"p{intent.submission_id}", credits)
        self.ledger.write(lambda w: w.render_done(intent.job.seq, self.run, credits, 25.0), self.run)
        if saved:
            self.ledger.write(lambda w: w.output_saved(intent.job.seq, self.run, ["/out/x.mp4"]), self.run)

    def fail(self, when: float, intent: Intent, credits: int = 0, code: str = "no_source_face") -> None:
        """The render fails, and the vendor keeps `credits` of what it took."""
        self.clock.at = when
        self._state(f"p{intent.submission_id}", credits)
        self.ledger.write(
            lambda w: w.render_failed(intent.job.seq, self.run, "error", credits, code, "no face"), self.run
        )

    def retry(self, when: float, intent: Intent) -> None:
        """A person puts a failed job back."""
        self.clock.at = when
        self.ledger.write(lambda w: w.retried(intent.job.seq))
        start_run(self.ledger, f"{self.run}+")
        self.run += "+"

    def read(self, when: float, moment: str = "start", account: str = "acc") -> None:
        """The balance is read and written down."""
        self.clock.at = when
        before = self.ledger.read(lambda v: v.standing())
        self.ledger.write(lambda w: w.balance(moment, account, "creator", self.balance, before), self.run)

    def _state(self, project: str, credits: int) -> None:
        self.balance -= credits - self.stated.get(project, 0)
        self.stated[project] = credits
