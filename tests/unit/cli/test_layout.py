"""Tables fit the terminal they are shown on, whatever stands in them; where nobody's terminal is, nothing is cut."""

from __future__ import annotations

from dataclasses import replace

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.cli import output
from batchsync.cli.columns import COLUMNS, ColumnList, jobs_table
from batchsync.cli.layout import cells, clipped, fitted, padded
from batchsync.cli.output import table
from batchsync.ledger.rows import JobView
from batchsync.model.states import Shown

JOB = JobView(
    seq=1,
    id="episode-01-es",
    name="Episode 1",
    sent_as="Episode 1 · k7f3a2",
    token="k7f3a2",
    state=Shown.COMPLETE,
    project_id="clx1abcdefghijklmnopqrstu",
    output="/night/outputs/episode-01-es.mp4",
    saved=("/night/outputs/episode-01-es.mp4",),
    credits=1240,
    reserved=0,
    estimate=1300,
    attempts=1,
    error_code=None,
    error_message=None,
    tags={"lang": "es", "client": "acme"},
    video="/night/masters/intro.mp4",
    audio="/night/voices/intro-es.wav",
    start_seconds=0.0,
    end_seconds=12.5,
    generation_mode="standard",
    added_at=1_800_000_000.0,
    submitted_at=1_800_000_001.0,
    finished_at=1_800_000_230.5,
    stalled=False,
    row={},
)
LONG = replace(
    JOB,
    id="a-chapter-with-a-very-long-name-from-a-customer-in-the-north-11-es",
    state=Shown.FAILED,
    error_code="no_source_face",
    error_message="No face was detected in the video. Please use a video with a clearly visible face.",
)


# --- text ---


@given(st.text(), st.integers(1, 40))
def test_clipped_text_is_as_wide_as_there_is_room(text: str, width: int) -> None:
    found = clipped(text, width)
    assert cells(found) <= width
    if cells(text) <= width:
        assert found == text
    else:
        assert "…" in found


def test_an_id_loses_its_middle_and_a_sentence_its_end() -> None:
    assert clipped("presenter-in-the-north-11-es", 13) == "presen…-11-es"
    assert clipped("No face was found", 9) == "No face …"
    assert clipped("日本語日本語", 7) == "日…本語" or cells(clipped("日本語日本語", 7)) <= 7


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本語", 6), ("e\u0301", 1), ("", 0), ("→ ü", 3)])
def test_text_takes_as_many_columns_as_a_terminal_gives_it(text: str, width: int) -> None:
    assert cells(text) == width
    assert padded(text, 8) == text + " " * (8 - width)
    assert padded(text, 8, right=True) == " " * (8 - width) + text


def test_the_widest_columns_give_way_first_and_none_below_its_least() -> None:
    assert fitted([30, 9, 7], [10, None, None], 40) == [20, 9, 7]
    assert fitted([30, 20, 7], [10, 10, None], 45) == [17, 17, 7]
    assert fitted([30, 9, 7], [25, None, None], 20) == [25, 9, 7], "what must not be cut is not cut"
    assert fitted([3, 9], [1, 1], 80) == [3, 9]


# --- tables of jobs ---


def lines(*jobs: JobView, names: tuple[str, ...] | None = None, room: int | None = None) -> list[str]:
    return click.unstyle(jobs_table(jobs, names, room)).splitlines()


@pytest.mark.parametrize("room", [60, 80, 100, 132, 160, 300])
@pytest.mark.parametrize(
    "jobs", [(JOB,), (LONG,), (JOB, LONG), (replace(JOB, saved=(), tags={}, submitted_at=None),)]
)
def test_a_table_fits_the_terminal(jobs: tuple[JobView, ...], room: int) -> None:
    found = lines(*jobs, room=room)
    assert max(map(len, found)) <= room
    assert found[0].split()[:3] == ["id", "state", "credits"]


def test_a_wider_terminal_shows_more() -> None:
    assert lines(JOB, LONG, room=80)[0].split() == ["id", "state", "credits", "duration", "error"]
    assert lines(JOB, room=80)[0].split() == ["id", "state", "credits", "duration", "output_file"]
    wide = lines(JOB, LONG, room=300)[0].split()
    assert {"error", "output_file", "tags", "submitted", "project_id"} <= {*wide}


def test_where_no_terminal_is_nothing_is_cut() -> None:
    text = "\n".join(lines(JOB, LONG))
    assert "…" not in text
    for whole in (LONG.id, str(LONG.error_message), str(JOB.project_id), JOB.saved[0]):
        assert whole in text


def test_columns_are_those_that_are_asked_for() -> None:
    found = lines(JOB, names=("id", "tag.lang", "tag.none", "credits"))
    assert found[0].split() == ["id", "tag.lang", "tag.none", "credits"]
    assert found[2].split() == ["episode-01-es", "es", "1,240"]


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_shows_something_of_a_job_that_has_everything(name: str) -> None:
    assert len(lines(LONG, names=(name,))[2]) > 0


def test_an_unknown_column_is_told_with_those_that_there_are() -> None:
    assert ColumnList().convert("id, tag.lang,id", None, None) == ("id", "tag.lang")
    for wrong in ("id,foo", "tag."):
        with pytest.raises(click.BadParameter) as caught:
            ColumnList().convert(wrong, None, None)
        assert all(name in caught.value.message for name in (*COLUMNS, "tag.KEY"))


# --- colour ---


def test_a_state_has_its_colour_and_nothing_moves_for_it() -> None:
    coloured = jobs_table([JOB, LONG], None, 80)
    assert click.style("complete", fg="green") in coloured
    assert click.style("failed  ", fg="red") in coloured
    plain = [["id"] for _ in range(2)]
    assert click.unstyle(table(["a"], plain, paint=lambda r, c, text: click.style(text, bold=True))) == table(
        ["a"], plain
    )


def test_colours_fall_away_where_they_are_not_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for value, colour in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", value)
        output.say(click.style("failed", fg="red"))
        assert ("\x1b" in capsys.readouterr().out) is colour
