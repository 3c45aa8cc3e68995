"""How a run can end: every exit code and every word of `stopped`, and that money and jobs are right each time."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable

import httpx
import pytest
from program import Done, Program, wait_until

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]


def spent(sandbox: Sandbox) -> int:
    state = sandbox.state()
    return int(state["granted"]) - int(state["account"]["credits"])


def test_failed_and_canceled_renders_end_with_1_and_are_refunded(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("render:error:no_source_face:times=1", "render:cancel:after=1:times=1")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(4), "--json")

    assert done.code == 1
    assert (done.json["jobs"]["complete"], done.json["jobs"]["failed"], done.json["jobs"]["canceled"]) == (2, 1, 1)
    assert done.json["stopped"] is None
    assert done.json["credits"]["net"] == spent(sandbox)
    assert done.json["credits"]["refunded"] == 120
    failed = next(job for job in program.jobs() if job["state"] == "failed")
    assert failed["error"]["code"] == "no_source_face"
    assert failed["credits"] == 0

    assert program("retry", "--failed").code == 0
    again = program("resume", "--json")
    assert again.code == 0
    assert again.json["jobs"]["complete"] == 4
    assert again.json["credits"]["net"] == spent(sandbox)


@pytest.mark.parametrize("fault", ["render:error(late=0.5)", "render:cancel(late=0.5)"])
def test_credits_that_come_back_a_moment_later_are_still_counted(
    program: Program, start_sandbox: Start, fault: str
) -> None:
    sandbox = start_sandbox(fault)
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(2), "--json", "--poll-interval", "0.4s")
    assert done.code == 1
    assert done.json["credits"]["net"] == spent(sandbox) == 0


def test_credits_that_do_not_come_back_are_not_waited_for_long(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("render:error(refund=0.5)")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(2), "--json")
    assert done.code == 1
    assert done.json["credits"]["net"] == spent(sandbox) == 60


@pytest.mark.parametrize("fault", ["status:400", "status:403", "status:404", "status:422"])
def test_a_refused_job_fails_alone(program: Program, start_sandbox: Start, fault: str) -> None:
    sandbox = start_sandbox(f"submit:{fault}:times=1")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(3), "--json")

    assert done.code == 1
    assert (done.json["jobs"]["complete"], done.json["jobs"]["failed"]) == (2, 1)
    assert done.json["credits"]["net"] == spent(sandbox)


@pytest.mark.parametrize(
    "fault", ["status:500", "status:503", "rate_limit", "rate_limit:1", "rate_limit:date", "html:503"]
)
def test_a_submission_that_was_certainly_not_made_is_sent_again(
    program: Program, start_sandbox: Start, fault: str
) -> None:
    sandbox = start_sandbox(f"submit:{fault}:times=2")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(3), "--json")

    assert done.code == 0, done.err
    assert len(sandbox.state()["projects"]) == 3
    assert done.json["credits"]["net"] == spent(sandbox)


@pytest.mark.parametrize("fault", ["cut_after", "cut_before", "garbage", "status:504(done=yes)", "no_id"])
def test_a_lost_answer_is_held_and_never_sent_again(program: Program, start_sandbox: Start, fault: str) -> None:
    sandbox = start_sandbox(f"submit:{fault}:times=1")
    program.api_url = sandbox.api_url
    manifest = program.manifest(3)
    done = program("run", manifest, "--json")

    assert done.code == 1
    assert (done.json["jobs"]["complete"], done.json["jobs"]["held"]) == (2, 1)
    assert "resolve JOB --not-created" in done.err
    posts = sum(sandbox.state()["requests"]["submit"].values())
    again = program("run", manifest, "--json")
    assert again.code == 1
    assert program("resume", "--json").json["jobs"]["held"] == 1
    assert sum(sandbox.state()["requests"]["submit"].values()) == posts


def test_an_id_in_an_error_is_a_project_all_the_same(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:error_with_id:times=1")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(2), "--json")

    assert done.code == 0
    assert len(sandbox.state()["projects"]) == 2
    assert done.json["credits"]["net"] == spent(sandbox)


def test_a_held_job_is_resolved_either_way(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:cut_after:times=1", "submit:cut_before:after=1:times=1", seed=3)
    program.api_url = sandbox.api_url
    program("run", program.manifest(2))
    held = {job["token"]: job for job in program.jobs()}
    assert {job["state"] for job in held.values()} == {"held"}
    (project,) = sandbox.state()["projects"]
    made = held.pop(project["name"].split(" · ")[1])
    (lost,) = held.values()

    assert program("retry", made["id"]).code == 2
    assert program("resolve", made["id"], "--project", project["id"]).code == 0
    assert program("resolve", lost["id"], "--not-created").code == 0
    assert program("resolve", lost["id"], "--not-created").code == 2
    done = program("resume", "--json")
    assert done.code == 0
    assert done.json["jobs"]["complete"] == 2
    assert len(sandbox.state()["projects"]) == 2
    assert done.json["credits"]["net"] == spent(sandbox)


def test_on_ambiguous_resubmit_is_a_persons_choice_and_bounded(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:cut_after:match=Clip 0")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(2), "--json", "--on-ambiguous", "resubmit")

    assert done.code == 1
    assert (done.json["jobs"]["complete"], done.json["jobs"]["held"]) == (1, 1)
    assert len(sandbox.state()["projects"]) == 1 + 3


def test_out_of_credits_stops_submitting_and_finishes_what_is_paid(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(credits=150)
    program.api_url = sandbox.api_url
    manifest = program.manifest(5)
    done = program("run", manifest, "--json", "--max-in-flight", "1")

    assert done.code == 3
    assert done.json["stopped"] == "out-of-credits"
    complete = done.json["jobs"]["complete"]
    assert complete >= 2
    assert done.json["jobs"]["pending"] == 5 - complete
    assert done.json["credits"]["net"] == spent(sandbox)


def test_max_credits_is_used_up_and_never_passed(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(fps=30)
    program.api_url = sandbox.api_url
    manifest = program.manifest(6)
    done = program("run", manifest, "--json", "--max-credits", "200")

    assert done.code == 3
    assert done.json["stopped"] == "max-credits"
    assert done.json["jobs"]["complete"] == 3
    assert spent(sandbox) == 180
    assert program("run", manifest, "--json", "--max-credits", "200").json["stopped"] == "max-credits"
    assert spent(sandbox) == 180
    assert program("run", manifest, "--max-credits", "360").code == 0


def test_max_credits_counts_what_settles_below_the_estimate(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(fps=15)
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(6), "--json", "--max-credits", "120")

    # Each reserves 60 and settles at 30: three fit under 120 one after the other, and a fourth would risk 150.
    assert done.json["jobs"]["complete"] == 3
    assert spent(sandbox) == 90


def proposed(done: Done) -> list[str]:
    """The command that a run which stopped early says to go on with."""
    (shown,) = (line for line in done.err.splitlines() if line.startswith("    batchsync "))
    return shlex.split(shown)


def test_limit_is_a_canary(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    manifest = program.manifest(5)
    done = program("run", manifest, "--json", "--limit", "2")

    assert done.code == 3
    assert done.json["stopped"] == "limit"
    assert done.json["jobs"]["complete"] == 2
    assert program.outputs() == ["job-000.mp4", "job-001.mp4"]
    words = proposed(done)
    assert words[:4] == ["batchsync", "run", manifest, "--json"]
    assert not {"--limit", "2"} & set(words)
    assert program(*words[1:]).code == 0, "the command that was shown takes all the others to their end"
    assert len(program.outputs()) == 5


def test_max_duration(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=600)
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(3), "--json", "--max-duration", "2s")

    assert done.code == 3
    assert done.json["stopped"] == "max-duration"
    assert done.json["jobs"]["queued"] + done.json["jobs"]["rendering"] == 3


def test_a_refused_key_is_told_before_anything_is_sent(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(keys=frozenset({"another"}))
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(2), "--json")

    assert done.code == 2
    assert "MAGIC_HOUR_API_KEY" in done.err
    assert not sandbox.state()["requests"]["put"]
    assert program("run", "jobs.csv", MAGIC_HOUR_API_KEY="").code == 2


def test_a_key_that_is_refused_in_mid_run_stops_new_submissions_only(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:status:401:after=2")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(6), "--json", "--max-in-flight", "2")

    assert done.code == 3
    assert done.json["stopped"] == "unauthorized"
    assert done.json["jobs"]["complete"] == 2
    assert done.json["credits"]["net"] == spent(sandbox)


def test_an_unreachable_vendor(program: Program) -> None:
    program.api_url = "http://127.0.0.1:9"
    began = time.monotonic()
    done = program("run", program.manifest(1), "--json", "--patience", "1s")

    assert done.code == 3
    assert done.json["stopped"] == "unreachable"
    assert time.monotonic() - began < 20


def test_an_outage_in_mid_run_is_waited_out(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("any:status:503:after=12:times=5")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(8), "--json")

    assert done.code == 0, done.err
    assert len(sandbox.state()["projects"]) == 8


def test_a_deleted_project_is_a_failed_job(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox()
    program.api_url = sandbox.api_url
    manifest = program.manifest(1)
    process = program.start("run", manifest, "--json")
    wait_until(lambda: len(sandbox.state()["projects"]) == 1)
    (project,) = sandbox.state()["projects"]
    key = {"Authorization": f"Bearer {program.key}"}
    assert httpx.delete(f"{sandbox.api_url}/v1/video-projects/{project['id']}", headers=key).status_code == 204
    assert program.finish(process).code == 1
    assert program.jobs()[0]["error"]["code"] == "deleted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_well(program: Program, start_sandbox: Start, number: signal.Signals) -> None:
    sandbox = start_sandbox(render_seconds=600)
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(20), "--json")
    wait_until(lambda: len(sandbox.state()["projects"]) >= 5)
    began = time.monotonic()
    process.send_signal(number)
    done = program.finish(process)

    assert time.monotonic() - began < 10
    assert done.code == 3
    assert done.json["stopped"] == "signal"
    assert done.json["jobs"]["held"] == done.json["jobs"]["submitting"] == 0
    assert "jobs.csv" in done.err
    known = {job["project_id"] for job in program.jobs()} - {None}
    assert known == {project["id"] for project in sandbox.state()["projects"]}


def test_a_submission_that_hangs_is_given_up_and_held_after_a_signal(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:stall(done=yes):times=1")
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(1), "--json")
    wait_until(lambda: len(sandbox.state()["projects"]) == 1)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    done = program.finish(process)

    assert time.monotonic() - began < 10
    assert done.code == 1 or (done.code == 3 and done.json["stopped"] == "signal")
    assert done.json["jobs"]["held"] == 1


def test_the_second_signal_ends_it_at_once_and_costs_nothing(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:stall(done=yes):times=1")
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(1))
    wait_until(lambda: len(sandbox.state()["projects"]) == 1)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stops at once" not in process.stderr.readline():
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert program.finish(process).code == 3
    assert time.monotonic() - began < 5

    assert program("resume", "--json").json["jobs"]["held"] == 1
    assert len(sandbox.state()["projects"]) == 1
