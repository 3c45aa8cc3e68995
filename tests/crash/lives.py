"""A batch that dies and is begun again: its lives, and what a person does between them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crash.judge import rows
from program import LONGEST, Done, Program, wait_until

from batchsync.ledger.ledger import Ledger
from batchsync.ledger.rows import JobFilter, JobView
from batchsync.sandbox.serve import Sandbox

KILLED = -signal.SIGKILL
ROUNDS = 20


class Nursery:
    """A process that forks lives of the program, one at a time (see killed.py). Close it, or use it as a context."""

    def __init__(self) -> None:
        words = [sys.executable, str(Path(__file__).with_name("killed.py"))]
        self._process = subprocess.Popen(
            words, env=Program(Path()).environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, **what: Any) -> int:
        """Begin a life; returns its pid."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        return self._number()

    def ended(self, seconds: float) -> int | None:
        """The exit code of the life, None if it goes on after so many seconds."""
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, seconds))
        return self._number() if ready else None

    def _number(self) -> int:
        assert self._process.stdout is not None
        # Byte by byte: what a buffer has read ahead, no `select` would tell of.
        line = b""
        while not line.endswith(b"\n"):
            got = os.read(self._process.stdout.fileno(), 1)
            assert got, "the nursery died"
            line += got
        return int(line)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass
class Life:
    """A process that runs a command in a batch's folder."""

    nursery: Nursery
    pid: int
    out: Path
    err: Path
    code: int | None = None

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within so many seconds."""
        if self.code is None:
            self.code = self.nursery.ended(seconds)
        return self.code is not None

    def kill(self) -> None:
        """End it with SIGKILL, if it hasn't ended by itself."""
        if not self.wait(0.0):
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            assert self.wait(LONGEST)

    def done(self) -> Done:
        """Wait for its end."""
        if not self.wait(LONGEST):
            self.kill()
            raise AssertionError(f"it never ended: {self.err.read_text()}")
        assert self.code is not None
        return Done(self.code, self.out.read_text(), self.err.read_text())


class Batch:
    """A folder with manifests and a ledger, at a sandbox. `kills` is how many of its lives were killed."""

    def __init__(self, folder: Path, sandbox: Sandbox, nursery: Nursery) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.nursery = nursery
        self.kills = 0
        self.videos: dict[str, str] = {}  # job id → the video that its output must equal
        self._program = Program(folder)
        self._program.api_url = sandbox.api_url
        self._lives: list[Life] = []

    # --- what it works on ---

    def manifest(self, jobs: int, name: str = "jobs.csv", size: int | None = None) -> str:
        """A CSV of `jobs` more jobs, every second with a video that another one has too; `size` in bytes."""
        rows = []
        for n in range(len(self.videos), len(self.videos) + jobs):
            content = None if size is None else f"{n // 2:08d}".encode() * (size // 8)
            video = self._program.media(f"video-{n // 2}.mp4", content)
            audio = self._program.media(f"audio-{n}.wav")
            rows.append({"id": f"job-{n}", "name": f"Clip {n}", "video": video, "audio": audio, "end_seconds": "2"})
        self.videos |= {row["id"]: row["video"] for row in rows}
        return self._program.csv(rows, name)

    # --- its lives ---

    def begin(self, *words: str, point: str | None = None, nursery: Nursery | None = None) -> Life:
        """Begin a life that is killed at `point`, if it comes there."""
        folder = self.folder / "lives"
        folder.mkdir(exist_ok=True)
        out, err = (folder / f"{len(self._lives):04d}.{end}" for end in ("out", "err"))
        nursery = nursery or self.nursery
        for path in (out, err):
            path.touch()  # it may be killed before it opens them
        arguments = self._program.words(*words)
        pid = nursery.ask(folder=str(self.folder), words=arguments, point=point, out=str(out), err=str(err))
        self._lives.append(Life(nursery, pid, out, err))
        return self._lives[-1]

    def end(self, life: Life) -> Done:
        """Wait for a life's end, and count it if it was killed."""
        done = life.done()
        self.kills += done.code == KILLED
        assert done.code in (KILLED, 0, 1, 2, 3), done.err
        assert "Traceback" not in done.err, done.err
        return done

    def live(self, *words: str, point: str | None = None) -> Done:
        """One life, to its end or to `point`."""
        return self.end(self.begin(*words, point=point))

    def close(self) -> None:
        """Leave no life behind that a failed test didn't wait for."""
        for life in self._lives:
            life.kill()

    # --- what a person does ---

    def jobs(self) -> list[JobView]:
        with Ledger(str(self.folder / "batchsync.db")) as ledger:
            return ledger.read(lambda v: v.jobs(JobFilter()))

    def finish(self, *words: str) -> None:
        """Run `words` until every job is complete, settling what is held and retrying what failed between."""
        for _ in range(ROUNDS):
            done = self.live(*words)
            if done.code == 0:
                return
            assert done.code == 1, f"exit {done.code}: {done.err}"
            self.settle()
        raise AssertionError(f"it was never complete: {done.err}")

    def settle(self) -> None:
        """Say of held jobs what the sandbox knows of them, and put failed and canceled ones back."""
        for job in self.jobs():
            if job.state == "held":
                self._resolve(job)
            elif job.state in ("failed", "canceled"):
                done = self.live("retry", job.id)
                assert done.code == 0, done.err

    def _resolve(self, job: JobView) -> None:
        # What a dead process has sent may still be on its way: a person would look at the vendor's later, too.
        wait_until(lambda: not self.sandbox._front._present["submit"])
        known = self._known_projects()
        new = [
            project["id"]
            for project in self.sandbox.state()["projects"]
            if project["name"].endswith(job.token) and project["id"] not in known
        ]
        found = ("--project", new[0]) if new else ("--not-created",)
        done = self.live("resolve", job.id, *found)
        assert done.code == 0, done.err

    def _known_projects(self) -> set[str]:
        return {row[0] for row in rows(self.folder, "SELECT project_id FROM submissions WHERE project_id NOT NULL")}
