"""A ledger or disk that can't be used: a clear error, nothing lost, and the same command goes on once it can."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from program import Program

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]
READING = (("status",), ("jobs",), ("report",), ("resume",), ("run", "jobs.csv"), ("ledger", "check"))


def garbage(path: Path) -> None:
    path.write_bytes(b"this was never a database " * 500)


def of_the_future(path: Path) -> None:
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute("UPDATE alembic_version SET version_num = '9999'")


def damaged(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("break_it", [garbage, of_the_future, damaged, a_folder])
def test_a_ledger_that_can_not_be_used_is_told_and_left_as_it_is(
    program: Program, sandbox: Sandbox, break_it: Callable[[Path], None]
) -> None:
    program.api_url = sandbox.api_url
    program("run", program.manifest(2))
    posts = dict(sandbox.state()["requests"]["submit"])
    path = program.folder / "batchsync.db"
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    break_it(path)
    before = path.read_bytes() if path.is_file() else None

    for words in READING:
        done = program(*words)
        assert done.code == 2, (words, done.err)
        assert done.err.startswith("Error: "), (words, done.err)
        assert "batchsync.db" in done.err or "newer batchsync" in done.err
        assert "Traceback" not in done.err
    assert dict(sandbox.state()["requests"]["submit"]) == posts
    assert (path.read_bytes() if path.is_file() else None) == before


SMALL_DISK = (
    shutil.which("unshare") is not None
    and not subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode
)
needs_small_disk = pytest.mark.skipif(not SMALL_DISK, reason="no private mounts on this system")


def on_a_small_disk(program: Program, folder: str, size: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script with `folder` on a disk of its own of `size`; `$RUN` runs the manifest."""
    (program.folder / folder).mkdir(exist_ok=True)
    run = [sys.executable, "-m", "batchsync", "run", "jobs.csv", "--yes", "--poll-interval", "0.1s", "--json"]
    run += ["--api-url", program.api_url, "--ledger", "ledger/batchsync.db"]
    whole = f"set -u; mount -t tmpfs -o size={size} tmpfs {folder} || exit 99\nRUN={shlex.quote(shlex.join(run))}\n"
    env = {**os.environ, "MAGIC_HOUR_API_KEY": program.key, "PYTHONWARNINGS": "error"}
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", whole + script],
        cwd=program.folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@needs_small_disk
def test_a_ledger_on_a_full_disk_loses_nothing(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox()
    program.api_url = sandbox.api_url
    program.manifest(30, videos=2)
    script = """
    $RUN --limit 1 >first.json 2>first.err
    dd if=/dev/zero of=ledger/filler bs=4k 2>/dev/null; truncate -s -120k ledger/filler
    $RUN >second.json 2>second.err; echo $? >second.code
    rm ledger/filler
    $RUN >third.json 2>third.err; echo $? >third.code
    cp ledger/batchsync.db final.db
    """
    done = on_a_small_disk(program, "ledger", "8m", script)
    assert done.returncode == 0, done.stderr
    second, third = ((program.folder / f"{name}.code").read_text().strip() for name in ("second", "third"))
    errors = (program.folder / "second.err").read_text()
    assert second == "3", errors
    assert "disk" in errors
    assert "full" in errors
    assert "Traceback" not in errors
    assert third in ("0", "1"), (program.folder / "third.err").read_text()

    state = sandbox.state()
    names = [project["name"] for project in state["projects"]]
    assert len(set(names)) == len(names)
    checked = program("ledger", "check", "--ledger", "final.db")
    assert checked.code == 0, checked.out
    with closing(sqlite3.connect(program.folder / "final.db")) as ledger:
        states = dict(ledger.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        net = ledger.execute("SELECT sum(net) FROM jobs").fetchone()[0]
        unknown = ledger.execute("SELECT count(*) FROM submissions WHERE outcome = 'unknown'").fetchone()[0]
    # What was made while nothing could be written down is held, and everything else is done.
    assert states.get("complete", 0) + states.get("held", 0) == 30
    assert states.get("held", 0) == unknown
    lost = state["granted"] - state["account"]["credits"] - net
    assert 0 <= lost <= 60 * unknown


@needs_small_disk
def test_outputs_on_a_full_disk_are_downloaded_once_there_is_room(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox()
    program.api_url = sandbox.api_url
    (program.folder / "ledger").mkdir()
    rows = [
        {
            "id": f"big-{n}",
            "video": program.media(f"v{n}.mp4", random.Random(n).randbytes(400_000)),
            "audio": program.media(f"a{n}.wav"),
            "end_seconds": "2",
        }
        for n in range(6)
    ]
    program.csv(rows)
    script = """
    $RUN >first.json 2>first.err; echo $? >first.code
    mount -o remount,size=10m outputs
    $RUN >second.json 2>second.err; echo $? >second.code
    mkdir copies; cp -a outputs/. copies/
    """
    done = on_a_small_disk(program, "outputs", "1m", script)
    assert done.returncode == 0, done.stderr
    first = (program.folder / "first.err").read_text()
    assert (program.folder / "first.code").read_text().strip() == "3", first
    assert '"stopped": "disk-full"' in (program.folder / "first.json").read_text()
    assert "Traceback" not in first
    assert (program.folder / "second.code").read_text().strip() == "0", (program.folder / "second.err").read_text()
    assert len(sandbox.state()["projects"]) == 6
    copies = sorted(path.name for path in (program.folder / "copies").iterdir())
    assert copies == [f"big-{n}.mp4" for n in range(6)]
    for n in range(6):
        assert (program.folder / f"copies/big-{n}.mp4").read_bytes() == (program.folder / f"v{n}.mp4").read_bytes()
