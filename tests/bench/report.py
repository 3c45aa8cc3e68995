"""How long the report of a large ledger takes, and how much memory it needs.

    python tests/bench/report.py [jobs]

Fills a ledger with `jobs` jobs of half a year, ten events each, and runs `batchsync report` as users do.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from processes import cost_of

from batchsync.ledger.ledger import Ledger

EVENTS = ("added", "assets_ready", "submit_started", "submit_accepted", *["still_rendering"] * 4, "render_done")
EVENTS = (*EVENTS, "output_saved")
BEGAN, SPAN = 1_780_000_000.0, 180 * 86400.0
MODES, LANGS = ("lite", "standard", "pro"), ("es", "fr", "de", "it", None)
REPORTS = (
    *(("--by", by) for by in ("manifest", "run", "day", "month", "mode", "tag:lang", "job")),
    ("--by", "tag:lang", "--price", "usage:creator"),
    ("--by", "day", "--since", "2026-09-01", "--until", "2026-10-01", "--price", "usage:creator"),
    ("--by", "job", "--format", "json"),
    ("--by", "job", "--format", "json", "--price", "usage:creator"),
    ("--by", "job", "--format", "csv"),
    ("--by", "job", "--wide", "--price", "usage:creator"),
    ("--by", "tag:lang", "--format", "html", "--price", "usage:creator"),
    ("--by", "job", "--format", "html"),
)


def job(seq: int, jobs: int) -> dict[str, Any]:
    """A job: one in fifty failed with its credits back, one in a thousand is held."""
    state = "failed" if seq % 50 == 0 else "held" if seq % 1000 == 1 else "complete"
    estimate = 300 + seq % 7 * 30
    final = {"failed": 0, "held": 0}.get(state, estimate - seq % 5 * 10)
    project = None if state == "held" else f"c{seq:012d}"
    return {
        "seq": seq,
        "id": f"night-{seq // 1000:03d}-clip-{seq:06d}",
        "token": f"t{seq:07d}",
        "ask": f"{seq:064x}",
        "manifest_id": seq % 20 + 1,
        "added_at": BEGAN,
        "name": f"Clip {seq}",
        "video": f"https://cdn.example.com/masters/video-{seq % 90}.mp4",
        "audio": f"https://cdn.example.com/voices/voice-{seq}.wav",
        "end_seconds": estimate / 30,
        "generation_mode": MODES[seq % 3],
        "output": f"clip-{seq:06d}.mp4",
        "estimate": estimate,
        "state": state,
        "project_id": project,
        "net": final,
        "submitted_at": BEGAN + SPAN * seq / jobs,
        "error_code": {"failed": "no_source_face", "held": "read_timeout"}.get(state),
    }


JOB = """INSERT INTO jobs (seq, id, auto_id, token, ask, manifest_id, added_at, name, video_kind, video, audio_kind,
    audio, start_seconds, end_seconds, generation_mode, output, output_dir, estimate, worst, state, project_id,
    project_credits, reserved, net, submissions, submitted_at, error_code, not_before, tries, strikes)
    VALUES (:seq, :id, 0, :token, :ask, :manifest_id, :added_at, :name, 'url', :video, 'url', :audio, 0,
    :end_seconds, :generation_mode, :output, '/outputs', :estimate, :estimate, :state, :project_id, :net, 0, :net,
    1, :submitted_at, :error_code, 0, 0, 0)"""


def entries(job: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Reserve, charge and what came after it."""
    seq, estimate, at = job["seq"], job["estimate"], job["submitted_at"]
    run = f"run-{seq % 200:03d}"
    yield (seq, seq, None, run, "reserve", estimate, at)
    if job["project_id"] is None:
        return
    yield (seq, seq, job["project_id"], run, "charge", estimate, at + 1)
    yield (seq, seq, None, run, "release", -estimate, at + 1)
    if job["net"] != estimate:
        kind = "refund" if job["state"] == "failed" else "settle"
        yield (seq, None, job["project_id"], run, kind, job["net"] - estimate, at + 230)


def fill(path: Path, count: int) -> None:
    """A ledger of `count` jobs, written past its guards: nothing but its size matters here."""
    Ledger(str(path), create=True).close()
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute("PRAGMA synchronous=OFF")
        manifests = ((n, f"/home/producer/nights/batch-{n:02d}.csv", "[]", BEGAN) for n in range(1, 21))
        ledger.executemany("INSERT INTO manifests (id, path, columns, added_at) VALUES (?, ?, ?, ?)", manifests)
        runs = ((f"run-{n:03d}", BEGAN) for n in range(200))
        ledger.executemany(
            "INSERT INTO runs (id, started_at, host, pid, version, api_url, options) "
            "VALUES (?, ?, 'here', 1, '0', 'https://api.example', '{}')",
            runs,
        )
        jobs = [job(seq, count) for seq in range(1, count + 1)]
        ledger.executemany(JOB, jobs)
        tags = ((one["seq"], "lang", LANGS[one["seq"] % 5]) for one in jobs if LANGS[one["seq"] % 5])
        ledger.executemany("INSERT INTO job_tags VALUES (?, ?, ?)", tags)
        ledger.executemany(
            "INSERT INTO submissions (id, job_seq, run_id, number, name, started_at, outcome, project_id) "
            "VALUES (:seq, :seq, 'run-' || substr('00' || (:seq % 200), -3), 1, :name, :submitted_at, "
            "CASE :state WHEN 'held' THEN 'unknown' ELSE 'created' END, :project_id)",
            jobs,
        )
        ledger.executemany(
            "INSERT INTO credit_entries (job_seq, submission_id, project_id, run_id, kind, amount, at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (entry for one in jobs for entry in entries(one)),
        )
        ledger.executemany(
            "INSERT INTO events (job_seq, at, event, to_state) VALUES (?, ?, ?, 'rendering')",
            ((one["seq"], BEGAN, event) for one in jobs for event in EVENTS),
        )
        last = ledger.execute("SELECT max(id), sum(amount) FROM credit_entries WHERE project_id IS NOT NULL")
        newest, spent = last.fetchone()
        ledger.executemany(
            "INSERT INTO balances (at, moment, account_id, tier, credits, last_entry, quiet) "
            "VALUES (?, ?, 'acc_1', 'creator', ?, ?, 1)",
            ((BEGAN, "start", 10**9, 0), (BEGAN + SPAN, "end", 10**9 - spent, newest)),
        )


def measure(path: Path, words: tuple[str, ...]) -> None:
    """Run a report as a process of its own; print its seconds and the most memory that it had."""
    command = [sys.executable, "-m", "batchsync", "report", "--ledger", str(path), *words]
    with tempfile.TemporaryFile() as out:
        cost, size = cost_of(command, Path.cwd(), out=out), out.seek(0, os.SEEK_END)
    figures = f"{cost.wall:5.2f} s ({cost.cpu:5.2f} s of CPU), peak {cost.peak / 1e6:4.0f} MB, {size:>11,} B"
    print(f"  {figures}  {' '.join(words)}", flush=True)


def main(jobs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "batchsync.db")
        fill(path, jobs)
        print(f"{jobs:,} jobs, {jobs * len(EVENTS):,} events, {path.stat().st_size / 1e6:,.0f} MB", flush=True)
        for words in REPORTS:
            measure(path, words)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
