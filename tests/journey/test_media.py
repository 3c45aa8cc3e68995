"""Files that aren't what their names say, and tiers that don't allow them: told before anything is spent."""

from __future__ import annotations

import os
import pty
import shutil
import sqlite3
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from program import Program

from batchsync.sandbox.serve import Sandbox

MEDIA = Path(__file__).parents[2] / "manifests" / "media"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(500)


def real_media(program: Program) -> None:
    for name in ("presenter.mp4", "voice-es.wav"):
        shutil.copy(MEDIA / name, program.folder / name)


def row(n: int, **more: str) -> dict[str, str]:
    return {
        "id": f"j{n}",
        "video": "presenter.mp4",
        "audio": "voice-es.wav",
        "end_seconds": "1",
        "generation_mode": "",
        **more,
    }


def nothing_was_made(sandbox: Sandbox) -> bool:
    asked = sandbox.state()["requests"]
    return not any(sum(asked[name].values()) for name in ("submit", "upload_urls", "put"))


def remembered(program: Program) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(program.folder / "batchsync.db")) as ledger:
        rows = ledger.execute("SELECT path, format, kind FROM media ORDER BY path").fetchall()
    return [(Path(path).name, form, kind) for path, form, kind in rows]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_all_that_is_wrong_with_files_is_told_at_once(program: Program, sandbox: Sandbox, command: str) -> None:
    program.api_url = sandbox.api_url
    real_media(program)
    program.media("picture.mp4", PNG)
    shutil.copy(MEDIA / "voice-de.mp3", program.folder / "sound.mp4")
    program.media("cut.mp4", (MEDIA / "bars.mp4").read_bytes()[:100])
    program.csv(
        [
            row(2),
            row(3, video="picture.mp4"),
            row(4, video="sound.mp4"),
            row(5, video="cut.mp4"),
            row(6, end_seconds="60"),
            row(7, video="none.mp4"),
        ]
    )
    done = program(command, "jobs.csv", "--json", *(["--sandbox"] if command == "plan" else []))

    assert done.code == 2
    told = [(p["line"], p["column"], p["value"], p["severity"]) for p in done.json["problems"]]
    assert told == [
        (3, "video", "picture.mp4", "error"),
        (4, "video", "sound.mp4", "error"),
        (5, "video", "cut.mp4", "warning"),
        (6, "end_seconds", "60", "error"),
        (7, "video", "none.mp4", "error"),
    ]
    assert nothing_was_made(sandbox)
    assert not (program.folder / "batchsync.db").exists()


def test_pro_on_a_free_tier_is_told_before_anything_is_sent(
    program: Program, start_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = start_sandbox(tier="free")
    program.api_url = sandbox.api_url
    real_media(program)
    program.csv(
        [row(2), row(3, generation_mode="pro", end_seconds="0.5"), row(4, video="none.mp4", generation_mode="pro")]
    )
    for done in (
        program("run", "jobs.csv", "--json"),
        program("plan", "jobs.csv", "--json", "--api-url", sandbox.api_url),
    ):
        assert done.code == 2
        told = {(p["line"], p["column"], p["value"]) for p in done.json["problems"]}
        assert told == {(3, "generation_mode", "pro"), (4, "generation_mode", "pro"), (4, "video", "none.mp4")}
    assert nothing_was_made(sandbox)


def test_a_file_too_large_for_the_tier_is_told_before_anything_is_sent(
    program: Program, start_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = start_sandbox(tier="free")
    program.api_url = sandbox.api_url
    real_media(program)
    with (program.folder / "presenter.mp4").open("ab") as film:
        film.truncate(200_000_001)
    program.csv([row(2)])
    done = program("run", "jobs.csv", "--json")
    assert done.code == 2
    (problem,) = done.json["problems"]
    assert (
        problem["message"] == "has 200,000,001 bytes, and the tier of this account (free) takes at most 200,000,000"
    )
    assert nothing_was_made(sandbox)


def test_an_account_that_can_t_be_asked_is_no_fault(program: Program, start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox("account:status:503:times=1")
    program.api_url = sandbox.api_url
    real_media(program)
    program.csv([row(2, generation_mode="pro")])
    done = program("run", "jobs.csv", "--json")
    assert done.code == 0, done.err
    assert "503" in sandbox.state()["requests"]["account"]


def test_what_a_plan_read_is_remembered_and_so_is_what_a_faulty_manifest_named(
    program: Program, sandbox: Sandbox
) -> None:
    program.api_url = sandbox.api_url
    real_media(program)
    program.csv([row(2)])
    assert program("run", "jobs.csv").code == 0
    assert remembered(program) == [("presenter.mp4", "mp4", "video"), ("voice-es.wav", "wav", "audio")]
    shutil.copy(MEDIA / "dusk.mp4", program.folder)
    program.csv([row(2), row(3, video="dusk.mp4")])
    assert program("plan", "jobs.csv", "--sandbox").code == 0
    program.media("picture.mp4", PNG)
    program.csv([row(2), row(3, video="dusk.mp4"), row(4, video="picture.mp4")])
    assert program("run", "jobs.csv").code == 2
    found = {name: (form, kind) for name, form, kind in remembered(program)}
    assert found["dusk.mp4"] == ("mp4", "video")
    assert found["picture.mp4"] == ("png", "other")


def at_a_terminal(program: Program, *arguments: str) -> str:
    """What stands on the terminal of someone whose files take long to read."""
    slow = "import batchsync.cli.progress as p; p.READING_SECONDS = 0.0; from batchsync.cli.main import main; main()"
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    words = [sys.executable, "-c", slow, *arguments]
    done = subprocess.run(
        words, cwd=program.folder, env=program.environment(), stderr=theirs, stdout=subprocess.PIPE, timeout=60
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that nobody writes any more
            break
        if not part:
            break
        told += part
    os.close(ours)
    assert done.returncode == 0, told
    return told.decode()


def test_a_person_sees_how_reading_goes_and_nobody_else(program: Program) -> None:
    real_media(program)
    program.csv([row(2)])
    assert "Reading media" in at_a_terminal(program, "plan", "jobs.csv", "--sandbox")
    for silent in ("--quiet", "--no-progress"):
        assert "Reading" not in at_a_terminal(program, "plan", "jobs.csv", "--sandbox", silent)
    assert "Reading" not in program("plan", "jobs.csv", "--sandbox").err
