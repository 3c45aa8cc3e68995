"""Told to stop in the middle of something: nothing new, what costs money seen through, and the next run goes on."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable

from program import KEY, Program, wait_until

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]

BIG = random.Random(8).randbytes(3_000_000)


def stopped(program: Program, process: subprocess.Popen[str], number: signal.Signals) -> dict[str, int]:
    """Stop it with one signal; the jobs that it says it leaves, by their state."""
    began = time.monotonic()
    process.send_signal(number)
    done = program.finish(process)
    assert time.monotonic() - began < 10
    assert (done.code, done.json["stopped"]) == (3, "signal"), done.err
    jobs: dict[str, int] = done.json["jobs"]
    return jobs


def completes(program: Program, sandbox: Sandbox, manifest: str, jobs: int) -> None:
    """The same command again brings all to their end, each created once and paid for once."""
    sandbox.faults.replace([])
    done = program("run", manifest, "--json")
    assert (done.code, done.json["jobs"]["complete"]) == (0, jobs), done.err
    state = sandbox.state()
    assert len(state["projects"]) == len({project["name"] for project in state["projects"]}) == jobs
    assert done.json["credits"]["net"] == state["granted"] - state["account"]["credits"]


def test_in_the_middle_of_uploads(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("put:stall(at=0.5):after=6")
    program.api_url = sandbox.api_url
    manifest = program.manifest(8, videos=8)
    process = program.start("run", manifest, "--json", "--transfers", "4")
    wait_until(lambda: sandbox.state()["requests"]["put"].get("stalled", 0) >= 4)
    asked = sum(sandbox.state()["requests"]["put"].values())
    jobs = stopped(program, process, signal.SIGINT)

    assert jobs["held"] == jobs["submitting"] == jobs["failed"] == 0
    assert sum(sandbox.state()["requests"]["put"].values()) == asked
    completes(program, sandbox, manifest, 8)
    assert [upload["puts"] for upload in sandbox.state()["uploads"].values()] == [1] * 16


def test_in_the_middle_of_submissions(program: Program, start_sandbox: Start) -> None:
    """Those that are under way are waited for and recorded; no other leaves."""
    sandbox = start_sandbox("submit:slow:1")
    program.api_url = sandbox.api_url
    manifest = program.manifest(20)
    process = program.start("run", manifest, "--json", "--rate", "20")
    wait_until(lambda: sandbox.state()["peak"]["submit"] >= 4)
    jobs = stopped(program, process, signal.SIGTERM)

    made = {project["id"] for project in sandbox.state()["projects"]}
    assert 4 <= len(made) < 20
    assert jobs["held"] == jobs["submitting"] == 0
    assert {job["project_id"] for job in program.jobs()} - {None} == made
    completes(program, sandbox, manifest, 20)


def test_in_the_middle_of_downloads(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("download:stall(at=0.7)")
    program.api_url = sandbox.api_url
    program.media("video-0.mp4", BIG)
    rows = [{"id": f"job-{n}", "video": "video-0.mp4", "audio": program.media(f"a{n}.wav")} for n in range(3)]
    manifest = program.csv([{**row, "end_seconds": "2"} for row in rows])
    process = program.start("run", manifest, "--json")
    parts = program.folder / "outputs"
    wait_until(lambda: [path.stat().st_size > 1_000_000 for path in parts.glob(".*.part")] == [True] * 3)
    assert stopped(program, process, signal.SIGHUP)["downloading"] == 3

    completes(program, sandbox, manifest, 3)
    assert sandbox.state()["requests"]["download"] == {"stalled": 3, "206": 3}
    assert [(parts / name).read_bytes() == BIG for name in program.outputs()] == [True] * 3


def test_the_second_signal_waits_for_nothing(program: Program, start_sandbox: Start) -> None:
    """Uploads, a submission and downloads all stand still; only what may have been paid for is held."""
    sandbox = start_sandbox("put:stall:after=8", "submit:stall(done=yes):after=3", "download:stall(at=0.5)")
    program.api_url = sandbox.api_url
    manifest = program.manifest(8, videos=1)
    process = program.start("run", manifest, "--json")
    wait_until(lambda: all(sandbox.state()["requests"][op].get("stalled") for op in ("put", "submit", "download")))
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    while "stops at once" not in process.stderr.readline():
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert program.finish(process).code == 3
    assert time.monotonic() - began < 5

    lost = sandbox.state()["requests"]["submit"]["stalled"]
    sandbox.faults.replace([])
    again = program("run", manifest, "--json")
    assert again.code == 1
    # In the very last moment an answer may come too late to be written down, or a request not leave any more.
    complete = again.json["jobs"]["complete"]
    assert lost <= again.json["jobs"]["held"] == 8 - complete < 8
    assert complete + lost <= len(sandbox.state()["projects"]) <= 8


def test_a_first_signal_in_a_runs_last_look_ends_that_and_not_the_words(
    program: Program, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("account:stall:after=1", render_seconds=600)
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(2), "--json", "--max-duration", "2s")
    wait_until(lambda: sandbox.state()["requests"]["account"].get("stalled", 0) == 1)
    process.send_signal(signal.SIGINT)
    done = program.finish(process)

    assert (done.code, done.json["stopped"]) == (3, "max-duration")
    assert done.json["jobs"]["held"] == done.json["jobs"]["submitting"] == 0
    assert "--max-duration" in done.err


def test_a_terminal_that_is_closed_stops_it_well(program: Program, start_sandbox: Start) -> None:
    """A real one, and the program its session's leader: closing the window sends SIGHUP and takes the screen away."""
    sandbox = start_sandbox("submit:slow:1", render_seconds=600)
    program.api_url = sandbox.api_url
    manifest = program.manifest(3)
    screen, end = pty.openpty()
    termios.tcsetwinsize(screen, (24, 80))
    process = subprocess.Popen(
        [sys.executable, "-m", "batchsync", "run", manifest, "--api-url", sandbox.api_url, "--yes", "-vv"],
        cwd=program.folder,
        env={**os.environ, "MAGIC_HOUR_API_KEY": KEY},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(end)
    try:
        wait_until(lambda: sandbox.state()["peak"]["submit"] == 3)
        assert select.select([screen], [], [], 10)[0], "no bar is drawn"
        os.close(screen)
        assert process.wait(timeout=10) == 3
    finally:
        process.kill()
        process.wait()
    jobs = program.jobs()
    assert {job["project_id"] for job in jobs} == {project["id"] for project in sandbox.state()["projects"]}
    assert len(sandbox.state()["projects"]) == 3
