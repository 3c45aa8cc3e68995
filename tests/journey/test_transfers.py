"""Uploads and downloads over a bad line: what arrives is whole, what is rendered is paid once, yours stays yours."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest
from program import Program, wait_until

from batchsync.sandbox.serve import Sandbox
from batchsync.sandbox.store import SAMPLE

Start = Callable[..., Sandbox]

BIG = random.Random(5).randbytes(6_000_000)


def one_big_job(program: Program, content: bytes = BIG) -> str:
    """A manifest of one job, `big`, whose video is larger than any buffer on the way; the sandbox gives it back."""
    program.media("big.mp4", content)
    program.media("a.wav")
    return program.csv([{"id": "big", "video": "big.mp4", "audio": "a.wav", "end_seconds": "2"}])


def each_has_its_own(program: Program, jobs: int, videos: int) -> bool:
    return all(
        (program.folder / f"outputs/job-{n:03d}.mp4").read_bytes()
        == (program.folder / f"video-{n % videos}.mp4").read_bytes()
        for n in range(jobs)
    )


# --- up ---


def test_uploads_that_go_wrong_are_made_again_and_nothing_else_is(program: Program, start_sandbox: Start) -> None:
    kinds = ("expired_url", "cut_body", "cut_before:eof", "status:503", "status:500", "html:502", "cut_after")
    sandbox = start_sandbox(
        "upload_urls:expired_url:times=1",
        "upload_urls:status:503:after=1:times=1",
        *(f"put:{k}:times=1" for k in kinds),
    )
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(6, videos=6), "--json")

    assert done.code == 0, done.err
    state = sandbox.state()
    assert [row["fired"] for row in state["faults"]] == [1] * (2 + len(kinds))
    assert len(state["projects"]) == 6
    assert each_has_its_own(program, 6, videos=6)
    # Each file once, but for the one whose arrival nobody confirmed.
    assert len(state["uploads"]) == 12 + 1


@pytest.mark.parametrize("refusal", ["status:503", "rate_limit(retry_after=none)"])
def test_a_file_that_is_refused_for_the_pace_alone_goes_to_the_same_url_again(
    program: Program, start_sandbox: Start, refusal: str
) -> None:
    sandbox = start_sandbox(f"put:{refusal}:times=2", f"download:{refusal}:times=2")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(6, videos=6), "--json")

    assert done.code == 0, done.err
    state = sandbox.state()
    assert [row["fired"] for row in state["faults"]] == [2, 2]
    assert program.ask("SELECT count(*) FROM events WHERE event = 'attempt_failed'") == 0
    assert each_has_its_own(program, 6, videos=6)


def test_a_url_that_ran_out_before_its_upload_began_is_not_used(program: Program, start_sandbox: Start) -> None:
    """One refusal makes all uploads wait for longer than the URLs are good for that they have by then."""
    sandbox = start_sandbox("put:status(503, retry_after=7):times=1", upload_url_seconds=5.0)
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(4, videos=4), "--transfers", "1", "--json")

    assert done.code == 0, done.err
    refused = sandbox.state()["requests"]["put"].get("403", 0)
    assert refused <= 2, "of seven whose URLs had run out; a busy machine may let a fresh one run out"


def test_an_upload_that_takes_longer_than_its_url_is_good_for_is_told(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("put:slow:6:match=.mp4:times=2", upload_url_seconds=4.0)
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(1), "--json")

    assert done.code == 0, done.err
    assert program.ask("SELECT count(*) FROM events WHERE detail LIKE '%upload_too_slow%'") >= 2
    assert re.search("uploads don't get through: .*video-0.mp4: the upload takes longer than its URL", done.err)


def test_inputs_that_change_after_the_plan_fail_alone_and_cost_nothing(
    program: Program, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("upload_urls:slow:0.5")
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(3), "--json")
    wait_until(lambda: sandbox.state()["peak"]["upload_urls"] > 0)
    video = program.folder / "video-0.mp4"
    video.write_bytes(video.read_bytes()[::-1])
    (program.folder / "video-1.mp4").unlink()
    done = program.finish(process)

    assert done.code == 1
    assert [job["state"] for job in program.jobs()] == ["failed", "failed", "complete"]
    assert {job["error"]["code"] for job in program.jobs()[:2]} == {"input_changed"}
    assert len(sandbox.state()["projects"]) == 1
    assert [path for path in sandbox.state()["uploads"] if path.endswith(".mp4")] == [
        sandbox.state()["projects"][0]["video"]
    ]


def test_a_file_that_changes_while_it_is_sent_never_arrives(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("put:slow:1")
    program.api_url = sandbox.api_url
    process = program.start("run", one_big_job(program, random.Random(7).randbytes(24_000_000)), "--json")
    wait_until(lambda: sandbox.state()["peak"]["put"] > 1)
    with (program.folder / "big.mp4").open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"another end")
    done = program.finish(process)

    assert (done.code, program.jobs()[0]["error"]["code"]) == (1, "input_changed")
    assert not [path for path in sandbox.state()["uploads"] if path.endswith(".mp4")]
    assert not sandbox.state()["projects"]


def test_jobs_that_share_a_video_wait_for_one_upload_of_it(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("put:slow:0.5:match=video.mp4")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(40, videos=1), "--json")

    assert done.code == 0, done.err
    state = sandbox.state()
    assert len([path for path in state["uploads"] if path.endswith(".mp4")]) == 1
    assert state["requests"]["put"] == {"200": 41}
    assert sum(state["requests"]["upload_urls"].values()) <= 20, "many URLs a request"
    assert len(state["projects"]) == 40


def test_a_large_shared_file_keeps_nobody_elses_waiting(program: Program, start_sandbox: Start) -> None:
    """Forty jobs wait for a video that doesn't get through, more than may be at work at once; others go past them."""
    sandbox = start_sandbox("put:stall:times=1:match=video")
    program.api_url = sandbox.api_url
    program.media("shared.mp4")
    program.media("own.mp4")
    rows = [{"id": f"j{n}", "video": "shared.mp4", "audio": program.media(f"a{n}.wav")} for n in range(40)]
    rows.append({"id": "own", "video": "own.mp4", "audio": "a0.wav"})
    process = program.start("run", program.csv([row | {"end_seconds": "2"} for row in rows]), "--json")
    wait_until(lambda: program.ask("SELECT count(*) FROM jobs WHERE id = 'own' AND state = 'complete'") == 1)
    process.kill()
    process.communicate()


def test_two_processes_upload_each_file_once(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("put:slow:0.1")
    program.api_url = sandbox.api_url
    manifest = program.manifest(30, videos=5)
    results = [program.finish(process) for process in [program.start("run", manifest, "--json") for _ in range(2)]]

    assert {done.code for done in results} == {0}, [done.err for done in results]
    state = sandbox.state()
    assert state["requests"]["put"] == {"200": 35}
    assert len(state["projects"]) == 30


def test_an_upload_whose_process_was_killed_is_made_by_another(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("put:stall:times=1:match=video")
    program.api_url = sandbox.api_url
    manifest = program.manifest(6, videos=1)
    dying = program.start("run", manifest)
    wait_until(lambda: sandbox.state()["peak"].get("put", 0) > 0)
    living = program.start("run", manifest, "--json")
    wait_until(lambda: program.ask("SELECT count(*) FROM runs") == 2)
    dying.kill()
    dying.communicate()
    done = program.finish(living)

    assert done.code == 0, done.err
    assert len([path for path in sandbox.state()["uploads"] if path.endswith(".mp4")]) == 1


def test_uploads_whose_days_are_over_are_made_again_in_mid_run(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:slow:4:times=1")
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(4, videos=2), "--json", "--max-in-flight", "1")
    state = "SELECT count(*) FROM jobs WHERE state = "
    wait_until(lambda: program.ask(state + "'submitting'") == 1 and program.ask(state + "'uploaded'") == 3)
    with closing(sqlite3.connect(program.folder / "batchsync.db", timeout=30)) as ledger, ledger:
        ledger.execute("UPDATE uploads SET expires_at = 1")
        ledger.execute("UPDATE jobs SET assets_expire_at = 1 WHERE state = 'uploaded'")
    done = program.finish(process)

    assert done.code == 0, done.err
    assert program.ask("SELECT count(*) FROM events WHERE event = 'assets_expired'") == 3
    # Both videos and the audios of the three jobs that were not submitted yet, once more.
    assert sandbox.state()["requests"]["put"] == {"200": 6 + 5}
    assert len(sandbox.state()["projects"]) == 4


def test_uploads_that_the_vendor_has_lost_before_their_time_are_made_again(
    program: Program, start_sandbox: Start
) -> None:
    sandbox = start_sandbox()
    program.api_url = sandbox.api_url
    assert program("run", program.manifest(6, videos=2), "--limit", "2", "--json").code == 3
    before = sandbox.state()["requests"]["put"]["200"]
    httpx.post(f"{sandbox.api_url}/_sandbox/expire", json={"what": ["assets"]}).raise_for_status()
    done = program("run", "jobs.csv", "--json", "--max-in-flight", "2")

    assert done.code == 0, done.err
    state = sandbox.state()
    assert len(state["projects"]) == 6
    gone = program.ask("SELECT count(*) FROM submissions WHERE code = 'input_gone'")
    assert 1 <= gone <= 4, "two to find it out, and who was about to be sent meanwhile"
    assert state["requests"]["put"]["200"] - before <= 2 + 4 + gone, "each content once, and no more than it must"


def test_an_input_that_is_not_there_anew_fails_its_job(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    row = {"id": "a", "video": "api-assets/gone/video.mp4", "audio": program.media("a.wav"), "end_seconds": "2"}
    done = program("run", program.csv([row]), "--json")

    assert done.code == 1
    assert not sandbox.state()["projects"]
    assert sandbox.state()["requests"]["submit"] == {"400": 3}, "what is missing may have been the uploaded audio"
    assert program.jobs()[0]["error"]["code"] == "invalid_request"


# --- down ---


def test_downloads_that_go_wrong_are_made_again_and_never_rendered_again(
    program: Program, start_sandbox: Start
) -> None:
    kinds = ("cut_before", "cut_body", "status:500", "html:404", "expired_url", "wrong_length", "no_length")
    kinds += ("no_length(how=eof)", "no_length(how=eof, at=0.5)", "redirect:path", "redirect:origin")
    sandbox = start_sandbox("project:expired_url:times=1", *(f"download:{kind}:times=1" for kind in kinds))
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(12, videos=4), "--json")

    assert done.code == 0, done.err
    state = sandbox.state()
    assert [row["fired"] for row in state["faults"]] == [1] * (1 + len(kinds))
    assert len(state["projects"]) == 12
    assert each_has_its_own(program, 12, videos=4)
    assert program.outputs() == [f"job-{n:03d}.mp4" for n in range(12)]
    assert state["leaks"] == 0
    assert done.json["credits"]["net"] == state["granted"] - state["account"]["credits"]


HALF = [f"no_length(how=eof, at=0.{tenths}):times=1" for tenths in (5, 3, 7, 6, 2)]


@pytest.mark.parametrize(
    ("faults", "readings"),
    [
        (["no_length:eof"], 2),
        (["no_length:eof:times=1", "no_length(how=eof, at=0.5):times=2", "no_length:eof"], 4),
        ([*HALF[:4], "no_length:eof"], 6),
        (HALF, 6),
    ],
    ids=["whole twice", "cut twice at one place", "cut again and again", "cut, then announced"],
)
def test_a_file_whose_end_is_not_marked_is_taken_only_when_it_comes_twice(
    program: Program, start_sandbox: Start, faults: list[str], readings: int
) -> None:
    sandbox = start_sandbox(*(f"download:{fault}" for fault in faults))
    program.api_url = sandbox.api_url
    done = program("run", one_big_job(program))

    assert done.code == 0, done.err
    assert (program.folder / "outputs/big.mp4").read_bytes() == BIG
    assert sum(sandbox.state()["requests"]["download"].values()) == readings
    assert len(sandbox.state()["projects"]) == 1
    assert program.outputs() == ["big.mp4"]


def test_two_versions_of_a_file_are_never_mixed(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("download:cut_body:0.001:times=1", "download:replaced")
    program.api_url = sandbox.api_url
    done = program("run", one_big_job(program))

    assert done.code == 0, done.err
    assert (program.folder / "outputs/big.mp4").read_bytes() == SAMPLE.read_bytes()
    assert "206" not in sandbox.state()["requests"]["download"]


def test_files_that_are_listed_late_come_all_the_same(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("render:empty_downloads", "download:cut_body:after=1:times=1", outputs=3)
    program.api_url = sandbox.api_url
    done = program("run", one_big_job(program))

    assert done.code == 0, done.err
    assert program.outputs() == ["big-2.mp4", "big-3.mp4", "big.mp4"]
    assert {(program.folder / "outputs" / name).read_bytes() for name in program.outputs()} == {BIG}
    # What was whole is not fetched again for the sake of what was cut.
    assert sandbox.state()["requests"]["download"] == {"200": 2, "cut": 1, "206": 1}
    assert len(sandbox.state()["projects"]) == 1


def test_a_file_that_appears_while_the_job_renders_is_left_alone(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=1)
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(2), "--json")
    wait_until(lambda: len(sandbox.state()["projects"]) == 2)
    mine = program.folder / "outputs/job-001.mp4"
    mine.write_text("mine")
    done = program.finish(process)

    assert (done.code, mine.read_text()) == (1, "mine")
    assert program.jobs()[1]["error"]["code"] == "bad_output"
    mine.rename(program.folder / "elsewhere.mp4")
    assert program("retry", "job-001").code == 0
    assert program("resume").code == 0
    assert program.outputs() == ["job-000.mp4", "job-001.mp4"]
    assert len(sandbox.state()["projects"]) == 2
