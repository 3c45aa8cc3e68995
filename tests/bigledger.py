"""Large ledgers, made quickly and true to life: `ledger check` finds nothing wrong with them.

Jobs come in as users' do, through a manifest and its plan; what happened to them since is then written in bulk, by
the product's own tables and its own rules for states and credits.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from batchsync.ledger.engine import make_engine
from batchsync.ledger.intake import Process
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.moves import chunks
from batchsync.ledger.tables import Balance, CreditEntry, Job, JobEvent, Output, Run, RunJob, Submission, table
from batchsync.model.credits import MONEY_KINDS, Stake, move
from batchsync.model.states import TRANSITIONS, Event, State, next_state
from batchsync.runner.intake import prepare_at, take_in

BEGAN = 1_700_000_000.0
NIGHT = 10_000  # jobs that one run took on
BATCH = 1_000  # jobs whose events lie among one another, as those of jobs in flight at one time do
LANGUAGES = ("es", "fr", "de", "it", "pt")
GONE = Process("elsewhere", 1, "1")  # the machine of runs that are over


@dataclass(frozen=True, slots=True)
class BigLedger:
    """Where a ledger and its manifest are, how many jobs it has, and one of them."""

    ledger: Path
    manifest: Path
    jobs: int
    job: str

    @property
    def outputs(self) -> Path:
        return self.manifest.parent / "outputs"


# --- lives ---

_RENDER = (Event.ASSETS_READY, Event.SUBMIT_STARTED, Event.SUBMIT_ACCEPTED, *[Event.STILL_RENDERING] * 4)
LIVES = {
    "complete": (*_RENDER, Event.RENDER_DONE, Event.OUTPUT_SAVED),
    "failed": (*_RENDER, Event.RENDER_FAILED),
    "held": (Event.ASSETS_READY, Event.SUBMIT_STARTED, Event.SUBMIT_LOST),
    "rendering": _RENDER,
    "uploaded": (Event.ASSETS_READY,),
    "planned": (),
}


def finished(number: int, jobs: int) -> str:
    """A ledger whose work is done: one job in a hundred failed, one in a thousand is held."""
    if number % 1000 == 500:
        return "held"
    return "failed" if number % 100 == 7 else "complete"


def half(number: int, jobs: int) -> str:
    """A ledger whose run was cut short in its middle."""
    if number < jobs // 2:
        return finished(number, jobs)
    return {0: "rendering", 1: "uploaded"}.get((number - jobs // 2) // min(100, jobs // 10), "planned")


def planned(number: int, jobs: int) -> str:
    """A ledger whose jobs were only added."""
    return "planned"


SHAPES = {"finished": finished, "half": half, "planned": planned}


# --- making one ---


def write_manifest(path: Path, jobs: int, prefix: str = "job") -> None:
    """A CSV of `jobs` different jobs, every other one without an id; media at addresses, so that nothing is read."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "video", "audio", "end_seconds", "tag.lang", "tag.series"])
        for n in range(jobs):
            video = f"https://cdn.example/masters/{prefix}-{n % 90}.mp4"
            audio = f"https://cdn.example/voices/{prefix}-{n:06d}.mp3"
            name = f"{prefix}-{n:06d}" if n % 2 else ""
            writer.writerow([name, f"Clip {n}", video, audio, 12.5, LANGUAGES[n % 5], f"s{n % 40}"])


def make(folder: Path, jobs: int, shape: str = "finished", prefix: str = "job") -> BigLedger:
    """A ledger of `jobs` more jobs in `folder`, and their manifest; `shape` is one of SHAPES."""
    big = BigLedger(folder / "batchsync.db", folder / f"{prefix}.csv", jobs, f"{prefix}-{jobs // 4 * 2 + 1:06d}")
    write_manifest(big.manifest, jobs, prefix)
    prepared = prepare_at(str(big.manifest), big.outputs, str(big.ledger))
    with Ledger(str(big.ledger), create=True) as ledger:
        manifest_id = take_in(ledger, prepared).manifest_id
        url = ledger.url
    del prepared
    engine = make_engine(url, write=True)
    try:
        with engine.begin() as connection:
            _live(connection, manifest_id, jobs, shape, prefix)
    finally:
        engine.dispose()
    return big


def _live(connection: Connection, manifest_id: int, jobs: int, shape: str, prefix: str) -> None:
    added = select(Job.seq, Job.id, Job.worst, Job.estimate, Job.output, Job.output_dir)
    rows = connection.execute(added.where(Job.manifest_id == manifest_id).order_by(Job.seq)).all()
    kinds = [SHAPES[shape](number, jobs) for number in range(jobs)]
    for night, mine in enumerate(chunks(zip(rows, kinds, strict=True), NIGHT)):
        if any(kind != "planned" for _, kind in mine):
            _night(connection, f"{prefix}-run-{night:04d}", manifest_id, BEGAN + night * 86_400.0, mine)


def _night(
    connection: Connection, run_id: str, manifest_id: int, start: float, mine: Sequence[tuple[Any, str]]
) -> None:
    run = {
        "id": run_id,
        "manifest_id": manifest_id,
        "started_at": start,
        "ended_at": start + 40_000.0,
        "stopped": None,
        "host": GONE.host,
        "pid": GONE.pid,
        "pid_born": GONE.born,
        "version": "0",
        "api_url": "https://api.magichour.ai",
        "options": {"max_in_flight": 100},
    }
    connection.execute(insert(table(Run)), [run])
    connection.execute(insert(table(RunJob)), [{"run_id": run_id, "job_seq": row.seq} for row, _ in mine])
    for number, batch in enumerate(chunks(mine, BATCH)):
        _write(
            connection, [_Life(row, kind, run_id, start + number * 4000.0 + n) for n, (row, kind) in enumerate(batch)]
        )
    for moment, at in (("start", start), ("end", start + 40_000.0)):
        balance = {"run_id": run_id, "at": at, "moment": moment, "account_id": "acc", "tier": "pro", "credits": 10**8}
        connection.execute(insert(table(Balance)), [balance])


class _Life:
    """What happened to one job, as rows; each event a while after the one before."""

    def __init__(self, row: Any, kind: str, run_id: str, start: float) -> None:
        self.row = row
        self.run_id = run_id
        self.at = start
        self.state = State.PLANNED
        self.stake = Stake(0, 0, row.worst, row.estimate)
        self.net = 0
        self.project = f"cl{row.seq:022d}"
        self.job: dict[str, Any] = dict.fromkeys(_CHANGED)
        self.job |= {"at_seq": row.seq, "submissions": 0}
        self.events: list[dict[str, Any]] = []
        self.entries: list[dict[str, Any]] = []
        for event in LIVES[kind]:
            self._step(event)
        self.job |= {
            "state": self.state.value,
            "reserved": self.stake.reserved,
            "project_credits": self.stake.project,
            "net": self.net,
        }

    def _step(self, event: Event) -> None:
        self.at += 25.0
        detail = None
        if event is Event.SUBMIT_STARTED:
            self.job |= {"submissions": 1, "submitted_at": self.at}
            detail = {"submission": self.row.seq, "max_fps_limit": None}
        elif event is Event.SUBMIT_ACCEPTED:
            self.job |= {"project_id": self.project, "vendor_status": "rendering"}
        elif event is Event.RENDER_DONE:
            self.job |= {"vendor_status": "complete", "rendered_at": self.at}
            detail = {"fps": 25.0, "credits": self.row.estimate}
        elif event in (Event.SUBMIT_LOST, Event.RENDER_FAILED):
            self.job |= {"error_code": event.value, "error_message": "as the vendor put it"}
        if (to := next_state(event, self.state)) in (State.COMPLETE, State.FAILED):
            self.job["finished_at"] = self.at
        self._credits(event)
        self.events.append(self._event(event, to, detail))
        self.state = to

    def _event(self, event: Event, to: State, detail: Mapping[str, Any] | None) -> dict[str, Any]:
        return {
            "job_seq": self.row.seq,
            "run_id": self.run_id,
            "at": self.at,
            "event": event.value,
            "from_state": self.state.value,
            "to_state": to.value,
            "detail": detail,
        }

    def _credits(self, event: Event) -> None:
        stated = {Event.RENDER_DONE: self.row.estimate * 5 // 6, Event.RENDER_FAILED: 0}
        moved = move(TRANSITIONS[event].effect, self.stake, stated.get(event))
        self.stake = Stake(moved.reserved, moved.project, self.row.worst, self.row.estimate)
        self.net += moved.money
        self.entries += [
            {
                "job_seq": self.row.seq,
                "submission_id": self.row.seq,
                "project_id": self.project if kind in MONEY_KINDS else None,
                "run_id": self.run_id,
                "kind": kind.value,
                "amount": amount,
                "at": self.at,
            }
            for kind, amount in moved.entries
        ]

    @property
    def submission(self) -> dict[str, Any] | None:
        """Its only one, if it was submitted; it has the job's number."""
        if not self.job["submissions"]:
            return None
        lost = self.state is State.HELD
        return {
            "id": self.row.seq,
            "job_seq": self.row.seq,
            "run_id": self.run_id,
            "number": 1,
            "name": f"{self.row.id} · token",
            "started_at": self.job["submitted_at"],
            "settled_at": self.job["submitted_at"] + 25.0,
            "outcome": "unknown" if lost else "created",
            "code": "cut" if lost else None,
            "http_status": None if lost else 200,
            "project_id": None if lost else self.project,
        }

    @property
    def output(self) -> dict[str, Any] | None:
        """Its file, if it is complete."""
        if self.state is not State.COMPLETE:
            return None
        return {
            "job_seq": self.row.seq,
            "ordinal": 0,
            "project_id": self.project,
            "path": f"{self.row.output_dir}/{self.row.output}",
            "size": 1_000_000,
            "digest": f"{self.row.seq:064x}",
            "saved_at": self.at,
        }


_CHANGED = (
    "state",
    "reserved",
    "project_credits",
    "net",
    "submissions",
    "submitted_at",
    "project_id",
    "vendor_status",
    "rendered_at",
    "finished_at",
    "error_code",
    "error_message",
)
_JOB = update(table(Job)).where(Job.seq == bindparam("at_seq")).values({name: bindparam(name) for name in _CHANGED})


def _write(connection: Connection, lives: Sequence[_Life]) -> None:
    connection.execute(_JOB, [life.job for life in lives])
    _insert(connection, Submission, (life.submission for life in lives if life.submission))
    _insert(connection, JobEvent, _by_time(event for life in lives for event in life.events))
    _insert(connection, CreditEntry, _by_time(entry for life in lives for entry in life.entries))
    _insert(connection, Output, (life.output for life in lives if life.output))


def _by_time(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["at"])


def _insert(connection: Connection, entity: Any, rows: Iterable[dict[str, Any]]) -> None:
    if found := list(rows):
        connection.execute(insert(table(entity)), found)
