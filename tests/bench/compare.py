"""The product beside the vendor's SDK in threads and a bare loop without a ledger: same sandbox, same work, in turns.

    python tests/bench/compare.py [--jobs 1000] [--rounds 3] [--sdk-jobs 200] [--only product,bare]

Jobs are 30 videos x 60 audios, each file small, and renders take about 2 s; everything is on loopback. Each turn has
a sandbox and a folder of its own, and runs in a process of its own, so that its CPU and its memory are its own. The
SDK is given fewer jobs, as it needs so much longer; its figures are per job too. Last come the ratios of medians.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import urllib.request
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contestants import IN_FLIGHT, POLL_SECONDS
from processes import Cost, cost_of

from batchsync.sandbox.store import SAMPLE

VIDEOS, AUDIOS = 30, 60
MIB = 1 << 20
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contestant did: how many jobs, at what cost; requests as the sandbox counted them."""

    jobs: int
    cost: Cost
    requests: dict[str, int]

    @property
    def figures(self) -> dict[str, float]:
        gets = self.requests["project"] + self.requests["download"]
        return {
            "jobs/s": self.jobs / self.cost.wall,
            "ms CPU/job": 1000 * self.cost.cpu / self.jobs,
            "GETs/job": gets / self.jobs,
            "PUTs/job": self.requests["put"] / self.jobs,
            "requests/job": sum(self.requests.values()) / self.jobs,
            "peak MiB": self.cost.peak / MIB,
        }


def write_work(folder: Path, jobs: int) -> None:
    """A manifest `jobs.csv` of `jobs` different jobs, and its media."""
    sample = SAMPLE.read_bytes()
    for n in range(VIDEOS):
        (folder / f"video-{n}.mp4").write_bytes(sample + b"\0\0\0\x0cfree%04d" % n)
    for n in range(AUDIOS):
        with wave.open(str(folder / f"voice-{n}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(n.to_bytes(2, "little") * 16000)
    pairs = itertools.islice(itertools.cycle(itertools.product(range(VIDEOS), range(AUDIOS))), jobs)
    with (folder / "jobs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "video", "audio", "end_seconds"])
        for n, (video, audio) in enumerate(pairs):
            writer.writerow([f"job-{n:05d}", f"video-{video}.mp4", f"voice-{audio}.wav", 2])


def command(contestant: str, api: str) -> list[str]:
    """The command line of a contestant."""
    if contestant == "product":
        options = ["--api-url", api, "--yes", "--quiet", "--max-in-flight", str(IN_FLIGHT)]
        return [sys.executable, "-m", "batchsync", "run", "jobs.csv", *options, "--poll-interval", f"{POLL_SECONDS}s"]
    return [sys.executable, str(HERE / "contestants.py"), *contestant.split("-"), api]


def take_turn(contestant: str, jobs: int) -> Turn:
    """Let a contestant do `jobs` jobs against a sandbox of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_work(folder, jobs)
        serve = [sys.executable, "-m", "batchsync", "sandbox", "--port", "0", "--render-time", "2s"]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as sandbox:
            assert sandbox.stdout is not None
            api = sandbox.stdout.readline().split()[-1]
            cost = cost_of(command(contestant, api), folder, env={"MAGIC_HOUR_API_KEY": "mhk_bench_0123456789"})
            with urllib.request.urlopen(f"{api}/_sandbox/state") as answer:
                state = json.load(answer)
            sandbox.terminate()
        assert len(state["projects"]) == jobs, f"{contestant} made {len(state['projects'])} projects of {jobs} jobs"
        requests = {name: sum(outcomes.values()) for name, outcomes in state["requests"].items()}
        return Turn(jobs, cost, requests)


def show(name: str, figures: dict[str, float]) -> None:
    print(f"{name:<14}" + "".join(f"{value:>14.2f}" for value in figures.values()), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--sdk-jobs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="product,bare,sdk-64")
    args = parser.parse_args(arguments)
    contestants = args.only.split(",")
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for number in range(args.rounds):
        order = contestants if number % 2 == 0 else contestants[::-1]
        for name in order:
            figures = take_turn(name, args.sdk_jobs if name.startswith("sdk") else args.jobs).figures
            if not any(turns.values()):
                print(f"{'':<14}" + "".join(f"{title:>14}" for title in figures))
            turns[name].append(figures)
            show(name, figures)
    medians = {
        name: {title: statistics.median(turn[title] for turn in done) for title in done[0]}
        for name, done in turns.items()
    }
    print("\nmedians")
    for name, figures in medians.items():
        show(name, figures)
    product = medians.get("product", {})
    for name, figures in medians.items():
        if product and name != "product":
            show(f"product/{name}", {title: product[title] / figures[title] for title in figures})


if __name__ == "__main__":
    main()
