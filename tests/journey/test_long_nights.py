"""What can happen around a run in a long night: other runs, other manifests, logouts, a terminal that goes away."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing

import pytest
from program import Program, wait_until

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]


def test_another_runs_jobs_in_flight_dont_stand_in_the_way(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("render:slow:600:times=2")
    program.api_url = sandbox.api_url
    stuck = program("run", program.manifest(2), "--max-in-flight", "2", "--max-duration", "3s", "--json")
    assert stuck.json["stopped"] == "max-duration"

    other = program.csv(
        [{"id": "other", "video": "video-0.mp4", "audio": "audio-0.wav", "start_seconds": "1", "end_seconds": "2"}],
        "other.csv",
    )
    done = program("run", other, "--max-in-flight", "2", "--json")
    assert done.code == 0, done.err


def test_rows_that_are_added_while_it_runs_are_taken_to_their_end_too(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("render:slow:12:times=2")
    program.api_url = sandbox.api_url
    first = program.start("run", program.manifest(2), "--json")
    wait_until(lambda: len(sandbox.state()["projects"]) == 2)
    second = program.start("run", program.manifest(4), "--json")
    assert program.finish(second).json["jobs"]["complete"] == 4
    done = program.finish(first)
    assert (done.code, done.json["stopped"]) == (0, None)


def test_what_is_paid_for_is_followed_though_its_entry_was_changed_meanwhile(
    program: Program, start_sandbox: Start
) -> None:
    sandbox = start_sandbox(render_seconds=3)
    program.api_url = sandbox.api_url
    row = {"video": program.media("v.mp4"), "audio": program.media("a.wav"), "end_seconds": "2"}
    assert program("run", program.csv([row]), "--json", "--max-duration", "1.5s").json["stopped"] == "max-duration"
    assert len(sandbox.state()["projects"]) == 1
    done = program("run", program.csv([row | {"end_seconds": "3"}]), "--json")

    assert (done.code, len(sandbox.state()["projects"])) == (0, 2)
    assert [job["state"] for job in program.jobs()] == ["complete", "complete"]


def test_two_files_never_get_one_name_by_an_output_directory(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=600)
    program.api_url = sandbox.api_url
    for number in (1, 2):
        row = {
            "id": f"job-{number}",
            "video": program.media("v.mp4"),
            "audio": program.media(f"{number}.wav"),
            "end_seconds": "2",
            "output": "out.mp4",
        }
        manifest = program.csv([row], f"{number}.csv")
        program("run", manifest, "--output-dir", f"folder-{number}", "--max-duration", "1s")
    done = program("resume", "--output-dir", "both")
    assert (done.code, "out.mp4" in done.err) == (2, True)


def test_the_key_of_another_run_in_this_ledger_stands_in_nobodys_way(program: Program, start_sandbox: Start) -> None:
    """Two accounts share a ledger: each key goes on with its own jobs, and can't be taken for the other's."""
    sandbox = start_sandbox(render_seconds=2)
    program.api_url = sandbox.api_url
    manifest = program.manifest(1)
    program("run", manifest, "--max-duration", "1.5s")
    with closing(sqlite3.connect(program.folder / "batchsync.db")) as ledger, ledger:
        ledger.execute("INSERT INTO balances (at, moment, account_id, credits) VALUES (9e9, 'start', 'another', 5)")
    assert program("run", manifest).code == 0


def test_nohup_is_respected(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=2)
    program.api_url = sandbox.api_url
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; a child inherits it
    try:
        process = program.start("run", program.manifest(2), "--json")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_until(lambda: len(sandbox.state()["projects"]) == 2)
    process.send_signal(signal.SIGHUP)
    assert program.finish(process).code == 0


def test_a_terminal_that_goes_away_takes_nothing_with_it(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:cut_after:times=1", render_seconds=1)
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(3), "-v")
    assert process.stderr is not None
    assert process.stdout is not None
    process.stderr.close()
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert sorted(job["state"] for job in program.jobs()) == ["complete", "complete", "held"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_files_are_still_read_ends_it_at_once(program: Program, number: signal.Signals) -> None:
    program.api_url = "http://127.0.0.1:9"
    with (program.folder / "huge.mp4").open("wb") as file:
        file.truncate(40_000_000_000)  # sparse: nothing on the disk, and a minute to read
    program.media("a.wav")
    manifest = program.csv([{"id": "a", "video": "huge.mp4", "audio": "a.wav", "end_seconds": "2"}])
    process = program.start("run", manifest)
    fd = f"/proc/{process.pid}/fd"
    wait_until(lambda: "huge.mp4" in subprocess.run(["ls", "-l", fd], capture_output=True, text=True).stdout)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 3


def test_a_ledger_that_somebody_locks_is_waited_for(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=1)
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(3), "--json")
    wait_until(lambda: len(sandbox.state()["projects"]) == 3)
    holder = (
        "import sqlite3, time\n"
        f"c = sqlite3.connect({str(program.folder / 'batchsync.db')!r}, isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "time.sleep(33)\n"
    )
    subprocess.run([sys.executable, "-c", holder], check=True)
    done = program.finish(process)
    assert done.code == 0, done.err
    assert len(sandbox.state()["projects"]) == 3


def test_abandoned_jobs_are_sent_again_only_by_name_and_stay_in_the_report(
    program: Program, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("submit:cut_after:times=1")
    program.api_url = sandbox.api_url
    program("run", program.manifest(1))
    assert program("resolve", "job-000", "--abandon").code == 0
    assert program("retry", "--failed").code == 0
    assert program.jobs()[0]["error"]["code"] == "abandoned"
    assert program("report", "--format", "json").json["totals"]["unknown"] == 60

    assert program("retry", "job-000").code == 0
    assert program("resume").code == 0
    totals = program("report", "--format", "json").json["totals"]
    assert totals["unknown"] == 60
    state = sandbox.state()
    known = next(project for project in state["projects"] if project["id"] == program.jobs()[0]["project_id"])
    assert totals["net"] == known["credits_charged"]


def test_a_key_of_another_account_is_refused_while_jobs_are_in_flight(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=600)
    program.api_url = sandbox.api_url
    manifest = program.manifest(1)
    program("run", manifest, "--max-duration", "2s")
    with closing(sqlite3.connect(program.folder / "batchsync.db")) as ledger, ledger:
        ledger.execute("UPDATE balances SET account_id = 'another'")
    done = program("run", manifest)
    assert done.code == 2
    assert "another account" in done.err
