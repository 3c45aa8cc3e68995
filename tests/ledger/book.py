"""Real ledgers in temporary folders: a clock that moves when it is told to, jobs to put in, and a look inside."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from batchsync.ledger.intake import Added, Process
from batchsync.ledger.ledger import Ledger, Writes
from batchsync.model.job import JobSpec, Mode, PlannedJob, Source, SourceKind, token_for
from batchsync.model.problem import Place
from batchsync.model.states import State

NOON = 1_800_000_000.0
ESTIMATE, WORST = 60, 100
HERE = Process("here", 1, "1")

Row = tuple[Any, ...]


class Hands:
    """A clock that stands still until its hands are moved."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def job(
    id_: str, ask: str | None = None, /, *, worst: int = WORST, estimate: int = ESTIMATE, **spec: Any
) -> PlannedJob:
    """A planned job whose media are at URLs: nothing to upload."""
    fields: dict[str, Any] = {
        "place": Place("/w/jobs.csv", 2),
        "video": Source(SourceKind.URL, f"https://cdn.example/{id_}.mp4"),
        "audio": Source(SourceKind.URL, f"https://cdn.example/{id_}.wav"),
        "id": id_,
        "generation_mode": Mode.LITE,
        "max_fps_limit": 50.0,  # so that nothing but `worst` bounds what it may cost
        "row": {"id": id_},
    }
    return PlannedJob(
        spec=JobSpec(**(fields | spec)),
        id=id_,
        auto_id=False,
        token=token_for(f"id:{id_}"),
        ask=ask or f"ask of {id_}",
        end_seconds=2.0,
        estimate=estimate,
        worst=worst,
        output=f"{id_}.mp4",
    )


def jobs(count: int, **more: Any) -> list[PlannedJob]:
    return [job(f"job-{n:03d}", **more) for n in range(count)]


def add(ledger: Ledger, planned: Sequence[PlannedJob], path: str = "/w/jobs.csv", output_dir: str = "/out") -> Added:
    return ledger.write(lambda w: w.add(path, ["id"], planned, output_dir))


def start_run(
    ledger: Ledger,
    run_id: str,
    *,
    manifest_id: int | None = None,
    process: Process = HERE,
    limit: int | None = None,
    options: dict[str, Any] | None = None,
) -> int:
    """Register a run and give it the unfinished jobs; returns how many."""

    def write(w: Writes) -> int:
        w.start_run(
            process, manifest_id=manifest_id, version="0", api_url="http://vendor.invalid", options=options or {}
        )
        return w.take_on(run_id, manifest_id, limit)

    return ledger.write(write, run_id)


SCOPE = "account"


def make_ready(ledger: Ledger, run_id: str, count: int, expire_at: float | None = None) -> None:
    """Take `count` jobs of a run to the brink of their submission."""

    def write(w: Writes) -> None:
        for claimed in w.claim(run_id, State.PLANNED, count, 60.0):
            w.assets_ready(claimed.seq, run_id, "api-assets/v", "api-assets/a", expire_at)

    ledger.write(write, run_id)


def query(path: Path, sql: str, *values: Any) -> list[Row]:
    """Rows, as somebody else's program would read them."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql, values).fetchall()


TABLES = (
    "info",
    "manifests",
    "media",
    "uploads",
    "jobs",
    "runs",
    "balances",
    "events",
    "job_tags",
    "manifest_entries",
    "outputs",
    "run_jobs",
    "submissions",
    "credit_entries",
    "alembic_version",
)


def dump(path: Path) -> dict[str, list[Row]]:
    """All that stands in a ledger."""
    with closing(sqlite3.connect(path)) as database:
        return {name: database.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in TABLES[:-1]}


def columns(path: Path, seq: int, names: str) -> Row:
    """Some columns of a job."""
    return query(path, f"SELECT {names} FROM jobs WHERE seq = ?", seq)[0]


@functools.cache
def blank() -> bytes:
    """A migrated ledger with nothing in it: copying one is much quicker than migrating."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "blank.db")
        Ledger(str(path), create=True).close()
        return path.read_bytes()


def open_blank(path: Path, clock: Hands | None = None) -> Ledger:
    """A new ledger at `path`."""
    path.write_bytes(blank())
    return Ledger(str(path), clock=clock or Hands())
