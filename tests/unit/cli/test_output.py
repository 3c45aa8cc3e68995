"""What is printed can't play with the terminal, nor with a spreadsheet, and says numbers as people read them."""

from __future__ import annotations

import csv
import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.cli import output
from batchsync.cli.output import clean, counted, csv_text, duration, number, size, summary_json, table
from batchsync.errors import DiskFull, ManifestError, SettingError
from batchsync.model.credits import Totals
from batchsync.model.problem import Place, Problem
from batchsync.model.sheet import FORMULA_STARTS, guarded, unguarded
from batchsync.model.states import Shown

# --- the terminal ---


@given(st.text())
def test_clean_text_is_printable_and_one_line(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert len(cleaned) == len(text)
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    "nasty", ["\x1b[2J", "\x1b]0;title\x07", "a\rb", "a\nb", "\x9b31m", "a\u202eb", "\x00", "\u2028", "\x7f", "\x08"]
)
def test_nothing_moves_the_cursor(nasty: str) -> None:
    assert not set(clean(nasty)) & set("\x1b\x07\r\n\x9b\u202e\x00\u2028\x7f\x08")


def test_plain_text_in_any_language_stays_as_it_is() -> None:
    for text in ("Spring promo · k7f3a2", "ünïcödé", "日本語", "emoji 🎬", ""):
        assert clean(text) == text
    assert clean(7) == "7"
    assert clean(None) == "None"


# --- tables ---


def test_a_table_is_aligned_and_its_numbers_stand_to_the_right() -> None:
    lines = table(["id", "credits"], [["a", 1240], ["longer", 7]]).splitlines()
    assert lines == ["id      credits", "──────  ───────", "a         1,240", "longer        7"]


def test_a_table_without_rows_is_its_headers() -> None:
    assert table(["id", "state"], []).splitlines() == ["id  state", "──  ─────"]


@given(st.lists(st.tuples(st.text(), st.integers(), st.text()), max_size=5))
def test_no_cell_breaks_a_table(rows: list[tuple[str, int, str]]) -> None:
    found = table(["a", "b", "c"], rows)
    assert len(found.split("\n")) == len(rows) + 2
    assert all(line.isprintable() for line in found.split("\n"))


# --- spreadsheets ---

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "＋1",
    "－1",
    "＠SUM(A1)",
    '=HYPERLINK("http://x")',
    "-2+3+cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    assert guarded(text) == "'" + text
    assert guarded("plain " + text) == "plain " + text


@given(st.text("'=+-@＝ a"))
def test_a_cell_that_comes_back_is_the_text_that_it_was(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in FORMULA_STARTS


@pytest.mark.parametrize("value", [-5, 0, 7, -1.5])
def test_a_number_stays_a_number(value: float) -> None:
    assert csv_text(["a"], [[value]]) == f"a\r\n{value}\r\n"


def test_nothing_is_an_empty_cell() -> None:
    assert csv_text(["a", "b"], [[None, 0]]) == "a,b\r\n,0\r\n"


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2)))
def test_csv_comes_back_as_it_was_but_for_formulas(rows: list[list[str]]) -> None:
    found = rows_of(csv_text(["a", "b"], rows))
    assert found == [["a", "b"], *([guarded(cell) for cell in row] for row in rows)]
    assert not any(cell[:1] in FORMULA_STARTS for row in found for cell in row if cell)


def test_a_return_inside_a_cell_begins_no_row_and_no_formula() -> None:
    text = csv_text(["a", "b"], [["x", "y\r=1+1"]])
    assert text == 'a,b\r\nx,"y\r=1+1"\r\n'
    assert rows_of(text) == [["a", "b"], ["x", "y\r=1+1"]]


# --- numbers ---


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        (0, "0 s"),
        (7.4, "7 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (5400, "1 h 30 min"),
        (11100, "3 h 05 min"),
    ],
)
def test_durations_for_people(seconds: float, wanted: str) -> None:
    assert duration(seconds) == wanted


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (3_100_000, "3.1 MB"),
        (2_000_000_000, "2.0 GB"),
        (10**13, "10.0 TB"),
    ],
)
def test_sizes_for_people(count: int, wanted: str) -> None:
    assert size(count) == wanted


def test_counts_for_people() -> None:
    assert [counted(n, "job") for n in (0, 1, 2, 1200)] == ["0 jobs", "1 job", "2 jobs", "1,200 jobs"]
    assert number(1234567) == "1,234,567"


# --- JSON and errors ---


def test_the_summary_is_the_contracts() -> None:
    counts = dict.fromkeys(Shown, 0) | {Shown.COMPLETE: 2, Shown.HELD: 1}
    found = summary_json("r", "/l.db", "limit", counts, Totals(300, 240, 60, 7), 1.23456)
    assert list(found) == ["run", "ledger", "stopped", "jobs", "credits", "elapsed_seconds"]
    assert list(found["jobs"]) == ["total", *(state.value for state in Shown)]
    assert (found["jobs"]["total"], found["jobs"]["held"]) == (3, 1)
    assert found["credits"] == {"estimated": 300, "charged": 240, "refunded": 60, "net": 180}
    assert found["elapsed_seconds"] == 1.235


@pytest.fixture(params=[True, False], ids=["--json", "plain"])
def as_json(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(sys, "argv", ["batchsync", "run", "x", *(["--json"] if request.param else [])])
    return bool(request.param)


def test_an_error_says_what_and_what_next(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_error(SettingError("the key is \x1b[2J odd", hint="try another"))
    out, err = capsys.readouterr()
    assert err == "Error: the key is �[2J odd\n  try another\n"
    if as_json:
        assert json.loads(out)["error"] == {
            "code": "bad_setting",
            "message": "the key is \x1b[2J odd",
            "hint": "try another",
        }
        assert "\x1b" not in out
    else:
        assert out == ""


def test_a_disk_that_is_full_before_a_run_has_begun_is_a_run_that_stopped_early(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    output.print_error(DiskFull("no room", hint="make some"))
    out = capsys.readouterr().out
    if as_json:
        told = json.loads(out)
        assert (told["stopped"], told["jobs"]["total"], told["credits"]["net"]) == ("disk-full", 0, 0)
        assert told["error"]["code"] == "disk_full"


def test_all_faults_of_a_manifest_are_told(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(Place("jobs.csv", n), f"fault {n}", column="video", value="x\x1b") for n in range(2, 80)]
    problems.append(Problem(Place("jobs.csv", 90), "only a warning", severity="warning"))
    output.print_error(ManifestError("78 faults in jobs.csv", problems))
    out, err = capsys.readouterr()
    assert "jobs.csv:2: video" in err
    assert "… and 28 more" in err
    assert "only a warning" not in err
    assert "nothing was charged" in err
    assert "\x1b" not in out + err
    if as_json:
        found = json.loads(out)["problems"]
        assert [problem["line"] for problem in found if problem["severity"] == "error"] == list(range(2, 80))


def test_json_escapes_what_plays_with_the_terminal_and_keeps_its_meaning() -> None:
    value = {"a": "ünï 🎬 \x9b31m \u202e \u2028 \x7f \U000e0001"}
    text = output.json_text(value)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "ünï 🎬" in text
    assert json.loads(text) == value
