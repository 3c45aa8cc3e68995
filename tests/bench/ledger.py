"""How quickly a large ledger answers, and what a run's own statements cost in it.

    python tests/bench/ledger.py [jobs…]      # 1000 10000 100000, unless others are given

First the commands, each as a process of its own: seconds from its start to its end, seconds of CPU, peak MB. Then
what a run asks of the ledger again and again, in milliseconds of CPU, where all jobs are its own and where they are
others'.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bigledger import GONE, BigLedger, make
from processes import Cost, cost_of

from batchsync.ledger.ledger import Ledger, Writes
from batchsync.ledger.views import Views
from batchsync.model.states import UNFINISHED, State
from batchsync.runner.books import IN_FLIGHT

SIZES = (1_000, 10_000, 100_000)
TIMES = 3  # of which the quickest counts: what else the machine does only makes a command slower
MINE = 200  # jobs of a run beside those of others
MB = 1_000_000
REFUSED = 2  # the exit code of a run whose key is refused


# --- commands ---


def run(words: Sequence[str], folder: Path) -> Cost:
    """Run a command of batchsync to its end."""
    env = {"MAGIC_HOUR_API_KEY": "mhk_bench", "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    return cost_of([sys.executable, "-m", "batchsync", *words], folder, env=env, fine=(0, 1, REFUSED))


def best(words: Sequence[str], folder: Path) -> Cost:
    return min((run(words, folder) for _ in range(TIMES)), key=lambda cost: cost.wall)


class Door:
    """A server that notes when the first request comes, and refuses every key: a run ends of itself then."""

    def __init__(self) -> None:
        self.opened: float | None = None
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            with self._server.accept()[0] as client:
                client.recv(65536)
                self.opened = self.opened or time.perf_counter()
                client.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def first_request(words: Sequence[str], big: BigLedger) -> Cost:
    """`resume`, or `run` of the manifest, until its first request arrives; each works on a ledger of its own."""
    found = []
    for n in range(TIMES):
        ledger, door = big.ledger.with_name(f"resumed-{n}.db"), Door()
        shutil.copy(big.ledger, ledger)
        began = time.perf_counter()
        cost = run([*words, "--ledger", str(ledger), "--api-url", door.url], big.ledger.parent)
        if door.opened is None:
            raise SystemExit(f"{words[0]} made no request")
        found.append(replace(cost, wall=door.opened - began))
    return min(found, key=lambda cost: cost.wall)


def commands(finished: BigLedger, half: BigLedger) -> dict[str, Cost]:
    """What people run on a ledger whose jobs are done, or half done."""
    manifest = [finished.manifest.name, "--output-dir", "outputs"]
    quick = {
        "--version": ["--version"],
        "status": ["status"],
        "status --json": ["status", "--json"],
        "jobs --limit 20": ["jobs", "--limit", "20"],
        "jobs --state failed": ["jobs", "--state", "failed"],
        "show JOB": ["show", finished.job],
        "report": ["report"],
        "report --by month": ["report", "--by", "month"],
        "plan, all known": ["plan", *manifest, "--api-url", "http://127.0.0.1:9"],
        "run, all complete": ["run", *manifest, "--yes", "--api-url", "http://127.0.0.1:9"],
    }
    costs = {name: best(words, finished.ledger.parent) for name, words in quick.items()}
    costs["resume, first request"] = first_request(["resume"], half)
    costs["run again, first request"] = first_request(["run", *manifest, "--yes"], half)
    return costs


# --- what a run does again and again ---


class _Undo(Exception):
    """Rolls a measured write back."""


def milliseconds(ledger: Ledger, work: Callable[[Any], object], run_id: str | None = None) -> float:
    """The usual CPU time of a read, or of a write of `run_id`, which is undone: the commit isn't counted."""
    took: list[float] = []

    def timed(on: Any) -> None:
        began = time.process_time()
        work(on)
        took.append(1000 * (time.process_time() - began))
        raise _Undo

    for _ in range(7):
        with suppress(_Undo):
            ledger.read(timed) if run_id is None else ledger.write(timed, run_id)
    return statistics.median(took)


def statements(big: BigLedger, manifest_id: int, jobs: int) -> dict[str, float]:
    """Milliseconds of each method that a run calls, for a new run of a manifest."""
    run_id = f"bench-{manifest_id}"

    def begin(w: Writes) -> int:
        w.start_run(GONE, manifest_id=manifest_id, version="0", api_url="http://127.0.0.1:9", options={})
        return w.take_on(run_id, manifest_id)

    def ready(w: Writes) -> None:
        for job in w.claim(run_id, State.PLANNED, 50, 60.0):
            w.assets_ready(job.seq, run_id, "api-assets/v", "api-assets/a", None)

    def claim(w: Writes, **cap: Any) -> None:
        w.claim_submissions(run_id, 1, 60.0, max_in_flight=10**6, name=lambda job: job.id, **cap)

    with Ledger(str(big.ledger)) as ledger:
        began = time.perf_counter()
        taken = ledger.write(begin, run_id)
        costs = {f"start_run, take_on ({taken:,} jobs)": 1000 * (time.perf_counter() - began)}
        ledger.write(ready, run_id)
        exposure = ledger.write(lambda w: w.exposure(manifest_id))
        capped = {"cap": 10**12, "cap_manifest": manifest_id, "exposure": exposure}
        writes: dict[str, Callable[[Writes], object]] = {
            "claim an upload": lambda w: w.claim_uploads(run_id, 1, 60.0, ahead=60, scope="scope", until=0.0),
            "claim a submission": claim,
            "claim a submission, capped": lambda w: claim(w, **capped),
            "claim a look": lambda w: w.claim(run_id, State.RENDERING, 1, 60.0),
            "claim a download": lambda w: w.claim(run_id, State.RENDERED, 1, 60.0),
            "reap": lambda w: w.reap(lambda *_: False),
            "take_on again": lambda w: w.take_on(run_id, manifest_id),
        }
        reads: dict[str, Callable[[Views], object]] = {
            "any_in (unfinished)": lambda v: v.any_in(run_id, UNFINISHED),
            "any_in (in flight)": lambda v: v.any_in(run_id, IN_FLIGHT),
            "standing": lambda v: v.standing(),
            "accounts_in": lambda v: v.accounts_in(run_id, IN_FLIGHT),
            "cheapest_waiting": lambda v: v.cheapest_waiting(run_id),
            "unfinished": lambda v: v.unfinished(manifest_id),
            "watch: counts": lambda v: v.counts(manifest_id),
            "watch: credits": lambda v: v.credits(manifest_id),
        }
        costs |= {name: milliseconds(ledger, work, run_id) for name, work in writes.items()}
        return costs | {name: milliseconds(ledger, work) for name, work in reads.items()}


def number_of(big: BigLedger) -> int:
    with Ledger(str(big.ledger)) as ledger:
        return ledger.read(lambda v: v.manifest_number(str(big.manifest)))


# --- tables ---


def table(title: str, sizes: Sequence[int], columns: Sequence[dict[str, Any]], show: Callable[[Any], str]) -> None:
    names = list(dict.fromkeys(name.split(" (")[0] if "jobs)" in name else name for c in columns for name in c))
    print(f"\n{title}\n{'':<28}" + "".join(f"{size:>26,} jobs" for size in sizes))
    for name in names:
        found = [next(value for key, value in column.items() if key.startswith(name)) for column in columns]
        print(f"{name:<28}" + "".join(f"{show(value):>31}" for value in found), flush=True)


def main(sizes: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made: list[dict[str, BigLedger]] = []
        for size in sizes:
            began = time.perf_counter()
            made.append({})
            for shape in ("finished", "half", "planned"):
                place = Path(folder, f"{shape}-{size}")
                place.mkdir()
                made[-1][shape] = make(place, size, shape)
            print(f"three ledgers of {size:,} jobs made in {time.perf_counter() - began:.0f} s", flush=True)
        table("Commands: wall, CPU, peak", sizes, [commands(m["finished"], m["half"]) for m in made], _cost)
        mine = [statements(m["planned"], number_of(m["planned"]), m["planned"].jobs) for m in made]
        table("A run's statements, all jobs its own, all planned, in ms", sizes, mine, _ms)
        half = [statements(m["half"], number_of(m["half"]), m["half"].jobs) for m in made]
        table("… half of them complete, in ms", sizes, half, _ms)
        others = []
        for m in made:
            few = make(m["planned"].ledger.parent, MINE, "planned", "mine")
            others.append(statements(few, number_of(few), MINE))
        table(f"… its own {MINE} beside planned jobs of others, in ms", sizes, others, _ms)


def _cost(cost: Cost) -> str:
    return f"{cost.wall:6.2f} s {cost.cpu:6.2f} s {cost.peak / MB:4.0f} MB"


def _ms(value: float) -> str:
    return f"{value:.2f}"


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
