"""Shells complete commands, options and what stands in the ledger, and show no error where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import FishComplete, ShellComplete, ZshComplete
from click.testing import CliRunner
from ledger.book import add, job, open_blank, start_run

from batchsync.cli.commands.completion import SHELLS
from batchsync.cli.main import COMMANDS, cli
from batchsync.cli.shells import VARIABLE, Bash


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def known(tmp_path: Path) -> None:
    """A ledger where one is looked for."""
    with open_blank(tmp_path / "batchsync.db") as ledger:
        add(ledger, [job("intro-es", tags={"lang": "es"}), job("intro-fr", tags={"lang": "fr"}), job("Outro")])
        start_run(ledger, "20270115-080000-abcdef")


def completed(*words: str) -> list[str]:
    """What the last of `words` may become."""
    shell = ShellComplete(cli, {}, "batchsync", VARIABLE)
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_commands_are_completed_without_loading_them() -> None:
    assert completed("") == list(COMMANDS)
    assert completed("re") == ["resume", "retry", "resolve", "report"]
    assert completed("ledger", "") == ["backup", "check", "upgrade"]
    code = "import sys; from batchsync.cli.main import main; main()"
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        env={"_BATCHSYNC_COMPLETE": "bash_complete", "COMP_LINE": "batchsync re", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert asked.stdout.split() == ["plain,resume", "plain,retry", "plain,resolve", "plain,report"]
    assert "sqlalchemy" not in asked.stderr


def test_options_and_their_values_are_completed() -> None:
    assert completed("jobs", "--s") == ["--state", "--stalled", "--sort"]
    assert completed("jobs", "--state", "c") == ["complete", "canceled"]
    assert completed("jobs", "--columns", "id,st") == ["id,state", "id,start_seconds"]
    assert completed("completion", "") == list(SHELLS)


@pytest.mark.usefixtures("known")
def test_jobs_tags_and_runs_are_completed_from_the_ledger() -> None:
    assert completed("show", "intro-") == ["intro-es", "intro-fr"]
    assert completed("show", "o") == [], "a shell looks at case"
    assert completed("jobs", "--tag", "la") == ["lang=es", "lang=fr"]
    assert completed("jobs", "--tag", "lang=f") == ["lang=fr"]
    assert completed("jobs", "--run", "") == ["last", "20270115-080000-abcdef"]
    assert completed("jobs", "--columns", "id,tag") == ["id,tags", "id,tag.lang"]
    assert completed("retry", "") == [], "none has failed"


@pytest.mark.usefixtures("known")
def test_the_ledger_that_is_named_is_the_one_that_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_blank(tmp_path / "other.db") as ledger:
        add(ledger, [job("elsewhere")])
    assert completed("show", "--ledger", "other.db", "") == ["elsewhere"]
    monkeypatch.setenv("BATCHSYNC_LEDGER", "other.db")
    assert completed("show", "") == ["elsewhere"]


@pytest.mark.parametrize("content", [None, b"", b"no database" * 100])
def test_no_ledger_completes_nothing_and_says_nothing(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "batchsync.db").write_bytes(content)
    assert completed("show", "") == []
    assert completed("jobs", "--tag", "") == []
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "batchsync.db").exists() == (content is not None)


@pytest.mark.parametrize("words", [("run", ""), ("plan", ""), ("jobs", "--manifest", ""), ("show", "--ledger", "")])
def test_files_are_left_to_the_shell(words: tuple[str, ...]) -> None:
    shell = ShellComplete(cli, {}, "batchsync", VARIABLE)
    assert [item.type for item in shell.get_completions(list(words[:-1]), words[-1])] == ["file"]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("batchsync show intro-e", "plain,intro-es"),
        ("batchsync jobs --tag lang=e", "plain,es"),  # bash has the word from the = on
        ("batchsync jobs --tag lang=", "plain,es\nplain,fr"),
        ("batchsync jobs --tag ", "plain,lang=es\nplain,lang=fr"),
        ("batchsync jobs --tag lang=es --state fa", "plain,failed"),
        ("batchsync jobs 'intro-", "plain,intro-es\nplain,intro-fr"),
    ],
)
def test_bash_is_told_what_follows_its_own_word(line: str, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert Bash(cli, {}, "batchsync", VARIABLE).complete() == answer


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("shell", [ZshComplete, FishComplete])
def test_other_shells_are_answered_too(shell: type[ShellComplete], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", "batchsync show intro-e" if shell is ZshComplete else "batchsync show")
    monkeypatch.setenv("COMP_CWORD", "2" if shell is ZshComplete else "intro-e")
    assert "intro-es" in shell(cli, {}, "batchsync", VARIABLE).complete()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_asks_the_program(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell], standalone_mode=False)
    assert (done.exit_code, done.exception) == (0, None)
    assert f"{VARIABLE}={shell}_complete" in done.stdout
    assert "batchsync" in done.stdout


def test_an_unknown_shell_is_told_with_those_that_there_are() -> None:
    with pytest.raises(click.BadParameter, match="bash"):
        cli.main(["completion", "tcsh"], standalone_mode=False)
