"""A night that is watched: every event for a log system, and `status` from another process while a run goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from program import Program, wait_until

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]


def test_a_log_system_gets_a_line_per_event(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("render:error(code=no_source_face):times=1")
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(6), "--log-format", "json", "--log-file", "night.log", "--no-progress")
    assert done.code == 1
    lines = [json.loads(text) for text in done.err.splitlines() if text.startswith("{")]
    events = Counter(line["event"] for line in lines if "event" in line)
    assert events["submitted"] == 6
    assert events["rendered"] == events["complete"] == 5
    assert events["failed"] == events["run_begins"] == events["run_ends"] == 1
    (failed,) = (line for line in lines if line.get("event") == "failed")
    assert (failed["code"], failed["level"]) == ("no_source_face", "warning")
    (end,) = (line for line in lines if line.get("event") == "run_ends")
    assert end["jobs"] == {"complete": 5, "failed": 1}
    (complete, *_) = (line for line in lines if line.get("event") == "complete")
    assert Path(complete["files"][0]).is_file()
    in_file = [json.loads(text) for text in (program.folder / "night.log").read_text().splitlines()]
    assert Counter(line["event"] for line in in_file if "event" in line) == events


def test_status_reads_along_while_a_run_goes_on(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("render:slow:60:times=2", render_seconds=0.3)
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(9), "--quiet")
    try:
        wait_until(lambda: len(program.outputs()) >= 7)
        wait_until(lambda: program("status", "--json").json["jobs"]["complete"] >= 7)
        status = program("status", "--json").json
        assert status["in_flight"]["jobs"] == 2
        assert status["in_flight"]["oldest_job"].startswith("job-")
        assert status["jobs_per_minute"] > 0
        assert status["seconds_left"] > 0
        text = program("status").out
        assert "has been going on for" in text
        assert "In flight: 2 jobs, the oldest for" in text
        assert "jobs/min" in text
    finally:
        process.terminate()
        program.finish(process)
    assert program("status", "--json").json["jobs_per_minute"] is None, "no run goes on"
