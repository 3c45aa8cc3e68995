"""Exit codes: every error of the tree has one, a code of its own for scripts, and ends the program with words."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest

from batchsync import errors
from batchsync.cli import main as program
from batchsync.cli.main import cli, main
from batchsync.errors import BatchsyncError, DiskFull, IllegalTransition, LeaseLost, ManifestError
from batchsync.model.credits import Totals
from batchsync.model.states import Shown
from batchsync.runner.options import Stopped
from batchsync.runner.snapshot import Snapshot


def tree(kind: type[BatchsyncError] = BatchsyncError) -> Iterator[type[BatchsyncError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


ERRORS = list(tree())


def made(kind: type[BatchsyncError]) -> BatchsyncError:
    return kind("words", []) if issubclass(kind, ManifestError) else kind("words", hint="and what next")


def test_every_code_is_in_the_table() -> None:
    counts = dict.fromkeys(Shown, 0)
    ends = [(counts, None), ({**counts, Shown.HELD: 1}, None), (counts, Stopped.UNTIL)]
    runs = {Snapshot("run", shown, Totals(), 0.0, stopped).exit_code for shown, stopped in ends}
    assert runs | {kind.exit_code for kind in ERRORS} == set(errors.EXIT_CODES)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [line.strip("│├└─ ").split()[0] for line in (errors.__doc__ or "").splitlines() if "──" in line]
    assert sorted(["BatchsyncError", *drawn]) == sorted(kind.__name__ for kind in ERRORS)


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in ERRORS]
    assert len(set(codes)) == len(codes)
    assert all(code.isidentifier() and code == code.lower() for code in codes)


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_has_the_exit_code_of_its_kind(kind: type[BatchsyncError]) -> None:
    wanted = 3 if kind is DiskFull else 1 if kind in (IllegalTransition, LeaseLost) else 2
    assert kind.exit_code == wanted


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the program with a command that does what it is told to."""

    def run(do: Any) -> int:
        @click.command()
        def command() -> Any:
            return do()

        monkeypatch.setattr(program.Commands, "get_command", lambda *_: command)
        with pytest.raises(SystemExit) as ended:
            main(["run"])
        code = ended.value.code
        assert isinstance(code, int)
        return code

    return run


def raising(error: BaseException) -> Any:
    def do() -> None:
        raise error

    return do


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_ends_the_program_with_its_words_and_its_code(
    kind: type[BatchsyncError], ending: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(raising(made(kind))) == kind.exit_code
    err = capsys.readouterr().err
    assert "Error: words" in err
    assert "Traceback" not in err
    assert made(kind).hint is None or "and what next" in err


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_a_command_says_its_own_exit_code(ending: Any, code: int) -> None:
    assert ending(lambda: code) == code


def test_a_command_that_says_nothing_went_well(ending: Any) -> None:
    assert ending(lambda: None) == 0


def test_a_wrong_option_is_2(ending: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(raising(click.BadOptionUsage("--rate", "no such thing"))) == 2
    assert "no such thing" in capsys.readouterr().err


INTERRUPTED = """
import threading
import click
from batchsync.cli import main as program

@click.command()
def command():
    threading.Thread(target=threading.Event().wait).start()
    print("printed before")
    raise {error}

program.Commands.get_command = lambda *_: command
program.main(["run"])
"""


@pytest.mark.parametrize("error", ["click.Abort", "KeyboardInterrupt", "EOFError"])
def test_an_interruption_is_3_at_once_and_no_traceback(error: str) -> None:
    """In a process of its own: it leaves without waiting for its threads, and loses nothing that was printed."""
    words = [sys.executable, "-c", INTERRUPTED.format(error=error)]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3
    assert ended.stdout == "printed before\n"
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith("Interrupted. What was done is kept: ")


LAST_MOMENT = """
import os, signal
import click
from batchsync.cli import main as program

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM):
        kill(pid, number)

late = Late()

@click.command()
def command():
    return 1

program.Commands.get_command = lambda *_: command
program.main(["run"])
"""


def test_a_signal_while_the_interpreter_ends_changes_no_exit_code() -> None:
    ended = subprocess.run([sys.executable, "-c", LAST_MOMENT], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1


def test_a_bug_is_no_error_of_the_users(ending: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        ending(raising(ZeroDivisionError()))


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_is_0(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert "batchsync" in capsys.readouterr().out


def test_an_unknown_command_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["runn"])
    assert ended.value.code == 2
    assert "runn" in capsys.readouterr().err


def test_every_command_is_listed_without_being_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in program.COMMANDS)
    assert list(program.COMMANDS) == cli.list_commands(click.Context(cli))


# --- how a run ended ---


def snapshot(stopped: Stopped | None = None, **counts: int) -> Snapshot:
    return Snapshot("r", dict.fromkeys(Shown, 0) | {Shown(k): n for k, n in counts.items()}, Totals(), 1.0, stopped)


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ({"complete": 3}, 0),
        ({}, 0),
        ({"complete": 3, "failed": 1}, 1),
        ({"complete": 3, "canceled": 1}, 1),
        ({"complete": 3, "held": 1}, 1),
        ({"held": 1}, 1),
    ],
)
def test_a_run_that_came_to_its_end(counts: dict[str, int], wanted: int) -> None:
    assert snapshot(None, **counts).exit_code == wanted


@pytest.mark.parametrize("why", Stopped)
def test_a_run_that_stopped_early_is_3(why: Stopped) -> None:
    assert snapshot(why, complete=1, pending=1).exit_code == 3
