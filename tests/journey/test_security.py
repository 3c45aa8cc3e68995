"""What must stay secret, what must stay where it is, and what must not play with a terminal or a spreadsheet."""

from __future__ import annotations

import itertools
import json
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from program import KEY, Program, wait_until

from batchsync.sandbox import answers, api
from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]

ECHO = f"key {KEY} url https://s.example/f.mp4?signature=QUOTED or /f.mp4?a=1&X-Sig=QUOTED or X-Amz-Signature=QUOTED"
SECRETS = (KEY, "signature=", "expires=", "QUOTED")


def kept(folder: Path) -> str:
    """Everything in all files of a folder: the ledger with its -wal, logs, partial files."""
    text = ""
    for path in folder.rglob("*"):
        with suppress(OSError):  # a file that is just being renamed
            text += path.read_bytes().decode("latin-1") if path.is_file() else ""
    return text


def told(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret.lower() in text.lower()]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_fault_brings_a_secret_to_light(program: Program, start_sandbox: Start, log_format: str) -> None:
    echoes = [f"{where}:status(503, message={ECHO}):times=1" for where in ("upload_urls", "submit", "project")]
    echoes += [f"put:status(503, message={ECHO}):times=1", f"download:status(404, message={ECHO}):times=1"]
    sandbox = start_sandbox(
        *echoes,
        f"submit:status(400, code={KEY}, message={ECHO}):after=2:times=1",
        f"render:error({KEY}, message={ECHO}):times=1",
        *("put:cut_body:times=1", "put:expired_url:times=1", "submit:garbage:after=4:times=1"),
        *("project:garbage:times=1", "project:expired_url:times=1", "download:cut_body:times=1"),
        *("download:redirect:origin:times=1", "download:expired_url:times=1", "download:html:times=1"),
    )
    program.api_url = sandbox.api_url
    arguments = ("--log-file", "run.log", "--log-format", log_format, "-vv")
    process = program.start("run", program.manifest(8), "--json", *arguments)
    proc = Path("/proc", str(process.pid))
    wait_until(lambda: sandbox.state()["requests"]["submit"].get("200", 0) >= 4)
    assert KEY not in (proc / "cmdline").read_text()
    assert not "".join(path.read_text() for path in proc.glob("task/*/children"))
    assert told(kept(program.folder)) == []
    done = program.finish(process)

    assert (done.code, done.json["jobs"]["failed"], done.json["jobs"]["held"]) == (1, 2, 1), done.err
    assert [row["fault"] for row in sandbox.state()["faults"] if not row["fired"]] == []
    assert "url https://s.example/f.mp4 or /f.mp4" in done.err, "the vendor's words are told, without what is secret"
    failed = [job["id"] for job in program.jobs() if job["state"] != "complete"]
    said = [program("show", job, *how).out for job in failed for how in ((), ("--json",))]
    said += [program("report", "--by", "job", "--format", "json").out, done.out, done.err]
    assert told(kept(program.folder) + "".join(said)) == []
    assert sandbox.state()["leaks"] == 0


def test_a_log_is_for_its_owner_only_unless_its_owner_said_otherwise(program: Program, sandbox: Sandbox) -> None:
    program.api_url = sandbox.api_url
    shared = program.folder / "shared.log"
    shared.write_text("before\n")
    shared.chmod(0o640)
    program("run", program.manifest(1), "--log-file", "new.log")
    program("resume", "--log-file", "shared.log", "-v")
    assert stat.S_IMODE((program.folder / "new.log").stat().st_mode) == 0o600
    assert stat.S_IMODE(shared.stat().st_mode) == 0o640
    assert shared.read_text().startswith("before\n")


# --- names that lead elsewhere ---

NASTY = ("../../x", "/tmp/batchsync-x", "a\0b", "c" * 5000, "..", "x/../../y", "a\x1b[2J", "c\u202e")


def test_a_project_id_leads_nowhere(program: Program, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What isn't an id may still be a project: held, never asked for, and nowhere a part of a path."""
    ids = iter(NASTY)
    honest = answers.created
    monkeypatch.setattr(answers, "created", lambda project: honest(project) | {"id": next(ids)})
    program.api_url = sandbox.api_url
    done = program("run", program.manifest(len(NASTY)), "--json")

    assert (done.code, done.json["jobs"]["held"]) == (1, len(NASTY))
    assert sandbox.state()["requests"]["project"] == {}
    assert not (program.folder / "outputs").exists() or program.outputs() == []
    assert "\x1b" not in done.err


def test_an_uploads_path_leads_nowhere(program: Program, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = itertools.cycle(f"{name}.mp4" for name in NASTY if name.isprintable())
    honest = api.JSONResponse

    def odd(content: dict[str, Any]) -> Any:
        for item in content.get("items", ()):
            item["file_path"] = next(paths)
        return honest(content)

    monkeypatch.setattr(api, "JSONResponse", odd)
    program.api_url = sandbox.api_url
    before = sorted(path.name for path in program.folder.parent.iterdir())
    done = program("run", program.manifest(3), "--json")

    assert (done.code, done.json["jobs"]["failed"]) == (1, 3)
    assert {job["error"]["code"] for job in program.jobs()} == {"invalid_request"}, "the vendor's to judge"
    assert program.outputs() == []
    assert sorted(path.name for path in program.folder.parent.iterdir()) == before


# --- texts that play tricks ---

TRICKS = "\u202egpj.exe \u2028=1 \u2066x \ufeff x"


def test_nothing_that_is_printed_can_play_with_the_terminal(program: Program, start_sandbox: Start) -> None:
    message = "\x1b]0;title\x07 \x9b31m \u202e red \x08"
    sandbox = start_sandbox(f"render:error(odd, message={message}):times=1")
    program.api_url = sandbox.api_url
    tags = {"x": f"=HYPERLINK {TRICKS}", "y": "\t=1+1", "z": "＝1+1"}
    entry = {"video": program.media(f"v{TRICKS}.mp4"), "audio": program.media("a.wav"), "name": TRICKS, "tags": tags}
    jobs = [{**entry, "id": f"job-{n}", "end_seconds": 2 + n, "output": f"{{name}}/{n}.mp4"} for n in range(3)]
    name = "jobs\x1b[2J\u202e.json"
    (program.folder / name).write_text(json.dumps({"version": 1, "jobs": jobs}))
    runs = [program("run", name, "-vv", "--limit", "1", "--log-format", "json"), program("run", name, "-vv")]
    runs += [program("jobs", "--format", "json"), program("jobs"), program("status"), program("show", "job-0")]
    runs += [program("report", "--by", "tag:x", *how) for how in ((), ("--format", "json"))]
    runs += [program("retry", f"job{TRICKS}"), program("run", f"no{name}")]

    assert [run.code for run in runs[:2]] == [3, 1], runs[1].err
    for run in runs:
        odd = {char for char in run.out + run.err if not char.isprintable() and char != "\n"}
        assert odd == set(), (run.out, run.err)
    assert json.loads(runs[2].out)[0]["tags"]["x"] == tags["x"], "escaped, not lost"
    cells = program("jobs", "--format", "csv").out + program("report", "--by", "tag:z", "--format", "csv").out
    assert not [cell for cell in cells.replace("\n", ",").split(",") if cell.strip('"\t ')[:1] in ("=", "＝")]
    assert all(path.isprintable() for path in program.outputs())
