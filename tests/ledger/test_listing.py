"""Lists of jobs: what the database filters, sorts and limits is what the rows say."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from ledger.book import NOON, Hands, add, job, jobs, start_run

from batchsync.errors import UnknownJob, UnknownRun
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.listing import SORTS, JobFilter
from batchsync.model.renders import stalled_after
from batchsync.model.states import Shown, State


def execute(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(sql, values)


def ids(ledger: Ledger, wanted: JobFilter) -> list[str]:
    return [view.id for view in ledger.read(lambda v: v.jobs(wanted))]


@pytest.fixture
def every(ledger: Ledger, path: Path) -> Ledger:
    """A job in every state, with every word of the vendor on it, leased and not."""
    kinds = list(itertools.product(State, (None, "draft", "queued", "rendering", "complete"), (None, "some run")))
    add(ledger, jobs(len(kinds)))
    for seq, (state, status, owner) in enumerate(kinds, 1):
        execute(
            path,
            "UPDATE jobs SET state = ?, vendor_status = ?, lease_owner = ? WHERE seq = ?",
            state.value,
            status,
            owner,
            seq,
        )
    return ledger


@pytest.mark.parametrize("states", [*((one,) for one in Shown), (Shown.QUEUED, Shown.PENDING), tuple(Shown)])
def test_the_states_that_are_asked_for_are_those_that_are_shown(every: Ledger, states: tuple[Shown, ...]) -> None:
    wanted = JobFilter(states=tuple(state.value for state in states))
    everything = every.read(lambda v: v.jobs())
    expected = [view.id for view in everything if view.state in states]
    assert expected
    assert ids(every, wanted) == expected
    assert ids(every, JobFilter(states=wanted.states, limit=2)) == expected[:2], "the limit counts what is shown"


def test_states_are_sorted_as_a_job_lives(every: Ledger) -> None:
    found = [view.state for view in every.read(lambda v: v.jobs(JobFilter(sort="state")))]
    assert found == sorted(found, key=list(Shown).index)


@pytest.fixture
def varied(ledger: Ledger, path: Path) -> Ledger:
    """Jobs whose orders differ: b never ended, c was never submitted."""
    add(ledger, [job("d"), job("b"), job("c"), job("a")])
    for id, net, submitted, finished in (
        ("d", 30, NOON + 1, NOON + 90),
        ("b", 10, NOON + 3, None),
        ("c", 0, None, None),
        ("a", 20, NOON + 2, NOON + 10),
    ):
        sql = "UPDATE jobs SET net = ?, submitted_at = ?, finished_at = ? WHERE id = ?"
        execute(path, sql, net, submitted, finished, id)
    return ledger


ORDERS = {
    "id": "abcd",
    "state": "dbca",
    "credits": "cbad",
    "submitted": "dabc",
    "finished": "adbc",
    "duration": "adbc",
    "added": "dbca",
}
REVERSED = {
    "id": "dcba",
    "state": "dbca",
    "credits": "dabc",
    "submitted": "badc",
    "finished": "dabc",
    "duration": "dabc",
    "added": "acbd",
}


@pytest.mark.parametrize("sort", SORTS)
def test_jobs_are_sorted_and_what_has_no_value_comes_last(varied: Ledger, sort: str) -> None:
    assert "".join(ids(varied, JobFilter(sort=sort))) == ORDERS[sort]
    assert "".join(ids(varied, JobFilter(sort=sort, reverse=True))) == REVERSED[sort]
    assert "".join(ids(varied, JobFilter(sort=sort, reverse=True, limit=2))) == REVERSED[sort][:2]


def test_without_an_order_jobs_stand_as_they_were_added(varied: Ledger) -> None:
    assert ids(varied, JobFilter()) == ["d", "b", "c", "a"]
    assert ids(varied, JobFilter(reverse=True, limit=1)) == ["a"]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (("intro-es",), ["intro-es"]),
        (("intro-*",), ["intro-es", "intro-fr"]),
        (("intro-?s",), ["intro-es"]),
        (("INTRO-*",), ["intro-es", "intro-fr"]),
        (("*-es", "100%_*"), ["intro-es", "100%_es"]),
        (("100%*",), ["100%_es"]),
        (("%",), []),
        (("%*",), []),
        (("*_es",), ["100%_es"]),
        (("\\*",), ["\\x"]),
    ],
)
def test_ids_are_found_by_patterns_in_which_only_stars_and_question_marks_are_wild(
    ledger: Ledger, patterns: tuple[str, ...], found: list[str]
) -> None:
    add(ledger, [job(id) for id in ("intro-es", "intro-fr", "100%_es", "\\x")])
    assert ids(ledger, JobFilter(patterns=patterns)) == found


def test_jobs_are_found_by_their_run_their_error_and_as_stalled(ledger: Ledger, path: Path, clock: Hands) -> None:
    add(ledger, jobs(2))
    start_run(ledger, "first", limit=1)
    clock.at += 1
    add(ledger, jobs(3))
    start_run(ledger, "second")
    execute(path, "UPDATE jobs SET error_code = 'cut' WHERE seq = 3")
    execute(
        path, "UPDATE jobs SET state = 'rendering', submitted_at = ? WHERE seq = 2", clock.at - stalled_after(2) - 1
    )
    assert ids(ledger, JobFilter(run_id="first")) == ["job-000"]
    assert ids(ledger, JobFilter(codes=("cut", "other"))) == ["job-002"]
    assert ids(ledger, JobFilter(stalled=True)) == ["job-001"]
    assert ledger.read(lambda v: (v.run_id("last"), v.run_id("first"))) == ("second", "first")
    with pytest.raises(UnknownRun) as caught:
        ledger.read(lambda v: v.run_id("third"))
    assert "second, first" in str(caught.value.hint)


def test_a_manifest_is_given_back_in_its_order_with_its_own_rows(ledger: Ledger) -> None:
    def place(path: str, columns: list[str], rows: dict[str, dict[str, str]]) -> int:
        planned = [job(id, row={"id": id, **row}) for id, row in rows.items()]
        return ledger.write(lambda w: w.add(path, ["id", *columns], planned, "/out")).manifest_id

    first = place("/w/1.csv", ["tag.old", "name"], {"gone": {"tag.old": "x"}, "a": {"name": "A"}, "b": {}})
    first = place("/w/1.csv", ["name"], {"b": {}, "a": {"name": "A"}})
    second = place("/w/2.csv", ["tag.k", "name"], {"c": {"tag.k": "v"}, "a": {"name": "other"}})

    def rows(manifest_id: int | None) -> list[dict[str, str]]:
        return [dict(view.row) for view in ledger.read(lambda v: v.jobs(JobFilter(manifest_id=manifest_id)))]

    assert rows(first) == [{"id": "b"}, {"id": "a", "name": "A"}]
    assert rows(second) == [{"id": "c", "tag.k": "v"}, {"id": "a", "name": "other"}]
    assert rows(None)[0] == {"id": "gone", "tag.old": "x"}
    assert ledger.read(lambda v: v.own_columns(JobFilter(manifest_id=first))) == ["id", "name"]
    assert ledger.read(lambda v: v.own_columns(JobFilter(manifest_id=second))) == ["id", "tag.k", "name"]
    assert ledger.read(lambda v: v.own_columns()) == ["id", "name", "tag.k", "tag.old"]
    assert ledger.read(lambda v: v.own_columns(JobFilter(patterns=("b",)))) == ["id", "name"]


def test_a_long_list_is_whole(ledger: Ledger) -> None:
    add(ledger, jobs(1201))
    assert [view.seq for view in ledger.read(lambda v: v.jobs())] == list(range(1, 1202))


def test_a_mistyped_id_is_told_with_those_like_it(ledger: Ledger) -> None:
    add(ledger, [*jobs(30), job("intro-es"), job("intro-fr")])
    with pytest.raises(UnknownJob) as caught:
        ledger.read(lambda v: v.job("intr-es"))
    assert str(caught.value.hint).startswith("did you mean intro-es")
    with pytest.raises(UnknownJob) as caught:
        ledger.read(lambda v: v.job("something else"))
    assert "mean" not in str(caught.value.hint)


def test_tags_are_found_by_their_beginning(ledger: Ledger) -> None:
    add(
        ledger,
        [job("a", tags={"lang": "es", "length": "s"}), job("b", tags={"lang": "en"}), job("c", tags={"x": "1"})],
    )
    assert ledger.read(lambda v: v.tags("l", 9)) == [("lang", "en"), ("lang", "es"), ("length", "s")]
    assert ledger.read(lambda v: v.tags("lang=es", 9)) == [("lang", "es")]
    assert ledger.read(lambda v: v.tags("lang=", 1)) == [("lang", "en")]
    assert ledger.read(lambda v: v.tags("la=", 9)) == []
