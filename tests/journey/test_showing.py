"""What became of the jobs, as a person looks at it the morning after: `jobs` and `show`."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable

from program import Program

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_manifest_comes_back_with_what_became_of_each_row(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("render:error(no_source_face):match=Clip 1", "submit:cut_after:match=Clip 2")
    program.api_url = sandbox.api_url
    manifest = program.manifest(4)
    rows = table((program.folder / manifest).read_text())
    order = [3, 1, 0, 2]
    # A header as a spreadsheet has it, a column that is empty in every row, and an order of its own.
    program.csv([{**rows[n], "output": "", "tag.lang": rows[n]["tag.lang"]} for n in order], manifest)
    assert program("run", manifest).code == 1
    # The other manifest shares a job, and says something else of it.
    program.csv([{**rows[3], "tag.lang": "xx"}], "other.csv")
    assert program("run", "other.csv").code == 0

    found = table(program("jobs", "--manifest", manifest, "--format", "csv").out)
    assert [row["id"] for row in found] == [f"job-{n:03d}" for n in order]
    assert [{key: row[key] for key in (*rows[0], "output")} for row in found] == [
        {**rows[n], "output": ""} for n in order
    ]
    assert [row["state"] for row in found] == ["complete", "failed", "complete", "held"]
    assert found[1]["error_code"] == "no_source_face"
    assert table(program("jobs", "--manifest", "other.csv", "--format", "csv").out)[0]["tag.lang"] == "xx"

    assert [job["id"] for job in program("jobs", "job-00[12]", "--format", "json").json] == []
    assert program("jobs", "--run", "last", "--format", "json").json == [], "the second run found nothing to do"
    program("retry", "job-001")
    program("resume")
    listed = program("jobs", "job-*", "--run", "last", "--format", "json").json
    assert [job["id"] for job in listed] == ["job-001"]
    assert [job["id"] for job in program("jobs", "--error", "no_source_face", "--format", "json").json] == ["job-001"]
    shown = program("jobs", "--sort", "id", "--reverse", "--limit", "2", "--columns", "id,tag.lang").out.split()
    assert shown[4:] == ["job-003", "xx", "job-002", "de"]
    assert program("jobs", "--columns", "id,nonsense").code == program("jobs", "--run", "nonsense").code == 2


def test_that_file_is_a_manifest_of_the_same_jobs(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("render:error(no_source_face):match=Clip 1", "submit:cut_after:match=Clip 2")
    program.api_url = sandbox.api_url
    rows = table((program.folder / program.manifest(5)).read_text())
    # What the way there and back might change: formulas, quotes before them, decimal commas; and a job without an id.
    rows[0] |= {"id": "", "name": "- Intro", "end_seconds": "2,5"}
    rows[3] |= {"name": "'=A1", "tag.lang": "@es"}
    text = "\n".join(";".join(row) for row in ([*rows[0]], *(row.values() for row in rows)))
    (program.folder / "jobs.csv").write_text(text)
    assert program("run", "jobs.csv").code == 1
    before, paid = program.jobs(), len(sandbox.state()["projects"])

    (program.folder / "back.csv").write_text(program("jobs", "--format", "csv").out)
    plan = program("plan", "back.csv", "--api-url", program.api_url, "--json").json
    assert (plan["jobs"], plan["new"], plan["already_complete"], plan["changed"]) == (5, 0, 3, 0)
    assert plan["warnings"][0]["value"].startswith("state, project_id, ")
    again = program("run", "back.csv")
    assert again.code == 1
    assert "they are not read" in again.err
    assert program.jobs() == before
    assert len(sandbox.state()["projects"]) == paid, "nothing is paid twice"
    columns = program("jobs", "--manifest", "back.csv", "--format", "csv").out.splitlines()[0].split(",")
    assert columns.count("state") == 1, "results are no columns of the manifest"


def test_the_story_of_a_job_is_told_whole(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:status:503:times=1", "render:error(no_source_face):times=1", fps=25)
    program.api_url = sandbox.api_url
    manifest = program.manifest(1)
    assert program("run", manifest).code == 1
    assert program("retry", "job-000").code == 0
    assert program("run", manifest).code == 0

    text = program("show", "job-000").out
    told = json.loads(program("show", "job-000", "--json").out)
    first, second = (row["project_id"] for row in told["submissions"] if row["project_id"])
    story = text[text.index("What happened") :]
    steps = (
        "added from jobs.csv:2",
        "its files are at the vendor: video video-0.mp4 (",
        "submission 1, as “Clip 0 · ",
        "not created (HTTP 503)",
        "submission 2, ",
        f"created as project {first} (HTTP 200); charged 60 credits",
        "the render failed: ",
        "refunded 60 credits, 0 in all",
        "put back by hand",
        "submission 3, ",
        f"created as project {second} (HTTP 200); charged 60 credits",
        "rendered, ",
        "settled -10 credits, 50 in all",
        "downloaded to outputs/job-000.mp4 (",
    )
    places = [story.find(step) for step in steps]
    assert -1 not in places, dict(zip(steps, places, strict=True))
    assert places == sorted(places)
    assert told["outputs"][0]["digest"] in story
    assert "still there" in text
    assert {row["kind"] for row in told["uploads"]} == {"video", "audio"}
    assert len(told["runs"]) == 2

    (program.folder / "outputs/job-000.mp4").write_bytes(b"other")
    assert "changed since: 5 B now" in program("show", second).out
    (program.folder / "outputs/job-000.mp4").unlink()
    assert "no longer there" in program("show", told["token"]).out
    mistyped = program("show", "job-0000")
    assert (mistyped.code, "did you mean job-000?" in mistyped.err) == (2, True)


def test_what_reads_only_the_first_lines_is_no_error(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    program("run", program.manifest(2))
    command = f"{sys.executable} -m batchsync jobs --format csv; echo $? >&2"
    shell = subprocess.run(
        ["bash", "-c", f"({command}) | true"],
        cwd=program.folder,
        env=program.environment(),
        capture_output=True,
        text=True,
    )
    assert shell.stderr.split() == ["0"]
