"""Drives batchsync as users do: a real process, in a folder of its own, with manifests and media on a real disk."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = "mhk_test_0123456789abcdef_SECRET"
LONGEST = 120.0
KILLS = "kills survived"  # a property of a test's report: how many


@dataclass
class Done:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Program:
    """batchsync in `folder`, talking to `api_url` once that is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api_url = ""
        self.key = KEY
        self._started: list[subprocess.Popen[str]] = []

    # --- what it works on ---

    def media(self, name: str, content: bytes | None = None) -> str:
        """A file that passes for media; its content follows from its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if content is not None else f"media of {name} ".encode() * 300)
        return name

    def manifest(self, jobs: int, name: str = "jobs.csv", videos: int = 3, seconds: float = 2) -> str:
        """A CSV of `jobs` jobs over a few videos and an audio each."""
        rows = [
            {
                "id": f"job-{n:03d}",
                "name": f"Clip {n}",
                "video": self.media(f"video-{n % videos}.mp4"),
                "audio": self.media(f"audio-{n}.wav"),
                "end_seconds": f"{seconds:g}",
                "tag.lang": ("es", "fr", "de")[n % 3],
            }
            for n in range(jobs)
        ]
        return self.csv(rows, name)

    def csv(self, rows: Sequence[Mapping[str, str]], name: str = "jobs.csv") -> str:
        with (self.folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return name

    # --- running it ---

    def words(self, *arguments: str) -> list[str]:
        """A command line: what the tests need is added where the command takes it."""
        words = list(arguments)
        if arguments[0] in ("run", "resume", "account") and "--sandbox" not in arguments:
            words += ["--api-url", self.api_url]
        if arguments[0] in ("run", "resume"):
            words += ["--poll-interval", "0.1s"] if "--poll-interval" not in arguments else []
            words += ["--yes"]
        return words

    def environment(self) -> dict[str, str]:
        """Nothing of the caller's own settings, the key, and no warnings."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHSYNC_", "MAGIC"))}
        return env | {"MAGIC_HOUR_API_KEY": self.key, "PYTHONWARNINGS": "error"}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command."""
        words = [sys.executable, "-m", "batchsync", *self.words(*arguments)]
        env = {**self.environment(), **environment}
        process = subprocess.Popen(
            words, cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str]) -> Done:
        out, err = process.communicate(timeout=LONGEST)
        return Done(process.returncode, out, err)

    def __call__(self, *arguments: str, **environment: str) -> Done:
        """Run a command to its end."""
        return self.finish(self.start(*arguments, **environment))

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    # --- what it left ---

    def ask(self, question: str) -> int:
        """A number from the ledger while another process works on it; 0 while there is no ledger yet."""
        try:
            with closing(sqlite3.connect(f"file:{self.folder}/batchsync.db?mode=ro", uri=True)) as ledger:
                return int(ledger.execute(question).fetchone()[0])
        except sqlite3.OperationalError as error:
            if "no such column" in str(error):
                raise  # a question that no ledger will ever answer
            return 0

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self("jobs", "--format", "json").json
        return found

    def outputs(self) -> list[str]:
        folder = self.folder / "outputs"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def wait_until(what: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for `what` to become true; fails the test if it doesn't."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)
