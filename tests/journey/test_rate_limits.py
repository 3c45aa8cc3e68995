"""Limits that nobody announced, over real sockets: they are found, used and hardly ever hit, and remembered."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from program import Program

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]


def manifest(program: Program, jobs: int, name: str = "jobs.csv") -> str:
    """Jobs with nothing to upload: each is a submission and a few looks."""
    base = f"https://x.example/{name}"
    rows = [
        {"id": f"{name}-{n}", "video": f"{base}/{n}.mp4", "audio": f"{base}/{n}.wav", "end_seconds": "2"}
        for n in range(jobs)
    ]
    return program.csv(rows, name)


def answers(sandbox: Sandbox) -> tuple[int, int]:
    """API requests that were let through, and those that were refused."""
    counts = [count for name, count in sandbox.state()["requests"].items() if name not in ("put", "download")]
    refused = sum(count.get("429", 0) for count in counts)
    return sum(sum(count.values()) for count in counts) - refused, refused


def paces(program: Program) -> dict[str, Any]:
    with closing(sqlite3.connect(program.folder / "batchsync.db")) as ledger:
        rows = ledger.execute("SELECT name, value FROM info WHERE name LIKE 'pace:%'").fetchall()
    return {name: json.loads(value) for name, value in rows}


@pytest.mark.parametrize("fixed", [True, False], ids=["fixed", "sliding"])
def test_a_limit_is_found_and_tomorrows_run_starts_near_it(
    program: Program, start_sandbox: Start, fixed: bool
) -> None:
    sandbox = start_sandbox(rate_limit=30, rate_window=1.0, rate_fixed=fixed, render_seconds=0.1, queue_seconds=0.0)
    program.api_url = sandbox.api_url
    done = program("run", manifest(program, 80), "--json")

    assert (done.code, done.json["jobs"]["complete"]) == (0, 80), done.err
    assert len(sandbox.state()["projects"]) == 80
    _, refused = answers(sandbox)
    assert 1 <= refused <= 60, "the start, and an episode or two: of some 300"
    ((name, pace),) = paces(program).items()
    assert name == f"pace:{sandbox.state()['account']['id']}"
    assert 10 <= pace["limit"] <= 60, "in a few seconds: around the edge of two windows twice as many are let through"

    done = program("run", manifest(program, 40, "more.csv"), "--json")
    assert (done.code, done.json["jobs"]["complete"]) == (0, 40), done.err
    assert answers(sandbox)[1] - refused <= 20, "it starts near what was found out"


def test_where_nobody_says_no_nothing_is_learned(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(render_seconds=0.1)
    program.api_url = sandbox.api_url
    assert program("run", manifest(program, 10)).code == 0
    assert paces(program) == {}


@pytest.mark.parametrize("wish", ["date", "none", "absurd", "0"])
def test_a_refusal_with_any_retry_after_loses_no_time_and_no_job(
    program: Program, start_sandbox: Start, wish: str
) -> None:
    sandbox = start_sandbox(f"any:rate_limit({wish}):after=5:times=2", render_seconds=0.1)
    program.api_url = sandbox.api_url
    done = program("run", manifest(program, 6), "--json")
    assert (done.code, done.json["jobs"]["complete"]) == (0, 6), done.err
    assert len(sandbox.state()["projects"]) == 6
    assert done.json["elapsed_seconds"] < 30
