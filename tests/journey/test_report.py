"""Reports of real nights: their sums against the simulated account, and every format as a user gets it."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from program import Program

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]
NIGHT = (
    "render:error:no_source_face(refund=0.5):every=4",
    "render:error:invalid_video_file:every=5",
    "submit:cut_after:every=9",
)
BY = ("run", "manifest", "day", "month", "mode", "tag:lang", "job")


@pytest.fixture
def night(program: Program, start_sandbox: Start) -> tuple[Program, Sandbox]:
    """A night with failures, refunds in part, settlements below the estimate, and a lost answer that was paid for."""
    sandbox = start_sandbox(*NIGHT, fps=25)
    program.api_url = sandbox.api_url
    assert program("run", program.manifest(12), "--max-in-flight", "3").code == 1
    return program, sandbox


def json_report(program: Program, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = program("report", "--format", "json", *words).json
    return found


def words(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())


def post_credits(sandbox: Sandbox, credits: int) -> None:
    body = json.dumps({"credits": credits}).encode()
    request = urllib.request.Request(
        f"{sandbox.api_url}/_sandbox/credits", body, {"content-type": "application/json"}
    )
    urllib.request.urlopen(request).close()


def test_what_the_account_lost_is_the_net_and_the_held_job(night: tuple[Program, Sandbox]) -> None:
    program, sandbox = night
    state = sandbox.state()
    known = {job["project_id"] for job in program.jobs()}
    paid = {project["id"]: project["credits_charged"] for project in state["projects"]}
    lost = sum(credits for project, credits in paid.items() if project not in known)
    report = json_report(program, "--price", "usage:creator")
    totals, head = report["totals"], report["head"]
    assert totals["held"] == 1
    assert totals["failed"] > 1
    assert totals["refunded"] > 0
    assert totals["adjusted"] < 0
    assert totals["net"] == sum(credits for project, credits in paid.items() if project in known)
    assert totals["wasted"] == sum(
        paid[job["project_id"]] for job in program.jobs() if job["state"] == "failed" and job["project_id"]
    )
    assert head["opening_balance"]["credits"] - head["closing_balance"]["credits"] == totals["net"] + lost
    assert head["unexplained"] == lost > 0
    assert head["unknown_between"] >= lost
    for by in BY:
        groups = json_report(program, "--by", by, "--price", "usage:creator")["groups"]
        for name in ("jobs", "complete", "failed", "held", "charged", "refunded", "net", "settled", "wasted"):
            assert sum(group[name] for group in groups) == totals[name], (by, name)
        assert sum(Decimal(str(group["usd"])) for group in groups) == Decimal(str(totals["usd"]))


def test_a_found_project_and_other_use_of_the_account(night: tuple[Program, Sandbox]) -> None:
    program, sandbox = night
    known = {job["project_id"] for job in program.jobs()}
    (held,) = (job["id"] for job in program.jobs() if job["state"] == "held")
    (project,) = (one["id"] for one in sandbox.state()["projects"] if one["id"] not in known)
    assert program("resolve", held, "--project", project, "--api-url", program.api_url).code == 0
    program("resume")
    head = json_report(program)["head"]
    assert head["unexplained"] == 0
    post_credits(sandbox, head["closing_balance"]["credits"] - 40)
    program("resume", "--max-duration", "1s")
    program("run", program.manifest(13))
    assert json_report(program)["head"]["unexplained"] == 40
    told = words(program("report").out)
    assert "Unexplained 40 credits" in told
    assert "nothing in this ledger explains it; other use of the account would" in told


def test_run_and_status_say_the_money_of_the_report(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    told = program("run", program.manifest(3), "--price", "plan:creator").err
    usd = json_report(program, "--price", "plan:creator")["totals"]["usd"]
    assert f"${usd:.2f}" in told + program("status", "--price", "plan:creator").out
    assert f"${usd:.2f}" in program("status", "--price", "plan:creator").out


def test_an_empty_period_says_so(night: tuple[Program, Sandbox]) -> None:
    program, _ = night
    period = ("--since", "2001-01-01", "--until", "2001-02-01", "--timezone", "Asia/Tokyo")
    told = words(program("report", *period).out)
    assert "from 2001-01-01 00:00 and before 2001-02-01 00:00 (Asia/Tokyo time); no credits moved in it" in told
    assert "Nothing was submitted, and no credits moved." in told


def test_the_time_zone_is_the_systems_unless_it_is_given(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    program("run", program.manifest(1))
    assert json.loads(program("report", "--format", "json", TZ="Europe/Berlin").out)["head"]["timezone"] == (
        "Europe/Berlin"
    )
    odd = json.loads(program("report", "--format", "json", TZ="CET-1CEST").out)["head"]["timezone"]
    assert odd == json.loads(program("report", "--format", "json", TZ="").out)["head"]["timezone"]
    assert "(Asia/Tokyo time)" in program("report", "--timezone", "Asia/Tokyo").out


SENSELESS = [
    (("--timezone", "Mars/Olympus"), "is no time zone"),
    (("--timezone", "../../etc/passwd"), "is no time zone"),
    (("--since", "yesterday"), "is no day"),
    (("--since", "2026-02-30"), "is no day"),
    (("--since", "2026-02-02", "--until", "2026-02-02"), "nothing lies between"),
    (("--by", "weather"), "there is no report by"),
    (("--bom",), "--bom is for --format csv"),
    (("-o", "no/such/folder/x.csv"), "can't be written"),
    (("-o", "."), "can't be written"),
]


def test_what_makes_no_sense_is_refused_in_words(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    program("run", program.manifest(1))
    for asked, what in SENSELESS:
        done = program("report", *asked)
        assert done.code == 2, asked
        assert what in done.err
        assert "Traceback" not in done.err


def test_a_file_says_its_format_and_appears_whole(night: tuple[Program, Sandbox]) -> None:
    program, _ = night
    begins = {"a.csv": "manifest,", "a.json": "{", "a.html": "<!doctype html>", "a.md": "# ", "a.txt": "Credit usage"}
    for name, start in begins.items():
        (program.folder / name).write_text("before")
        (program.folder / name).chmod(0o600)
        assert program("report", "-o", name).out == f"Wrote {name}\n"
        assert (program.folder / name).read_text().startswith(start)
        assert (program.folder / name).stat().st_mode & 0o777 == 0o600, "a file keeps its mode"
    assert not list(program.folder.glob(".*.part"))
    assert program("report", "--format", "csv", "-o", "/dev/stdout").out.startswith("manifest,")
    (program.folder / "link.csv").symlink_to("a.csv")
    program("report", "--by", "mode", "-o", "link.csv")
    assert (program.folder / "a.csv").read_text().startswith("mode,"), "a link stays one"
    assert (program.folder / "link.csv").is_symlink()


def test_csv_opens_in_spreadsheets(night: tuple[Program, Sandbox]) -> None:
    program, _ = night
    program("report", "--by", "job", "-o", "plain.csv")
    program("report", "--by", "job", "--bom", "-o", "marked.csv")
    plain, marked = ((program.folder / name).read_bytes() for name in ("plain.csv", "marked.csv"))
    assert marked == b"\xef\xbb\xbf" + plain
    assert plain.count(b"\r\n") == plain.count(b"\n") == 13
    rows = list(csv.DictReader(io.StringIO(plain.decode())))
    totals = json_report(program)["totals"]
    for name in ("jobs", "charged", "adjusted", "net", "delta"):
        assert sum(int(row[name]) for row in rows) == totals[name]
    assert any(row["adjusted"].startswith("-") for row in rows), "a negative number stays one"


def on_a_terminal(program: Program, columns: int, *words: str) -> str:
    """What a person sees on a terminal of so many columns."""
    parent, child = pty.openpty()
    process = os.fork()
    if process == 0:  # pragma: no cover
        os.close(parent)
        os.login_tty(child)
        os.chdir(program.folder)
        command = [os.sys.executable, "-m", "batchsync", "report", *words]  # type: ignore[attr-defined]
        os.execve(command[0], command, {**program.environment(), "COLUMNS": str(columns), "TERM": "xterm"})
    os.close(child)
    seen = b""
    try:
        while piece := os.read(parent, 65536):
            seen += piece
    except OSError:
        pass  # the other end is closed
    os.close(parent)
    os.waitpid(process, 0)
    return seen.decode().replace("\r\n", "\n")


def test_tables_fit_their_terminal_and_are_plain_in_a_pipe(night: tuple[Program, Sandbox]) -> None:
    program, _ = night
    piped = program("report", "--by", "job", "--price", "usage:creator").out
    assert "\x1b" not in piped
    assert max(len(line) for line in piped.splitlines()) <= 80
    narrow = on_a_terminal(program, 80, "--by", "job", "--price", "usage:creator")
    assert "\x1b[1m" in narrow
    wide = on_a_terminal(program, 200, "--by", "job", "--price", "usage:creator")
    header = next(line for line in wide.splitlines() if line.startswith("job "))
    assert {"estimated", "charged", "refunded", "net", "settled", "wasted", "money"} <= set(header.split())
    assert max(len(line) for line in wide.splitlines()) <= 200
    every = program("report", "--by", "job", "--wide").out
    assert "adjusted" in every
