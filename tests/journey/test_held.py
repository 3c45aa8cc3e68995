"""Held jobs: told with what to look for, settled by what is found, judged by the balance, and never by themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

from program import Program

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]


def spent(sandbox: Sandbox) -> int:
    state = sandbox.state()
    return int(state["granted"]) - int(state["account"]["credits"])


def asked(sandbox: Sandbox) -> int:
    """How many submissions have come to the vendor."""
    return sum(sandbox.state()["requests"]["submit"].values())


def api(program: Program) -> tuple[str, str]:
    return ("--api-url", program.api_url)


def test_what_to_look_for_is_told_wherever_a_person_looks(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:cut_after:times=1")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(1))
    (project,) = sandbox.state()["projects"]
    for text in (done.out, program("status").out, program("jobs", "--state", "held").out):
        assert project["name"] in text
        assert "magichour.ai/my-library" in text
        assert "resolve JOB --not-created" in text


def test_a_project_that_is_named_is_looked_at_first(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:cut_after:match=Clip 0", "submit:cut_after:match=Clip 1")
    program.api_url = sandbox.api_url
    program("run", program.manifest(2))
    mine, other = sorted(sandbox.state()["projects"], key=lambda project: project["name"])

    mistyped = program("resolve", "job-000", "--project", "cmistyped", *api(program))
    assert (mistyped.code, "knows no project" in mistyped.err) == (2, True)
    mixed_up = program("resolve", "job-000", "--project", other["id"], *api(program))
    assert (mixed_up.code, "job-001" in mixed_up.err) == (2, True)
    assert [job["state"] for job in program.jobs()] == ["held", "held"]

    for job, project in (("job-000", mine), ("job-001", other)):
        assert program("resolve", job, "--project", project["id"], *api(program)).code == 0
    done = program("resume", "--json")
    assert (done.code, done.json["credits"]["net"]) == (0, spent(sandbox))
    assert asked(sandbox) == 2


def test_a_project_that_could_not_be_looked_at_and_is_not_there_is_held_again(
    program: Program, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("submit:cut_before:times=1")
    program.api_url = sandbox.api_url
    program("run", program.manifest(1))
    offline = program("resolve", "job-000", "--project", "cmistyped")  # it would ask the vendor's own address
    assert (offline.code, "could not be checked" in offline.err) == (0, True)

    done = program("resume", "--json")
    assert (done.code, done.json["jobs"]["held"], done.json["credits"]["net"]) == (1, 1, 0)
    assert program("resolve", "job-000", "--not-created").code == 0
    done = program("resume", "--json")
    assert (done.code, done.json["credits"]["net"]) == (0, spent(sandbox))
    assert program("ledger", "check").code == 0


def test_the_balance_tells_what_was_created_and_what_was_not(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:cut_after:match=made", "submit:cut_before:match=lost", fps=25)
    program.api_url = sandbox.api_url
    rows = [
        {"id": name, "video": program.media("v.mp4"), "audio": program.media(f"{name}.wav"), "end_seconds": end}
        for name, end in (("plain", "2"), ("made", "4"), ("lost", "7"))
    ]
    manifest = program.csv(rows)
    assert program("run", manifest, "--json").json["jobs"]["held"] == 2
    before = asked(sandbox)
    found = {weighed["job"]: weighed for weighed in program("resolve", "--suggest", "--json", *api(program)).json}

    assert {job: weighed["finding"] for job, weighed in found.items()} == {"made": "created", "lost": "not created"}
    assert found["made"]["may_have_cost"] == [100, 120]  # the plain one has shown how fast the video is
    words = program("resolve", "made", "--suggest", *api(program)).out
    assert "made (token" in words
    assert "unexplained" in words
    assert "lost" not in words
    # It never acts on its own.
    assert {job["state"] for job in program.jobs()} == {"complete", "held"}
    assert asked(sandbox) == before


def test_where_a_balance_can_not_tell_it_says_so(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:cut_after:match=Clip 0", "submit:cut_before:match=Clip 1", fps=30)
    program.api_url = sandbox.api_url
    program("run", program.manifest(2, videos=1), "--rate", "1000")
    found = program("resolve", "--suggest", "--json", *api(program)).json
    # Both would have cost the same, and one of them has. Which is not known, unless a balance was read in between.
    assert {weighed["finding"] for weighed in found} <= {"can't tell", "created", "not created"}
    made = {weighed["job"] for weighed in found if weighed["finding"] == "created"}
    assert made <= {"job-000"}
    assert "job-000" not in {weighed["job"] for weighed in found if weighed["finding"] == "not created"}


def test_a_job_that_is_not_held_can_not_be_resolved(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    program("run", program.manifest(1))
    assert program("resolve", "job-000", "--project", "cany", *api(program)).code == 2
    assert program("resolve", "job-000", "--suggest", *api(program)).code == 2
    assert program("resolve", "--not-created").code == 2
    assert "No job is held" in program("resolve", "--suggest", *api(program)).out


def test_balances_are_recorded_at_both_ends_of_a_run_and_around_a_lost_answer(
    program: Program, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("submit:cut_after:times=1")
    program.api_url = sandbox.api_url
    program("run", program.manifest(2))
    program("resume", "--max-duration", "1s")
    with closing(sqlite3.connect(program.folder / "batchsync.db")) as ledger:
        found = ledger.execute("SELECT run_id, moment, credits, quiet FROM balances ORDER BY id").fetchall()
    moments = [moment for _, moment, _, _ in found]
    assert moments[:2] == ["start", "doubt"]
    assert "end" in moments
    quiet = [credits for _, moment, credits, quiet in found if quiet and moment in ("start", "end")]
    assert quiet[0] - quiet[-1] == spent(sandbox)
