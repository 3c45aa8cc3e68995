"""Options: durations and times of day as people write them, and an environment variable for each option."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from commands import commands
from hypothesis import given
from hypothesis import strategies as st

from batchsync.cli import options
from batchsync.cli.main import cli
from batchsync.cli.options import ClockTime, Duration, FailureLimit
from batchsync.runner.options import Failures, RunOptions

ALL = commands()
OPTIONS = [
    (name, param)
    for name, command in ALL.items()
    for param in command.params
    if isinstance(param, click.Option) and "--help" not in param.opts
]


def seconds(text: str) -> float:
    return Duration().convert(text, None, None)


# --- durations ---


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        ("0.5s", 0.5),
        ("1.5h", 5400),
        ("45", 45),
        ("0.1", 0.1),
        (" 2H ", 7200),
        ("0", 0),
    ],
)
def test_durations_as_people_write_them(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["", " ", "h", "2x", "2 hours", "-5s", "+5s", "1h-30m", "5s!", "1:30", "s5", "1e3s", ".5s", "5.s", "nan", "inf"],
)
def test_what_is_no_duration_says_how_to_write_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match="90s, 15m or 2h"):
        seconds(text)


@given(st.integers(0, 999), st.integers(0, 59), st.integers(0, 59))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, rest: int) -> None:
    assert seconds(f"{hours}h{minutes}m{rest}s") == hours * 3600 + minutes * 60 + rest


# --- times of day ---


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kathmandu"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


class _At(datetime):
    """`now` is a morning in spring."""

    @classmethod
    def now(cls, tz: Any = None) -> _At:
        return cls(2026, 4, 14, 7, 30, 20)


def when(text: str) -> datetime:
    return datetime.fromtimestamp(ClockTime().convert(text, None, None))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("07:31", datetime(2026, 4, 14, 7, 31)),
        ("23:59", datetime(2026, 4, 14, 23, 59)),
        ("07:30", datetime(2026, 4, 15, 7, 30)),
        ("7:00", datetime(2026, 4, 15, 7, 0)),
        ("00:00", datetime(2026, 4, 15, 0, 0)),
        (" 06:05 ", datetime(2026, 4, 15, 6, 5)),
    ],
)
@pytest.mark.usefixtures("zone")
def test_a_time_of_day_is_the_next_at_which_the_local_clock_reads_so(
    monkeypatch: pytest.MonkeyPatch, text: str, wanted: datetime
) -> None:
    monkeypatch.setattr(options, "datetime", _At)
    assert when(text) == wanted


def test_a_time_of_day_is_never_more_than_a_day_ahead() -> None:
    now = time.time()
    for hour in range(24):
        at = ClockTime().convert(f"{hour}:17", None, None)
        assert now - 1 < at <= now + 25 * 3600
        assert time.strftime("%H:%M", time.localtime(at)) == f"{hour:02d}:17"


@pytest.mark.parametrize("text", ["", "24:00", "7", "07:60", "7:5", "noon", "07:30:00", "-1:00", "07.30"])
def test_what_is_no_time_of_day_says_how_to_write_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match="07:30"):
        ClockTime().convert(text, None, None)


# --- failures ---


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1", Failures(count=1)),
        (" 20 ", Failures(count=20)),
        ("5%", Failures(share=Fraction(1, 20))),
        ("0.5 %", Failures(share=Fraction(1, 200))),
        ("100%", Failures(share=Fraction(1))),
    ],
)
def test_failures_are_a_number_or_a_share(text: str, wanted: Failures) -> None:
    assert FailureLimit().convert(text, None, None) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "nothing at all"),
        ("0%", "nothing at all"),
        ("101%", "more than all"),
        ("1.5", "as a share such as 5%"),
        ("-1", "as a share such as 5%"),
        ("5 of 100", "as a share such as 5%"),
        ("", "as a share such as 5%"),
        ("nan%", "as a share such as 5%"),
    ],
)
def test_what_is_no_number_of_failures_says_why(text: str, said: str) -> None:
    with pytest.raises(click.BadParameter, match=said):
        FailureLimit().convert(text, None, None)


# --- help ---


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli, [*name.split(), "--help"], prog_name="batchsync")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: batchsync {name} ")
    shown = result.output.partition("\n\n")[2]
    assert f"\n  batchsync {name}" in shown, "an example that begins with the command itself"


@pytest.mark.parametrize("name", ALL)
def test_every_example_can_be_typed_as_it_stands(name: str) -> None:
    text = re.sub(r"\$\(.*?\)", "x", ALL[name].help or "")
    lines = [re.split(r"  | >>? | \| ", line.strip())[0] for line in text.splitlines()]
    examples = [shlex.split(line)[1:] for line in lines if line.startswith("batchsync ")]
    assert examples
    for words in examples:
        length = 2 if " ".join(words[:2]) in ALL else 1
        ALL[" ".join(words[:length])].make_context("batchsync", words[length:])


@pytest.mark.parametrize("name", [*ALL, ""])
def test_help_fits_a_terminal(name: str) -> None:
    result = CliRunner().invoke(cli, [*name.split(), "--help"], terminal_width=80)
    assert [line for line in result.output.splitlines() if len(line) > 80] == []


def test_dash_h_is_help_too() -> None:
    assert CliRunner().invoke(cli, ["run", "-h"]).exit_code == 0


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=lambda value: getattr(value, "name", value))
def test_every_option_says_what_it_is_for(name: str, option: click.Option) -> None:
    assert option.help
    assert option.help.endswith("."), "help is a sentence"


# --- environment variables ---

# What `run` calls a limit and an end is not what these two mean: a variable that is set for the night's run must
# not shorten the list of jobs, nor break the report of the morning.
OTHER_MEANINGS = {("jobs", "--limit"): "BATCHSYNC_JOBS_LIMIT", ("report", "--until"): "BATCHSYNC_REPORT_UNTIL"}


def variable(long: str) -> str:
    return "BATCHSYNC_" + long.removeprefix("--").replace("-", "_").upper()


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=lambda value: getattr(value, "name", value))
def test_every_option_has_the_environment_variable_of_its_name(name: str, option: click.Option) -> None:
    long = next(word for word in option.opts if word.startswith("--"))
    assert option.envvar == OTHER_MEANINGS.get((name, long), variable(long))


@pytest.mark.parametrize(("name", "long"), OTHER_MEANINGS)
def test_a_variable_of_another_name_is_there_because_run_has_the_plain_one(name: str, long: str) -> None:
    users = {other for other, option in OPTIONS if option.envvar == variable(long)}
    assert users == {"run", "resume"}
    assert [other for other, option in OPTIONS if option.envvar == OTHER_MEANINGS[name, long]] == [name]


@pytest.mark.parametrize(("text", "wanted"), [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False)])
def test_switches_take_words_from_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, wanted: bool) -> None:
    seen: list[bool] = []

    @click.command()
    @options.sandbox_option
    def command(sandbox: bool) -> None:
        seen.append(sandbox)

    monkeypatch.setenv("BATCHSYNC_SANDBOX", text)
    assert CliRunner().invoke(command, []).exit_code == 0
    assert seen == [wanted]


def given_options(*arguments: str, **environment: str) -> RunOptions:
    """What `run` would be told to do."""
    seen: list[RunOptions] = []

    @click.command()
    @options.run_options
    def command(options: RunOptions) -> None:
        seen.append(options)

    result = CliRunner().invoke(command, list(arguments), env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen[0]


def test_the_defaults_are_the_contracts() -> None:
    assert given_options() == RunOptions(
        rate=None, max_in_flight=100, transfers=8, poll_interval=5.0, patience=3600.0, on_ambiguous="hold"
    )


def test_an_argument_goes_before_the_environment_and_that_before_the_default() -> None:
    environment = {"BATCHSYNC_TRANSFERS": "3", "BATCHSYNC_PATIENCE": "2m", "BATCHSYNC_PLAIN_NAMES": "yes"}
    found = given_options("--transfers", "5", **environment)
    assert (found.transfers, found.patience, found.plain_names, found.max_in_flight) == (5, 120.0, True, 100)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rate", "0"],
        ["--max-in-flight", "0"],
        ["--transfers", "-1"],
        ["--max-credits", "-1"],
        ["--max-failures", "0"],
        ["--limit", "0"],
        ["--on-ambiguous", "guess"],
        ["--until", "7"],
        ["--patience", "soon"],
    ],
)
def test_an_option_that_makes_no_sense_is_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, ["run", str(tmp_path / "none.csv"), *arguments])
    assert result.exit_code == 2
    assert arguments[0] in result.output


def test_one_variable_means_the_same_to_every_command() -> None:
    kinds: dict[str, set[str]] = {}
    for _, option in OPTIONS:
        kinds.setdefault(str(option.envvar), set()).add(option.type.name)
    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == {}
