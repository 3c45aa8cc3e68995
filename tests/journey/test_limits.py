"""Limits hold to the job and to the credit, with many submissions in flight and with several processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from program import Program, wait_until

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]

SECONDS = 2
ESTIMATE = 30 * SECONDS


def video(path: Path, fps: int) -> None:
    """A real MP4 file of two seconds and a bit."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=fps)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(fps * SECONDS + 3):
            frame = av.VideoFrame(16, 16, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def manifest(program: Program, jobs: int, fps: int | None) -> str:
    """Jobs over one video, whose frame rate can be read if `fps` is given."""
    if fps is None:
        program.media("clip.mp4")
    else:
        video(program.folder / "clip.mp4", fps)
    rows = [
        {"id": f"j{n}", "video": "clip.mp4", "audio": program.media(f"{n}.wav"), "end_seconds": str(SECONDS)}
        for n in range(jobs)
    ]
    return program.csv(rows)


def peak(projects: list[dict[str, Any]]) -> int:
    """The most that the vendor had taken at any moment: estimates when it made projects, true costs at their ends."""
    moves = [(project["created_at"], project["estimate"]) for project in projects]
    moves += [(project["ends_at"], project["credits_charged"] - project["estimate"]) for project in projects]
    taken = most = 0
    for _, amount in sorted(moves):
        taken += amount
        most = max(most, taken)
    return most


# --- --max-credits ---


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_max_credits_is_never_passed_and_used_as_far_as_it_goes(
    program: Program, start_sandbox: Start, fps: int, known: bool
) -> None:
    sandbox = start_sandbox(fps=fps)
    program.api_url = sandbox.api_url
    cap = 310
    done = program("run", manifest(program, 12, fps if known else None), "--json", "--max-credits", str(cap))

    projects = sandbox.state()["projects"]
    assert (done.code, done.json["stopped"]) == (3, "max-credits")
    assert peak(projects) <= cap
    assert done.json["credits"]["net"] == sum(project["credits_charged"] for project in projects)
    # What a job may come to has to be left when it goes; it is worth what it settles at once it is done.
    risked, settled = max(ESTIMATE, fps * SECONDS), fps * SECONDS
    most = 1 + (cap - risked) // settled
    assert done.json["jobs"]["complete"] == most, [p["credits_charged"] for p in projects]


# --- --max-failures ---


def test_after_so_many_failures_nothing_new_is_submitted_and_the_rest_is_followed(
    program: Program, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("render:error:no_source_face")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(40), "--json", "--max-failures", "3", "--max-in-flight", "5")

    assert (done.code, done.json["stopped"]) == (3, "max-failures")
    projects = len(sandbox.state()["projects"])
    assert 3 <= projects <= 3 - 1 + 5
    assert (done.json["jobs"]["failed"], done.json["jobs"]["pending"]) == (projects, 40 - projects)


def test_refused_submissions_are_failures_too(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:status:400")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(60), "--json", "--max-failures", "3", "--max-in-flight", "8")

    assert (done.code, done.json["stopped"]) == (3, "max-failures")
    sent = sum(sandbox.state()["requests"]["submit"].values())
    assert 3 <= sent <= 3 - 1 + 8
    assert done.json["jobs"]["failed"] == sent


def test_failures_may_be_a_share_of_the_runs_jobs(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("render:error:no_source_face")
    program.api_url = sandbox.api_url
    jobs = program.manifest(30)
    done = program("run", jobs, "--json", "--max-failures", "7%", "--max-in-flight", "1")
    assert (done.json["stopped"], done.json["jobs"]["failed"]) == ("max-failures", 3)  # 2.1, rounded up

    done = program("run", jobs, "--json", "--max-failures", "30%", "--max-in-flight", "1", "--limit", "10")
    assert (done.json["stopped"], done.json["jobs"]["failed"]) == ("max-failures", 3 + 3)


# --- --limit ---


def test_a_limit_takes_the_first_unfinished_jobs_in_the_manifests_order(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    rows = [
        {"id": f"j{n}", "video": "https://x.example/a.mp4", "audio": f"https://x.example/{n}.wav", "end_seconds": "2"}
        for n in range(8)
    ]
    program("run", program.csv(rows), "--limit", "2")
    assert program.outputs() == ["j0.mp4", "j1.mp4"]
    backwards = program.csv([*rows[::-1], rows[0] | {"id": "last", "audio": "https://x.example/last.wav"}])
    done = program("run", backwards, "--json", "--limit", "3")
    assert (done.code, done.json["stopped"], done.json["jobs"]["complete"]) == (3, "limit", 5)
    assert program.outputs() == ["j0.mp4", "j1.mp4", "j5.mp4", "j6.mp4", "j7.mp4"]


def test_processes_with_a_limit_share_the_same_first_jobs(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=600)
    program.api_url = sandbox.api_url
    jobs = program.manifest(12)
    running = [program.start("run", jobs, "--limit", "3")]
    wait_until(lambda: program.ask("SELECT count(*) FROM run_jobs") == 3)
    running += [program.start("run", jobs, "--limit", "3") for _ in range(2)]
    wait_until(lambda: program.ask("SELECT count(DISTINCT run_id) FROM run_jobs") == 3)
    wait_until(lambda: len(sandbox.state()["projects"]) == 3)
    time.sleep(1.0)
    for process in running:
        process.send_signal(signal.SIGTERM)
    assert [program.finish(process).code for process in running] == [3, 3, 3]
    assert len(sandbox.state()["projects"]) == 3
    assert {job["id"] for job in program.jobs() if job["project_id"]} == {"job-000", "job-001", "job-002"}


# --- times ---


def test_a_run_ends_when_the_local_clock_reads_so(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=600)
    program.api_url = sandbox.api_url
    ahead = 8
    # A time zone in which it is soon 12:00: `XXX-01:02:03` is that far east of Greenwich.
    east = (12 * 3600 - ahead - time.time()) % 86400
    zone = f"XXX-{int(east // 3600):02d}:{int(east % 3600 // 60):02d}:{int(east % 60):02d}"
    began = time.monotonic()
    done = program("run", program.manifest(6), "--json", "--until", "12:00", TZ=zone)

    assert (done.code, done.json["stopped"]) == (3, "until")
    (shown,) = (line for line in done.err.splitlines() if line.strip().startswith("batchsync run"))
    assert "--json" in shown
    assert not {"--until", "12:00"} & set(shown.split())
    assert ahead - 1 <= time.monotonic() - began < ahead + 12
    assert len(sandbox.state()["projects"]) == 6
    assert done.json["jobs"]["held"] == 0


def test_a_run_ends_after_max_duration_with_submissions_in_flight(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:slow(seconds=1)")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(60), "--json", "--max-duration", "2s", "--rate", "20")

    assert (done.code, done.json["stopped"]) == (3, "max-duration")
    assert done.json["elapsed_seconds"] < 2 + 10
    jobs = done.json["jobs"]
    assert (jobs["held"], jobs["submitting"]) == (0, 0), "requests that cost money were seen through"
    assert len(sandbox.state()["projects"]) == 60 - jobs["pending"] - jobs["uploading"]
