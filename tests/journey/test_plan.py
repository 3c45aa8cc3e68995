"""`plan`, and the question that `run` asks: what is said, and what is said to be unknown."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from program import Program

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]

CONTRACT = {
    "jobs",
    "new",
    "already_complete",
    "uploads",
    "credits_estimated",
    "usd_estimated",
    "balance",
    "warnings",
}


def told(program: Program, manifest: str, *more: str, **environment: str) -> dict[str, Any]:
    done = program("plan", manifest, "--api-url", program.api_url, "--json", *more, **environment)
    assert done.code == 0, done.err
    found: dict[str, Any] = done.json
    return found


def lines(program: Program, manifest: str, *more: str, **environment: str) -> list[str]:
    done = program("plan", manifest, "--api-url", program.api_url, *more, **environment)
    assert done.code == 0, done.err
    return done.out.splitlines()


def test_a_plan_before_and_after_a_run(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox(fps=24, credits=1300)
    program.api_url = sandbox.api_url
    manifest = program.manifest(30)
    before = told(program, manifest, "--price", "usage:creator", "--max-in-flight", "7")
    assert before.keys() >= CONTRACT
    assert (before["jobs"], before["new"], before["already_complete"]) == (30, 30, 0)
    assert before["uploads"] == before["uploads_left"]
    assert before["uploads"]["files"] == 3 + 30
    assert (before["credits_estimated"], before["credits_expected"], before["credits_at_most"]) == (1800, None, None)
    assert before["frame_rates"] == {"known": 0, "as_settled": 0, "unknown": 30}
    assert (before["usd_estimated"], before["usd_expected"]) == (2.16, None)
    assert (before["balance"], before["credits_missing"], before["tier"]) == (1300, 500, "creator")
    assert before["render_seconds"] == {"usual": 229.0, "expected": 5 * 229.0}
    assert not sandbox.state()["projects"], "a plan costs nothing"

    assert program("run", manifest, "--limit", "20").code == 3
    after = told(program, manifest, "--price", "usage:creator")
    assert (after["new"], after["waiting"], after["already_complete"]) == (0, 10, 20)
    assert after["uploads"]["files"] == 3 + 10
    assert after["uploads_left"]["files"] == 10, "the three videos are at the vendor still"
    assert (after["credits_estimated"], after["credits_expected"]) == (600, 480)
    assert after["frame_rates"] == {"known": 0, "as_settled": 10, "unknown": 0}
    assert after["used_this_month"] == 20 * 48
    assert (after["balance"], after["credits_missing"]) == (340, 260)
    assert after["render_seconds"]["usual"] < 60, "twenty renders say more than the vendor"


def test_a_plan_for_people_fits_80_columns_and_says_what_is_unknown(program: Program, start_sandbox: Start) -> None:
    program.api_url = start_sandbox(credits=50).api_url
    manifest = program.manifest(4)
    text = lines(program, manifest)
    assert max(map(len, text)) <= 80
    assert all(line[:10] == " " * 10 or line[8:10] == "  " for line in text), "two columns"
    whole = "\n".join(text)
    assert "4 jobs · 4 new · 0 complete" in whole
    assert "in the end unknown: 4 of 4 jobs have no known frame rate" in whole
    assert "50 credits: 190 credits too few" in whole
    assert "--price usage:creator" in whole
    assert "$" not in whole


def test_without_a_key_all_else_is_said(program: Program) -> None:
    program.api_url = "https://127.0.0.1:9"
    manifest = program.manifest(2)
    found = told(program, manifest, MAGIC_HOUR_API_KEY="")
    unknown = ("balance", "credits_missing", "tier", "usd_estimated", "credits_expected")
    assert {name: found[name] for name in unknown} == dict.fromkeys(unknown)
    assert found["credits_estimated"] == 120
    assert "Balance   unknown" in lines(program, manifest, MAGIC_HOUR_API_KEY="")
    money = "Money     unknown without a price, such as --price usage:creator"
    assert money in lines(program, manifest, MAGIC_HOUR_API_KEY="")


def test_a_price_is_suggested_by_the_account_and_without_it_by_the_last_run(
    program: Program, sandbox: Sandbox
) -> None:
    program.api_url = sandbox.api_url
    manifest = program.manifest(2)
    fits = "Money unknown without a price: --price usage:creator or plan:creator fits"
    assert f"{fits} this account, tier creator" in " ".join(" ".join(lines(program, manifest)).split())
    assert program("run", manifest, "--limit", "1").code == 3
    unasked = " ".join(" ".join(lines(program, manifest, MAGIC_HOUR_API_KEY="")).split())
    assert f"{fits} the account of the last run, tier creator" in unasked


def test_a_manifest_that_is_not_there_is_said_once(program: Program) -> None:
    done = program("plan", "nowhere.csv")
    assert done.code == 2
    assert done.err.count("there is no such file") == 1
    assert done.err.startswith("Error: nowhere.csv: there is no such file")


def test_uploads_of_an_account_that_isn_t_known_are_said_to_be_unknown(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    manifest = program.manifest(3)
    assert program("run", manifest, "--limit", "1").code == 3
    program.csv([{"id": "new", "video": "video-0.mp4", "audio": program.media("n.wav"), "end_seconds": "2"}])
    assert told(program, manifest, MAGIC_HOUR_API_KEY="")["uploads_left"]["files"] == 1, "the account met last"
    with closing(sqlite3.connect(program.folder / "batchsync.db")) as ledger, ledger:
        ledger.execute("DELETE FROM balances")
    assert told(program, manifest, MAGIC_HOUR_API_KEY="")["uploads_left"] is None
    assert "isn't known" in "\n".join(lines(program, manifest, MAGIC_HOUR_API_KEY=""))


def test_the_limit_on_jobs_in_flight_may_come_from_the_environment(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    found = told(program, program.manifest(4), BATCHSYNC_MAX_IN_FLIGHT="1")
    assert found["render_seconds"]["expected"] == 4 * 229.0


@pytest.mark.parametrize(("answer", "code"), [("n", 2), ("y", 0)])
def test_a_person_is_asked_with_the_plan_before_anything_is_spent(
    program: Program, sandbox: Sandbox, answer: str, code: int
) -> None:
    program.api_url = sandbox.api_url
    words = [sys.executable, "-m", "batchsync", "run", program.manifest(2), "--api-url", sandbox.api_url]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*words, "--poll-interval", "0.1s", "--price", "usage:creator", "--no-progress"],
        cwd=program.folder,
        env=program.environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = ""
        while "Go on?" not in shown:
            shown += os.read(ours, 4096).decode(errors="replace")
        assert not sandbox.state()["projects"]
        os.write(ours, answer.encode() + b"\n")
        assert process.wait(60) == code
    os.close(ours)
    for part in ("120 at submission", "Balance   1,000,000 credits", "$0.14 at submission", "4 min of rendering"):
        assert part in shown
    assert len(sandbox.state()["projects"]) == (2 if answer == "y" else 0)
