"""The main job as a user does it: a manifest in, videos out, every credit told."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable

from program import KEY, Program

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]


def test_a_csv_goes_in_and_videos_come_out(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(6), "--json")

    assert done.code == 0, done.err
    state = sandbox.state()
    spent = state["granted"] - state["account"]["credits"]
    summary = done.json
    assert summary["stopped"] is None
    assert summary["jobs"]["total"] == summary["jobs"]["complete"] == 6
    assert summary["credits"]["net"] == spent > 0
    assert summary["credits"]["charged"] - summary["credits"]["refunded"] == spent
    assert summary["credits"]["estimated"] == 6 * 60
    assert program.outputs() == [f"job-{n:03d}.mp4" for n in range(6)]
    # The sandbox renders the uploaded video itself, so whose output is whose can be told.
    for n in range(6):
        wanted = (program.folder / f"video-{n % 3}.mp4").read_bytes()
        assert (program.folder / "outputs" / f"job-{n:03d}.mp4").read_bytes() == wanted
    assert [upload["puts"] for upload in state["uploads"].values()] == [1] * 9
    tokens = {job["token"] for job in program.jobs()}
    assert len(tokens) == 6
    assert {project["name"].split(" · ")[1] for project in state["projects"]} == tokens


def test_yaml_with_defaults_urls_and_output_names(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    program.media("clips/intro.mp4")
    program.media("voices/es.wav")
    (program.folder / "jobs.yaml").write_text(
        """
version: 1
defaults: {end_seconds: 3, generation_mode: standard, tags: {campaign: spring}}
jobs:
  - {id: 007, video: clips/intro.mp4, audio: voices/es.wav, output: "{tag.campaign}/{id}", max_fps_limit: 12}
  - {video: https://example.com/talk.mp4, audio: https://example.com/talk.mp3, start_seconds: 1}
"""
    )
    done = program("run", "jobs.yaml", "--json", "--plain-names")

    assert done.code == 0, done.err
    first, second = program.jobs()
    assert first["id"] == "007"
    assert first["tags"] == {"campaign": "spring"}
    assert first["output"] == str(program.folder / "outputs/spring/007.mp4")
    assert second["id"].startswith("talk-")
    assert len(program.outputs()) == 2
    asked = {project["name"]: project for project in sandbox.state()["projects"]}
    assert asked["007"]["max_fps_limit"] == 12
    assert asked[second["id"]]["video"] == "https://example.com/talk.mp4"
    assert asked[second["id"]]["start_seconds"] == 1


def test_running_it_again_changes_and_spends_nothing(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    manifest = program.manifest(3)
    first = program("run", manifest, "--json")
    asked = sandbox.state()["requests"]
    again = program("run", manifest, "--json")

    assert again.code == 0
    assert again.json["credits"] == first.json["credits"]
    assert sandbox.state()["requests"] == asked


def test_rows_that_are_added_are_the_only_ones_that_run(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    program("run", program.manifest(2))
    done = program("run", program.manifest(5), "--json")

    assert done.json["jobs"]["complete"] == 5
    state = sandbox.state()
    assert len(state["projects"]) == 5
    # Three new audios, and no video again: uploads are kept for days.
    assert state["requests"]["put"]["200"] == 2 + 2 + 3 + 1


def test_the_embedded_sandbox_needs_no_key_and_its_ledger_stays_its_own(program: Program) -> None:
    manifest = program.manifest(2)
    done = program("run", manifest, "--sandbox", "--json", MAGIC_HOUR_API_KEY="")
    assert done.code == 0, done.err
    assert len(program.outputs()) == 2

    program.api_url = "http://127.0.0.1:9"
    real = program("run", manifest)
    assert real.code == 2
    assert "--sandbox" in real.err


def test_the_key_is_seen_nowhere_but_at_the_api(program: Program, start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox("submit:status:500:times=1", "put:status:503:times=1", "download:expired_url:times=1")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(4), "--json", "--log-file", "run.log", "-vv", "--log-format", "json")

    assert done.code == 0, done.err
    assert sandbox.state()["leaks"] == 0
    lines = [json.loads(line) for line in (program.folder / "run.log").read_text().splitlines()]
    assert lines
    everything = [done.out, done.err, program("show", "job-000", "--json").out]
    everything += [path.read_bytes().decode("latin-1") for path in program.folder.rglob("*") if path.is_file()]
    assert not [text for text in everything if KEY in text]
    # Nor are signed links kept anywhere: they open files to whoever has them.
    assert not [text for text in everything if "signature=" in text.lower() or "expires=" in text.lower()]


def test_the_ledger_is_for_its_owner_only(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    program("run", program.manifest(1))
    assert stat.S_IMODE((program.folder / "batchsync.db").stat().st_mode) == 0o600


def test_several_outputs_of_one_job(program: Program, start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox(outputs=3)
    program.api_url = sandbox.api_url
    assert program("run", program.manifest(1)).code == 0
    assert program.outputs() == ["job-000-2.mp4", "job-000-3.mp4", "job-000.mp4"]


def test_show_status_and_report_agree_with_the_account(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    program("run", program.manifest(5))
    state = sandbox.state()
    spent = state["granted"] - state["account"]["credits"]

    assert program("status", "--json").json["credits"]["net"] == spent
    assert sum(job["credits"] for job in program.jobs()) == spent
    for by in ("run", "manifest", "day", "month", "mode", "tag:lang", "job"):
        report = program("report", "--by", by, "--format", "json").json
        assert report["by"] == by
        assert report["totals"]["net"] == spent
        assert sum(group["net"] for group in report["groups"]) == spent
        assert sum(group["jobs"] for group in report["groups"]) == 5
    shown = program("show", "job-000", "--json").json
    assert shown["events"][0]["event"] == "added"
    assert shown["events"][-1]["to_state"] == "complete"
    assert sum(e["amount"] for e in shown["credits"] if e["kind"] in ("charge", "settle", "refund")) == next(
        project["credits_charged"] for project in state["projects"] if project["id"] == shown["project_id"]
    )


def test_a_run_looks_at_renders_when_the_ledgers_have_usually_ended(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=4, render_sigma=0)
    program.api_url = sandbox.api_url
    media = {"video": program.media("v.mp4"), "audio": program.media("a.wav"), "end_seconds": "99"}

    def looks(jobs: range) -> int:
        before = sum(sandbox.state()["requests"].get("project", {}).values())
        rows = [media | {"start_seconds": f"{97 - 0.001 * n:g}"} for n in jobs]
        done = program("run", program.csv(rows, f"{jobs.start}.csv"), "--poll-interval", "0.2s", "--json")
        assert done.code == 0, done.err
        return sum(sandbox.state()["requests"]["project"].values()) - before

    looks(range(20))
    assert looks(range(20, 40)) <= 3 * 20  # it takes some ten of each to find that out
