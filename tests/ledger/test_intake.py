"""Bringing manifests in, again and again: sorted differently, with rows added or changed, shared with others."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ledger.book import Hands, add, columns, dump, job, jobs, make_ready, query, start_run

from batchsync.errors import UnknownManifest
from batchsync.ledger import engine
from batchsync.ledger.ledger import Ledger, Writes
from batchsync.ledger.rows import JobFilter
from batchsync.ledger.views import Views
from batchsync.model.job import JobSpec, MediaFacts, Source, SourceKind
from batchsync.model.problem import Place
from batchsync.model.states import Event, State
from batchsync.planning import Plan, plan

RUN = "run-a"


def stands(path: Path) -> dict[str, Any]:
    """All that stands in the ledger, but for when each manifest was last brought."""
    return dump(path) | {"manifests": query(path, "SELECT id, path, columns FROM manifests ORDER BY id")}


# --- the same thing again ---


def test_adding_a_manifest_again_changes_nothing(ledger: Ledger, path: Path, clock: Hands) -> None:
    planned = [replace(p, spec=replace(p.spec, tags={"lang": "es"}, name="Clip")) for p in jobs(600)]
    first = add(ledger, planned)
    assert (first.new, first.changed) == (600, 0)
    before = stands(path)
    clock.at += 3600
    again = add(ledger, planned)
    assert (again.manifest_id, again.new, again.changed) == (first.manifest_id, 0, 0)
    assert stands(path) == before


@pytest.mark.parametrize("state", [s for s in State if s is not State.SUBMITTING])
def test_adding_again_leaves_a_job_where_it_is(ledger: Ledger, path: Path, state: State) -> None:
    add(ledger, jobs(1))
    ledger.write(lambda w: w.connection.exec_driver_sql(f"UPDATE jobs SET state = '{state.value}'"))
    before = stands(path)
    add(ledger, jobs(1))
    assert stands(path) == before


def test_every_new_job_has_its_first_event(ledger: Ledger, path: Path) -> None:
    add(ledger, jobs(3))
    assert query(path, "SELECT job_seq, event, from_state, to_state FROM events") == [
        (seq, Event.ADDED.value, None, State.PLANNED.value) for seq in (1, 2, 3)
    ]


# --- changed contents ---


def test_changed_contents_bring_a_waiting_job_up_to_date(ledger: Ledger, path: Path) -> None:
    add(ledger, jobs(1))
    start_run(ledger, RUN)
    make_ready(ledger, RUN, 1)
    changed = job("job-000", "something else", worst=500, estimate=400, max_fps_limit=12.0)
    assert add(ledger, [changed], output_dir="/elsewhere").changed == 1
    asked = columns(path, 1, "state, ask, worst, estimate, max_fps_limit, output_dir")
    assert asked == ("planned", "something else", 500, 400, 12.0, "/elsewhere")
    assert query(path, "SELECT event, from_state, to_state FROM events ORDER BY id")[-1] == (
        "changed",
        "uploaded",
        "planned",
    )


@pytest.mark.parametrize("state", ["submitting", "held", "rendering", "rendered", "complete", "failed", "canceled"])
def test_a_job_that_was_submitted_keeps_its_contents(ledger: Ledger, path: Path, state: str) -> None:
    add(ledger, jobs(1))
    ledger.write(lambda w: w.connection.exec_driver_sql(f"UPDATE jobs SET state = '{state}'"))
    assert add(ledger, [job("job-000", "something else", worst=500)]).changed == 0
    assert columns(path, 1, "state, ask, worst") == (state, "ask of job-000", 100)


def test_a_job_that_is_being_worked_on_keeps_its_contents(ledger: Ledger, path: Path) -> None:
    add(ledger, jobs(1))
    start_run(ledger, RUN)
    ledger.write(lambda w: w.claim(RUN, State.PLANNED, 1, 60.0), RUN)
    assert add(ledger, [job("job-000", "something else")]).changed == 0
    assert columns(path, 1, "ask, lease_owner") == ("ask of job-000", RUN)


def test_a_new_name_or_output_is_no_change_of_contents(ledger: Ledger, path: Path) -> None:
    add(ledger, jobs(1))
    renamed = replace(job("job-000", name="Fresh"), output="sub/fresh.mp4")
    assert add(ledger, [renamed]).changed == 0
    assert columns(path, 1, "name, output, state") == ("Fresh", "sub/fresh.mp4", "planned")
    assert query(path, "SELECT count(*) FROM events") == [(1,)]


def test_a_file_that_was_moved_is_read_where_it_is_now(ledger: Ledger, path: Path) -> None:
    """The same content is the same ask: but it has to be uploaded from where it lies."""

    def at(file: str) -> Any:
        facts = MediaFacts(file, 1, 1, "d" * 64)
        return replace(job("a", "same", video=Source(SourceKind.FILE, file)), video=facts)

    add(ledger, [at("/old/a.mp4")])
    add(ledger, [at("/new/a.mp4")])
    assert columns(path, 1, "video, state") == ("/new/a.mp4", "planned")


def test_a_worst_case_that_is_known_better_now_is_kept(ledger: Ledger, path: Path) -> None:
    """A frame rate that a first machine couldn't read changes what --max-credits must count, not what is asked."""
    add(ledger, [job("a", "same", worst=60)])
    add(ledger, [job("a", "same", worst=120)])
    assert columns(path, 1, "worst") == (120,)


# --- manifests and their entries ---


def entries(path: Path) -> list[tuple[Any, ...]]:
    return query(
        path,
        "SELECT m.path, j.id, e.position, e.line, e.current FROM manifest_entries e "
        "JOIN manifests m ON m.id = e.manifest_id JOIN jobs j ON j.seq = e.job_seq ORDER BY m.id, e.position, j.seq",
    )


def test_a_row_that_is_gone_is_current_no_more_and_its_job_stays(ledger: Ledger, path: Path) -> None:
    first = add(ledger, jobs(3))
    again = add(ledger, [job("job-002"), job("job-000")])
    assert again.manifest_id == first.manifest_id
    assert sorted(entries(path), key=lambda e: str(e[1])) == [
        ("/w/jobs.csv", "job-000", 1, 2, 1),
        ("/w/jobs.csv", "job-001", 1, 2, 0),
        ("/w/jobs.csv", "job-002", 0, 2, 1),
    ]
    assert query(path, "SELECT count(*) FROM jobs") == [(3,)]
    start_run(ledger, RUN, manifest_id=first.manifest_id)
    claimed = ledger.write(lambda w: w.claim(RUN, State.PLANNED, 9, 60.0), RUN)
    assert sorted(found.id for found in claimed) == ["job-000", "job-002"]
    assert sum(ledger.read(lambda v: v.counts(first.manifest_id)).values()) == 2
    assert sum(ledger.read(lambda v: v.counts()).values()) == 3


def test_a_limit_takes_the_first_jobs_of_the_manifest_as_it_stands(ledger: Ledger) -> None:
    added = add(ledger, jobs(4))
    add(ledger, [job("job-003"), job("job-001"), job("job-000")])
    assert start_run(ledger, RUN, manifest_id=added.manifest_id, limit=2) == 2
    claimed = ledger.write(lambda w: w.claim(RUN, State.PLANNED, 9, 60.0), RUN)
    assert sorted(found.id for found in claimed) == ["job-001", "job-003"]


def test_two_manifests_share_a_job(ledger: Ledger, path: Path) -> None:
    first = add(ledger, [job("a"), job("both")], path="/w/first.csv")
    second = add(ledger, [job("both"), job("b")], path="/w/second.csv")
    assert (second.new, second.changed) == (1, 0)
    assert first.manifest_id != second.manifest_id
    assert query(path, "SELECT count(*) FROM jobs") == [(3,)]
    for added in (first, second):
        found = ledger.read(partial(Views.jobs, wanted=JobFilter(manifest_id=added.manifest_id)))
        assert len(found) == 2
        assert "both" in [view.id for view in found]
    assert ledger.read(lambda v: v.history(2)["places"]) == [
        {"path": "/w/first.csv", "line": 2, "current": True},
        {"path": "/w/second.csv", "line": 2, "current": True},
    ]
    add(ledger, [job("a")], path="/w/first.csv")
    assert [place["current"] for place in ledger.read(lambda v: v.history(2)["places"])] == [False, True]


def test_a_manifest_is_known_by_its_absolute_path(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = add(ledger, jobs(1), path=str(tmp_path / "jobs.csv"))
    monkeypatch.chdir(tmp_path)
    assert ledger.read(lambda v: v.manifest_number("jobs.csv")) == added.manifest_id
    with pytest.raises(UnknownManifest):
        ledger.read(lambda v: v.manifest_number("other.csv"))


# --- tags ---


def test_tags_follow_the_manifest(ledger: Ledger, path: Path) -> None:
    add(ledger, [job("a", tags={"lang": "es", "client": "x"})])
    add(ledger, [job("a", tags={"lang": "fr"})])
    assert query(path, "SELECT key, value FROM job_tags") == [("lang", "fr")]
    assert ledger.read(lambda v: v.job("a").tags) == {"lang": "fr"}


def test_jobs_are_found_by_all_their_tags(ledger: Ledger) -> None:
    add(ledger, [job("a", tags={"k": "1", "l": "1"}), job("b", tags={"k": "1"}), job("c", tags={"l": "1"}), job("d")])

    def found(**tags: str) -> list[str]:
        return [view.id for view in ledger.read(lambda v: v.jobs(JobFilter(tags=tags)))]

    assert found(k="1") == ["a", "b"]
    assert found(k="1", l="1") == ["a"]
    assert found(k="2") == []
    assert found() == ["a", "b", "c", "d"]


# --- the planner meets the real ledger ---


def spec(line: int, video: str, *, id: str | None = None, end: float = 2.0, **more: Any) -> JobSpec:
    sources = Source(SourceKind.FILE, video), Source(SourceKind.FILE, "/m/voice.wav")
    return JobSpec(Place("/w/jobs.csv", line), *sources, id=id, end_seconds=end, row={"video": video}, **more)


def planned(ledger: Ledger, specs: Sequence[JobSpec], path: str = "/w/jobs.csv") -> Plan:
    files = {source.value for found in specs for source in (found.video, found.audio)}
    facts = {file: MediaFacts(file, 10, 1, f"{hash(file):064x}"[-64:], 10.0, 25.0) for file in files}
    return ledger.read(lambda v: plan(specs, facts, {}, v.known_jobs("/out"), manifest=path))


def brought(ledger: Ledger, specs: Sequence[JobSpec], path: str = "/w/jobs.csv") -> Plan:
    found = planned(ledger, specs, path)
    assert [p for p in found.problems if p.severity == "error"] == []
    add(ledger, found.jobs, path=path)
    return found


def test_a_manifest_sorted_differently_with_rows_added_runs_only_what_is_new(ledger: Ledger, path: Path) -> None:
    specs = [spec(n, f"/m/{n}.mp4", id=f"clip-{n}" if n % 3 == 0 else None) for n in range(2, 602)]
    first = brought(ledger, specs)
    assert len(first.new) == 600
    before = query(path, "SELECT id, token, ask, output FROM jobs ORDER BY seq")
    ledger.write(lambda w: w.connection.exec_driver_sql("UPDATE jobs SET state = 'complete' WHERE seq <= 500"))

    shuffled = [*random.Random(3).sample(specs, len(specs)), spec(0, "/m/new.mp4")]
    moved = [replace(found, place=Place("/w/jobs.csv", line)) for line, found in enumerate(shuffled, start=2)]
    again = brought(ledger, moved)
    assert (len(again.new), len(again.known), len(again.changed), again.complete) == (1, 600, 0, 500)
    assert query(path, "SELECT id, token, ask, output FROM jobs ORDER BY seq LIMIT 600") == before
    assert again.credits_estimated == 101 * first.jobs[0].estimate
    assert again.uploads.files == 101 + 1


def test_an_id_with_other_contents_is_updated_only_from_its_own_manifest(ledger: Ledger) -> None:
    brought(ledger, [spec(2, "/m/a.mp4", id="a")])
    assert [found.id for found in planned(ledger, [spec(2, "/m/other.mp4", id="a")]).changed] == ["a"]
    elsewhere = planned(ledger, [spec(2, "/m/other.mp4", id="a")], path="/w/else.csv")
    (fault,) = elsewhere.problems
    assert "/w/jobs.csv" in fault.message
    ledger.write(lambda w: w.connection.exec_driver_sql("UPDATE jobs SET state = 'rendering'"))
    (fault,) = planned(ledger, [spec(2, "/m/other.mp4", id="a")]).problems
    assert "it was submitted" in fault.message


def test_the_same_entry_in_another_manifest_is_the_same_job(ledger: Ledger, path: Path) -> None:
    brought(ledger, [spec(2, "/m/a.mp4", id="a"), spec(3, "/m/b.mp4")])
    again = brought(ledger, [spec(9, "/m/b.mp4"), spec(2, "/m/a.mp4", id="a")], path="/w/else.csv")
    assert (len(again.new), len(again.known)) == (0, 2)
    assert query(path, "SELECT count(*) FROM jobs") == [(2,)]


def test_an_output_of_another_job_in_the_ledger_is_a_fault(ledger: Ledger) -> None:
    brought(ledger, [spec(2, "/m/a.mp4", id="a", output="same.mp4")])
    found = planned(ledger, [spec(2, "/m/b.mp4", id="b", output="same.mp4")], path="/w/else.csv")
    (fault,) = [p for p in found.problems if p.severity == "error"]
    assert fault.column == "output"


def test_what_was_done_before_under_another_id_is_a_warning_with_its_cost(ledger: Ledger) -> None:
    brought(ledger, [spec(2, "/m/a.mp4", id="a")])
    ledger.write(lambda w: w.connection.exec_driver_sql("UPDATE jobs SET state = 'complete', net = 50"))
    found = planned(ledger, [spec(2, "/m/a.mp4", id="a"), spec(3, "/m/a.mp4", id="again")])
    assert [p.severity for p in found.problems] == ["warning"]
    assert len(found.new) == 1


# --- facts about files, and who the ledger belongs to ---


def test_what_was_read_of_a_file_is_remembered_and_replaced(ledger: Ledger) -> None:
    old = MediaFacts("/m/a.mp4", 10, 1, "a" * 64)
    new = replace(old, size=11, mtime_ns=2, digest="b" * 64, duration=2.5, fps=25.0, format="mp4", kind="video")
    ledger.write(lambda w: w.remember_media([old, replace(old, path="/m/b.mp4")]))
    ledger.write(lambda w: w.remember_media([new]))
    ledger.write(lambda w: w.remember_media([]))
    assert ledger.read(lambda v: v.media(["/m/a.mp4", "/m/b.mp4", "/m/c.mp4"])) == {
        "/m/a.mp4": new,
        "/m/b.mp4": replace(old, path="/m/b.mp4"),
    }


def test_what_was_read_is_kept_where_that_costs_no_time_and_forgotten_else(ledger: Ledger, path: Path) -> None:
    facts = MediaFacts("/m/a.mp4", 10, 1, "a" * 64)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        ledger.remember([facts])
        assert time.monotonic() - began < 5
        other.execute("ROLLBACK")
    assert ledger.read(lambda v: v.media(["/m/a.mp4"])) == {}
    ledger.remember([facts])
    assert ledger.read(lambda v: v.media(["/m/a.mp4"])) == {"/m/a.mp4": facts}
    ledger.remember([])


def test_a_ledger_that_can_t_be_written_forgets_what_was_read(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = engine.make_engine
    # A mode of 0400 doesn't stop root: an engine that can only read does.
    monkeypatch.setattr("batchsync.ledger.ledger.make_engine", lambda url, **_: real(url, write=False))
    ledger.remember([MediaFacts("/m/a.mp4", 10, 1, "a" * 64)])
    assert ledger.read(lambda v: v.media(["/m/a.mp4"])) == {}


def test_a_ledger_belongs_to_the_first_vendor_that_it_met(ledger: Ledger) -> None:
    assert ledger.read(lambda v: v.vendor()) is None
    for who in ("sandbox", "live", "sandbox"):
        assert ledger.write(partial(Writes.bind, vendor=who)) == "sandbox"
