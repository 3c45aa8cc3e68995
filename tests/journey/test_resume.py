"""Killed at any moment, the same command goes on: no job twice, none lost, every credit known."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from program import Program, wait_until

from batchsync.ledger.ledger import Ledger
from batchsync.ledger.rows import JobFilter
from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_at_random_until_it_is_done(program: Program, start_sandbox: Start) -> None:
    """Kill the same command again and again, then resolve what is held by what the sandbox knows."""
    sandbox = start_sandbox("submit:slow:0.05", render_seconds=0.5)
    program.api_url = sandbox.api_url
    manifest = program.manifest(200, videos=10)
    dice = random.Random(11)
    kills = 0

    def asked() -> int:
        return sum(sum(outcomes.values()) for outcomes in sandbox.state()["requests"].values())

    while True:
        process = program.start("run", manifest, "--json", "--rate", "200")
        enough = asked() + dice.randint(0, 250)
        wait_until(lambda p=process, n=enough: asked() > n or p.poll() is not None)  # type: ignore[misc]
        if process.poll() is not None:
            done = program.finish(process)
            break
        kill(process)
        kills += 1
    print(f"survived {kills} kills")
    assert kills >= 3

    projects = {project["name"].split(" · ")[1]: project for project in sandbox.state()["projects"]}
    assert len(projects) == len(sandbox.state()["projects"]), "a job was created twice"
    with Ledger(str(program.folder / "batchsync.db")) as ledger:
        for job in ledger.read(lambda v: v.jobs(JobFilter(states=("held",)))):
            made = projects.get(job.token, {}).get("id")
            ledger.write(lambda w, seq=job.seq, project=made: w.resolved(seq, project_id=project))
    done = program("resume", "--json")
    assert done.code == 0, done.err
    state = sandbox.state()
    assert done.json["jobs"]["complete"] == len(state["projects"]) == 200
    assert len({project["name"] for project in state["projects"]}) == 200
    assert done.json["credits"]["net"] == state["granted"] - state["account"]["credits"]
    assert len(program.outputs()) == 200


def test_a_kill_while_a_submission_waits_leaves_it_held(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:stall(done=yes):times=1")
    program.api_url = sandbox.api_url
    manifest = program.manifest(1)
    process = program.start("run", manifest)
    wait_until(lambda: len(sandbox.state()["projects"]) == 1)
    kill(process)

    done = program("run", manifest, "--json")
    assert done.code == 1
    assert done.json["jobs"]["held"] == 1
    assert program.jobs()[0]["error"]["code"] == "killed"
    assert len(sandbox.state()["projects"]) == 1


def test_a_kill_while_it_renders_costs_nothing(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=1.5)
    program.api_url = sandbox.api_url
    manifest = program.manifest(4)
    process = program.start("run", manifest)
    wait_until(lambda: program.ask("SELECT count(*) FROM submissions WHERE outcome = 'created'") == 4)
    kill(process)

    done = program("resume", "--json")
    assert done.code == 0
    state = sandbox.state()
    assert done.json["jobs"]["complete"] == len(state["projects"]) == 4
    assert sum(upload["puts"] for upload in state["uploads"].values()) == 3 + 4
    assert done.json["credits"]["net"] == state["granted"] - state["account"]["credits"]


def test_a_cut_download_goes_on_where_it_stopped(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("download:cut_body:0.6:times=1")
    program.api_url = sandbox.api_url
    whole = random.Random(5).randbytes(6_000_000)
    program.media("big.mp4", whole)
    program.media("a.wav")
    manifest = program.csv([{"id": "big", "video": "big.mp4", "audio": "a.wav", "end_seconds": "2"}])
    done = program("run", manifest)

    assert done.code == 0, done.err
    assert (program.folder / "outputs/big.mp4").read_bytes() == whole
    assert sandbox.state()["requests"]["download"].get("206") == 1
    assert program.outputs() == ["big.mp4"]


def test_a_kill_in_the_middle_of_a_download(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("download:stall(at=0.5):times=1")
    program.api_url = sandbox.api_url
    whole = random.Random(6).randbytes(6_000_000)
    program.media("big.mp4", whole)
    program.media("a.wav")
    manifest = program.csv([{"id": "big", "video": "big.mp4", "audio": "a.wav", "end_seconds": "2"}])
    process = program.start("run", manifest)
    wait_until(lambda: any(size > 1_000_000 for size in _parts(program)))
    kill(process)

    done = program("run", manifest, "--json")
    assert done.code == 0, done.err
    assert (program.folder / "outputs/big.mp4").read_bytes() == whole
    assert sandbox.state()["requests"]["download"].get("206") == 1
    assert len(sandbox.state()["projects"]) == 1


def _parts(program: Program) -> list[int]:
    return [path.stat().st_size for path in (program.folder / "outputs").glob(".*.part")]


def test_two_processes_share_one_ledger(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:slow:0.05", render_seconds=0.5)
    program.api_url = sandbox.api_url
    manifest = program.manifest(60)
    # Few at a time, so that all three are there while work is left.
    first, second, third = (program.start("run", manifest, "--json", "--max-in-flight", "4") for _ in range(3))
    wait_until(lambda: program.ask("SELECT count(DISTINCT run_id) FROM run_jobs") == 3)
    kill(third)
    results = [program.finish(first), program.finish(second)]

    state = sandbox.state()
    assert len({project["name"] for project in state["projects"]}) == len(state["projects"])
    held = results[0].json["jobs"]["held"]
    assert results[0].json["jobs"]["complete"] + held == 60
    assert results[1].json["jobs"] == results[0].json["jobs"]
    assert results[0].json["credits"]["net"] <= state["granted"] - state["account"]["credits"]


def test_a_dead_process_is_found_dead_at_once(program: Program, start_sandbox: Start) -> None:
    """Its leases would run for a minute; the next start must not wait for them."""
    sandbox = start_sandbox("put:stall:times=1")
    program.api_url = sandbox.api_url
    manifest = program.manifest(1)
    process = program.start("run", manifest)
    wait_until(lambda: sandbox.state()["peak"]["put"] > 0)
    kill(process)
    began = time.monotonic()
    assert program("run", manifest).code == 0
    assert time.monotonic() - began < 20


def test_a_file_that_is_in_the_way_is_never_overwritten(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    manifest = program.manifest(2)
    mine = program.folder / "outputs/job-001.mp4"
    mine.parent.mkdir()
    mine.write_text("mine")
    done = program("run", manifest)

    assert done.code == 2
    assert "job-001.mp4" in done.err
    assert mine.read_text() == "mine"
    assert not sandbox.state()["projects"]


def test_a_link_in_the_output_directory_leads_nowhere(
    program: Program, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program.api_url = sandbox.api_url
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (program.folder / "outputs").mkdir()
    (program.folder / "outputs/es").symlink_to(elsewhere)
    program.media("v.mp4")
    program.media("a.wav")
    manifest = program.csv(
        [{"id": "a", "video": "v.mp4", "audio": "a.wav", "end_seconds": "2", "output": "es/a.mp4"}]
    )
    done = program("run", manifest)

    assert done.code in (1, 2)
    assert not list(elsewhere.iterdir())


def test_a_failed_download_never_costs_a_new_render(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("download:status:500:times=1", "download:wrong_length:after=1:times=1")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(3))

    assert done.code == 0, done.err
    assert len(sandbox.state()["projects"]) == 3
    assert len(program.outputs()) == 3
