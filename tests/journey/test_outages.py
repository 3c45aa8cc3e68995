"""The vendor out of reach: the run says so, waits with patience, goes on by itself, or stops with all in order."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import FAST
from program import Program, wait_until

from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.faults import Fault
from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]


class Unsteady:
    """A vendor that goes away and comes back, at the same address and with all it knew."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = 0
        self.now: Sandbox

    def start(self, *faults: str, **settings: object) -> Sandbox:
        config = SandboxConfig(**{**FAST, **settings})  # type: ignore[arg-type]
        wanted = [Fault.parse(text) for text in faults]
        self.now = Sandbox(config, faults=wanted, state_dir=self._directory, port=self._port)
        self._port = int(self.now.api_url.rpartition(":")[2])
        return self.now


@pytest.fixture
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unsteady]:
    unsteady = Unsteady(tmp_path_factory.mktemp("vendor"))
    yield unsteady
    unsteady.now.close()


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a person without a terminal reads, until it says `words`."""
    assert process.stderr is not None
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, f"it never said {words!r}, but: {said}"
        said += line


def test_a_vendor_that_goes_away_is_waited_for_and_both_are_told(program: Program, vendor: Unsteady) -> None:
    """Twice in one run: in the middle of uploads, and while it renders."""
    program.api_url = vendor.start("put:stall:match=audio").api_url
    process = program.start("run", program.manifest(4), "--json")
    rendering = "SELECT count(*) FROM jobs WHERE state = 'rendering'"
    moments: list[Callable[[], bool]] = [
        lambda: vendor.now.state()["requests"]["put"].get("200", 0) == 3,  # every video, and no audio: none is sent
        lambda: program.ask(rendering) == 4,
    ]
    for moment in moments:
        wait_until(moment)
        vendor.now.close()
        read_until(process, "the vendor is out of reach")
        vendor.start("render:slow:3")
        read_until(process, "the vendor answers again: going on")
    done = program.finish(process)

    assert done.code == 0, done.err
    state = vendor.now.state()
    assert done.json["jobs"]["complete"] == len(state["projects"]) == 4
    assert done.json["credits"]["net"] == state["granted"] - state["account"]["credits"]


def test_a_vendor_that_knows_no_project_for_a_while_costs_none(program: Program, start_sandbox: Start) -> None:
    """A wrong route, a restored database: nothing is given up for it, and nothing is paid again."""
    sandbox = start_sandbox("project:status:404", "project:status:410", render_seconds=0.5)
    program.api_url = sandbox.api_url
    process = program.start("run", program.manifest(3), "--json")
    wait_until(lambda: sum(sandbox.state()["requests"]["project"].values()) >= 12)
    sandbox.faults.replace([])
    done = program.finish(process)
    assert (done.code, done.json["jobs"]["complete"]) == (0, 3), done.err
    assert len(sandbox.state()["projects"]) == 3


STORMS = {
    "gone": None,
    "no uploads": "put:status:503",
    "no submissions": "submit:status:503",
    "no looks": "project:html:504",
    "no downloads": "download:status:503",
}


@pytest.mark.parametrize("where", STORMS)
def test_beyond_patience_the_run_ends_and_nothing_is_lost(program: Program, vendor: Unsteady, where: str) -> None:
    storm = STORMS[where]
    program.api_url = vendor.start(*([storm] if storm else []), render_seconds=0.8).api_url
    manifest = program.manifest(3)
    process = program.start("run", manifest, "--json", "--patience", "1s")
    if storm is None:
        wait_until(lambda: vendor.now.state()["requests"]["project"].get("200", 0) >= 3)
        vendor.now.close()
    done = program.finish(process)
    assert (done.code, done.json["stopped"]) == (3, "unreachable"), done.err
    assert done.json["jobs"]["failed"] == done.json["jobs"]["held"] == 0

    vendor.now.close()
    vendor.start()
    again = program("run", manifest, "--json")
    assert (again.code, again.json["jobs"]["complete"]) == (0, 3)
    state = vendor.now.state()
    assert len(state["projects"]) == 3
    assert again.json["credits"]["net"] == state["granted"] - state["account"]["credits"]


def test_errors_by_the_hundred_cost_no_job_anything(program: Program, start_sandbox: Start) -> None:
    kinds = {
        "upload_urls:status:502": 6,  # many are asked for with one request
        "put:status:503": 24,
        "submit:status:500": 24,
        "project:html:503": 24,
        "download:status:502": 24,
    }
    sandbox = start_sandbox(*(f"{kind}:every=2:times={times}" for kind, times in kinds.items()))
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(40), "--json")

    assert done.code == 0, done.err
    state = sandbox.state()
    assert [row["fired"] for row in state["faults"]] == list(kinds.values())
    assert done.json["jobs"]["complete"] == len(state["projects"]) == 40
    assert done.json["credits"]["net"] == state["granted"] - state["account"]["credits"]
