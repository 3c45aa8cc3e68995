"""Manifests brought again and again, with real files and a real ledger: which job is which, and what costs again."""

from __future__ import annotations

import csv
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ledger.book import columns, dump, open_blank, query, start_run

from batchsync.errors import ManifestError
from batchsync.model.problem import Problem
from batchsync.model.states import State
from batchsync.planning import Plan
from batchsync.runner.intake import Prepared, prepare, take_in

Row = Mapping[str, str]
SUBMITTED = [state.value for state in State if state not in (State.PLANNED, State.UPLOADED)]


class Desk:
    """A folder with manifests, media and a ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "batchsync.db"
        self.ledger = open_blank(self.path)

    def row(self, video: str = "a.mp4", audio: str = "a.wav", **more: str) -> Row:
        for name in (video, audio):
            if not (self.folder / name).exists():
                self.write(name, f"what is in {name}")
        return {"video": video, "audio": audio, "end_seconds": "2"} | more

    def write(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content)

    def look(self, *rows: Row, name: str = "jobs.csv") -> Prepared:
        names = ["id", "name", "video", "audio", "end_seconds", "generation_mode", "output"]
        with (self.folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        return prepare(str(self.folder / name), self.folder / "outputs", self.ledger)

    def bring(self, *rows: Row, name: str = "jobs.csv") -> Plan:
        prepared = self.look(*rows, name=name)
        take_in(self.ledger, prepared)
        return prepared.plan

    def fault(self, *rows: Row, name: str = "jobs.csv") -> Problem:
        """The only fault of a manifest that can't be run."""
        before = self.jobs()
        with pytest.raises(ManifestError) as caught:
            self.bring(*rows, name=name)
        assert self.jobs() == before
        (fault,) = [problem for problem in caught.value.problems if problem.severity == "error"]
        return fault

    def jobs(self) -> dict[str, list[Any]]:
        """All that stands in the ledger, but for what was seen of files: that is remembered of any manifest."""
        return {name: rows for name, rows in dump(self.path).items() if name != "media"}

    def all_are(self, state: str, net: int = 0) -> None:
        sql = f"UPDATE jobs SET state = '{state}', net = {net}"
        self.ledger.write(lambda w: w.connection.exec_driver_sql(sql))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def counts(plan: Plan) -> tuple[int, int, int, int]:
    """New, known, changed, duplicates."""
    return len(plan.new), len(plan.known), len(plan.changed), plan.duplicates


def told(plan: Plan) -> list[str]:
    """What is said of a plan, but that its files, which hold a few words, don't look like media."""
    odd = [problem.message for problem in plan.problems if problem.column not in ("video", "audio")]
    return [message for message in odd if "files whose content is in doubt" not in message]


# --- the same manifest tomorrow ---


def test_sorted_differently_and_with_rows_added_only_the_new_ones_run(desk: Desk) -> None:
    rows = [desk.row(f"{n}.mp4", **({"id": f"clip-{n}"} if n % 2 else {})) for n in range(40)]
    assert counts(desk.bring(*rows)) == (40, 0, 0, 0)
    desk.all_are("complete", net=50)
    known = query(desk.path, "SELECT id, token, ask, output FROM jobs ORDER BY seq")

    added = [desk.row("new.mp4"), desk.row("newer.mp4", id="newer")]
    again = desk.bring(*random.Random(4).sample([*rows, *added], 42))
    assert (counts(again), again.complete) == ((2, 40, 0, 0), 40)
    assert again.credits_estimated == 2 * 60
    assert again.uploads.files == 3
    assert again.paid_again[:2] == (0, 0)
    assert told(again) == []
    assert query(desk.path, "SELECT id, token, ask, output FROM jobs ORDER BY seq LIMIT 40") == known


def test_numbers_written_differently_are_the_same_job(desk: Desk) -> None:
    desk.bring(desk.row(), desk.row("b.mp4", id="b"))
    again = desk.bring(
        desk.row() | {"end_seconds": "2.0", "generation_mode": "lite"}, desk.row("b.mp4", id="b", end_seconds="2e0")
    )
    assert counts(again) == (0, 2, 0, 0)


def test_a_file_that_was_renamed_is_the_same_work(desk: Desk) -> None:
    rows = desk.row("a.mp4"), desk.row("b.mp4", id="b")
    desk.bring(*rows)
    desk.all_are("complete", net=60)
    for name in ("a", "b"):
        (desk.folder / f"{name}.mp4").rename(desk.folder / f"moved-{name}.mp4")
    again = desk.bring(*[row | {"video": f"moved-{row['video']}"} for row in rows])
    assert (counts(again), again.credits_estimated, told(again)) == ((0, 2, 0, 0), 0, [])


# --- changed rows and files ---


def new_contents(desk: Desk) -> Row:
    desk.write("a.mp4", "cut again, longer")
    return desk.row(id="x")


def new_options(desk: Desk) -> Row:
    return desk.row(id="x", generation_mode="pro")


CHANGES = pytest.mark.parametrize("change", [new_options, new_contents])


@CHANGES
@pytest.mark.parametrize("state", ["planned", "uploaded"])
def test_a_changed_row_that_was_not_submitted_is_updated(
    desk: Desk, change: Callable[[Desk], Row], state: str
) -> None:
    desk.bring(desk.row(id="x"))
    desk.all_are(state)
    before = columns(desk.path, 1, "ask")
    changed = desk.bring(change(desk))
    assert (counts(changed), told(changed)) == ((0, 0, 1, 0), [])
    assert columns(desk.path, 1, "ask, state") == (changed.jobs[0].ask, "planned")
    assert columns(desk.path, 1, "ask") != before
    assert query(desk.path, "SELECT count(*) FROM jobs") == [(1,)]


@CHANGES
@pytest.mark.parametrize("state", SUBMITTED)
def test_a_changed_row_that_was_submitted_is_a_fault_with_the_ways_out(
    desk: Desk, change: Callable[[Desk], Row], state: str
) -> None:
    desk.bring(desk.row(id="x"))
    desk.all_are(state)
    fault = desk.fault(change(desk))
    assert (fault.place.line, fault.column, fault.value) == (2, "id", "x")
    assert f"submitted ({state})" in fault.message
    assert "what is in its files" in fault.message
    ways = ("another id", "--ledger", "as it was")
    assert all(way in (fault.hint or "") for way in ways)
    assert ("batchsync retry x" in (fault.hint or "")) == (state in ("failed", "canceled"))


def test_a_failed_job_that_is_put_back_may_be_changed(desk: Desk) -> None:
    desk.bring(desk.row(id="x"))
    desk.all_are("failed")
    desk.ledger.write(lambda w: w.retried(1))
    assert counts(desk.bring(new_contents(desk))) == (0, 0, 1, 0)


@CHANGES
def test_an_id_of_another_manifest_is_the_same_job_or_a_fault_that_names_it(
    desk: Desk, change: Callable[[Desk], Row]
) -> None:
    desk.bring(desk.row(id="x"))
    assert counts(desk.bring(desk.row(id="x"), name="copy.csv")) == (0, 1, 0, 0)
    fault = desk.fault(change(desk), name="copy.csv")
    assert str(desk.folder / "jobs.csv") in fault.message
    assert "submitted" not in fault.message


def test_a_changed_row_without_an_id_is_new_work(desk: Desk) -> None:
    desk.bring(desk.row())
    desk.all_are("complete", net=60)
    desk.write("a.mp4", "cut again, longer")
    changed = desk.bring(desk.row())
    assert (counts(changed), told(changed), changed.credits_estimated) == ((1, 0, 0, 0), [], 60)
    assert query(desk.path, "SELECT count(*) FROM jobs") == [(2,)]
    entries = query(desk.path, "SELECT job_seq, current FROM manifest_entries ORDER BY job_seq")
    assert entries == [(1, 0), (2, 1)]


def test_a_changed_job_in_another_processs_hands_goes_as_it_was_and_that_is_said(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.bring(desk.row(id="x"))
    start_run(desk.ledger, "run-a")
    desk.ledger.write(lambda w: w.claim("run-a", State.PLANNED, 1, 60.0), "run-a")
    with caplog.at_level(logging.WARNING, "batchsync.run"):
        desk.bring(desk.row(id="y"), name="other.csv")
        assert caplog.messages == []
        desk.bring(new_options(desk))
    assert "1 of the changed jobs" in caplog.text


# --- duplicates, and work that was paid before ---


def test_identical_rows_without_ids_are_one_job_with_a_warning_that_names_them(desk: Desk) -> None:
    desk.write("same.mp4", "what is in a.mp4")
    plan = desk.bring(desk.row(), desk.row("b.mp4"), desk.row(), desk.row("same.mp4", name="Other name"))
    assert counts(plan) == (2, 0, 0, 2)
    (warning,) = told(plan)
    assert "line 4, 5" in warning
    assert "rendered once" in warning


def test_the_same_work_under_two_ids_is_two_jobs_with_a_warning_of_the_cost(desk: Desk) -> None:
    plan = desk.bring(desk.row(id="x"), desk.row(id="y"), desk.row(id="z", video="b.mp4"))
    assert counts(plan) == (3, 0, 0, 0)
    assert plan.paid_again[:2] == (1, 60)
    (warning,) = told(plan)
    assert "'x'" in warning
    assert "60 credits again" in warning


@pytest.mark.parametrize(
    ("before", "now"), [({"id": "x"}, {"id": "y"}), ({"id": "x"}, {}), ({}, {"id": "y"})], ids=str
)
@pytest.mark.parametrize("name", ["jobs.csv", "tomorrow.csv"])
def test_work_that_was_paid_before_under_another_id_costs_again_and_that_is_said(
    desk: Desk, before: Row, now: Row, name: str
) -> None:
    desk.bring(desk.row(**before))
    desk.all_are("complete", net=48)
    plan = desk.bring(desk.row(**now), name=name)
    assert counts(plan) == (1, 0, 0, 0)
    assert plan.paid_again[:2] == (1, 60)
    (warning,) = told(plan)
    assert "complete, 48 credits so far" in warning
    assert "60 credits again" in warning
    assert counts(desk.bring(desk.row(**now), name=name)) == (0, 1, 0, 0)


def test_work_that_came_to_nothing_and_cost_nothing_is_no_reason_to_warn(desk: Desk) -> None:
    desk.bring(desk.row(id="x"))
    desk.all_are("failed", net=0)
    assert told(desk.look(desk.row(id="y")).plan) == []
    desk.all_are("failed", net=30)
    assert len(told(desk.look(desk.row(id="y")).plan)) == 1


def test_where_the_ledger_has_its_jobs_is_counted(desk: Desk) -> None:
    rows = [desk.row(f"{n}.mp4") for n in range(5)]
    desk.bring(*rows)
    states = ("planned", "rendering", "complete", "failed", "held")
    for seq, state in enumerate(states, start=1):
        desk.ledger.write(
            lambda w, s=seq, to=state: w.connection.exec_driver_sql(f"UPDATE jobs SET state = '{to}' WHERE seq = {s}")
        )
    plan = desk.look(*rows, desk.row("new.mp4")).plan
    assert plan.states == {State(state): 1 for state in states}
    assert [job.spec.video.value[-5:] for job in plan.waiting] == ["0.mp4", "w.mp4"]
    assert (plan.rendering, plan.complete) == (1, 1)
