"""How long a large manifest takes to plan and to be added to a ledger, and how much memory that needs.

    python tests/bench/plan.py [rows]

Each step runs in a process of its own, through the code that `plan` and `run` use. Nothing is probed.
"""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import RSS_BYTES

from batchsync.ledger.ledger import Ledger
from batchsync.media.probe import Probed
from batchsync.runner.intake import prepare_at, take_in

CASES = ("addresses", "files")
STEPS = ("new", "again")
VIDEOS = 90
MB = 1_000_000


def write_manifest(folder: Path, case: str, rows: int) -> None:
    """A CSV of `rows` different jobs, every other one without an id: media at addresses, or a few local files."""
    for n in range(VIDEOS if case == "files" else 0):
        (folder / f"video-{n}.mp4").write_bytes(b"video %d " % n * 100_000)
        (folder / f"voice-{n}.mp3").write_bytes(b"voice %d " % n * 10_000)
    with (folder / "jobs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "video", "audio", "start_seconds", "end_seconds", "tag.lang"])
        base = "" if case == "files" else "https://cdn.example/media/"
        for n in range(rows):
            video = f"{base}video-{n % VIDEOS}.mp4"
            audio = f"{base}voice-{n % VIDEOS if case == 'files' else n}.mp3"
            start = n // VIDEOS / 1000 if case == "files" else 0
            writer.writerow([f"job-{n:06d}" if n % 2 else "", f"Clip {n}", video, audio, start, start + 12.5, "es"])


def measure(step: str, folder: Path) -> None:
    """Plan and add; print the seconds of each, and the most memory that each needed."""
    # The module, which the function of the same name hides in its package.
    sys.modules["batchsync.media.facts"].probe = lambda path: Probed()  # type: ignore[attr-defined]
    ledger = str(folder / "batchsync.db")
    began = now()
    prepared = prepare_at(str(folder / "jobs.csv"), folder / "outputs", ledger)
    planned = now()
    with Ledger(ledger, create=True) as book:
        take_in(book, prepared)
    added = now()
    print(f"  {step:<6} {len(prepared.plan.jobs):>9,} jobs, {len(prepared.plan.new):>9,} new")
    for name, before, after in (("planned", began, planned), ("added", planned, added)):
        wall, cpu = after[0] - before[0], after[1] - before[1]
        print(f"    {name:<8} {wall:5.1f} s ({cpu:4.1f} s of CPU), peak {after[2]:4.0f} MB", flush=True)


def now() -> tuple[float, float, float]:
    """Seconds, seconds of CPU, and the most MB so far."""
    return time.perf_counter(), time.process_time(), peak_mb()


def peak_mb() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_BYTES / MB


def main(rows: int) -> None:
    for case in CASES:
        print(f"{case}, {rows:,} rows", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            write_manifest(Path(folder), case, rows)
            for step in STEPS:
                subprocess.run([sys.executable, __file__, step, folder], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in STEPS:
        measure(sys.argv[1], Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
