"""`ledger check` finds what is broken: each rule is broken on purpose in a sound ledger, and named."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ledger.book import ESTIMATE, NOON, WORST, Hands, add, jobs, make_ready, open_blank, query, start_run

from batchsync.ledger.claims import Intent
from batchsync.ledger.ledger import Ledger
from batchsync.model.states import State

RUN = "run-a"
CAP = 10_000


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A ledger with a job in every state that a submission leads to, all of it sound."""
    path = tmp_path / "batchsync.db"
    clock = Hands()
    with open_blank(path, clock) as ledger:
        added = add(ledger, jobs(6))
        start_run(ledger, RUN, manifest_id=added.manifest_id, options={"max_credits": CAP})
        make_ready(ledger, RUN, 5)
        claim = ledger.write(
            lambda w: w.claim_submissions(RUN, 5, 60.0, max_in_flight=9, name=lambda j: j.id, cap=CAP), RUN
        )
        ids = {intent.seq: intent.submission_id for intent in claim.intents}
        for seq in (1, 2, 3):
            ledger.write(lambda w, s=seq: w.accepted(s, ids[s], f"p{s}", ESTIMATE, 0.0, 200), RUN)
        ledger.write(lambda w: w.lost(4, ids[4], "cut", "gone", None), RUN)
        ledger.write(lambda w: w.claim(RUN, State.RENDERING, 2, 60.0), RUN)
        ledger.write(lambda w: w.render_done(1, RUN, ESTIMATE - 5, 25.0), RUN)
        ledger.write(lambda w: w.output_saved(1, RUN, ["/out/job-000.mp4"]), RUN)
        ledger.write(lambda w: w.render_failed(2, RUN, "error", 0, "no_source_face", "no face"), RUN)
    return path


def found(path: Path) -> set[tuple[str, str | None]]:
    with Ledger(str(path)) as ledger:
        return {(broken.rule, broken.job) for broken in ledger.read(lambda v: list(v.check()))}


def test_a_sound_ledger_is_sound(path: Path) -> None:
    assert found(path) == set()


def test_a_late_answer_passes_no_cap(tmp_path: Path) -> None:
    """It was told that nothing was made, and another job went instead; then the project comes after all."""
    path = tmp_path / "batchsync.db"
    cap = WORST + ESTIMATE
    with open_blank(path, Hands()) as ledger:
        added = add(ledger, jobs(2))
        start_run(ledger, RUN, manifest_id=added.manifest_id, options={"max_credits": cap})
        make_ready(ledger, RUN, 2)

        def claim() -> Intent:
            got = ledger.write(
                lambda w: w.claim_submissions(RUN, 1, 60.0, max_in_flight=9, name=lambda j: j.id, cap=cap), RUN
            )
            return got.intents[0]

        first = claim()
        ledger.write(lambda w: w.deferred(1, first.submission_id, "http_503", "later", NOON + 60, 503), RUN)
        assert claim().seq == 2
        ledger.write(lambda w: w.accepted(1, first.submission_id, "p1", ESTIMATE, 0.0, 200), RUN)
        assert sum(amount for (amount,) in query(path, "SELECT amount FROM credit_entries")) > cap
    assert found(path) == set()


BREAKS = {
    "UPDATE jobs SET state = 'complete' WHERE seq = 3": ("state", "job-002"),
    "DELETE FROM events WHERE job_seq = 6": ("events", "job-005"),
    "DELETE FROM events WHERE job_seq = 3 AND event = 'submit_started'": ("events", "job-002"),
    "UPDATE events SET event = 'wishful_thinking' WHERE job_seq = 3 AND event = 'assets_ready'": (
        "events",
        "job-002",
    ),
    "UPDATE jobs SET net = net + 1 WHERE seq = 1": ("net", "job-000"),
    "UPDATE jobs SET reserved = reserved - 1 WHERE seq = 4": ("reserved", "job-003"),
    "UPDATE credit_entries SET amount = amount + 7 WHERE project_id = 'p3'": ("project_credits", "job-002"),
    "UPDATE credit_entries SET project_id = NULL WHERE project_id = 'p3'": ("entries", "job-002"),
    "INSERT INTO credit_entries (job_seq, kind, amount, at) VALUES (6, 'reserve', 0, 0)": ("entries", "job-005"),
    "UPDATE jobs SET project_id = 'p99' WHERE seq = 3": ("project_owner", "job-002"),
    "UPDATE submissions SET settled_at = 1, outcome = 'unknown' WHERE job_seq = 5": ("submission", "job-004"),
    "UPDATE submissions SET settled_at = NULL WHERE job_seq = 3": ("submission", "job-002"),
    "UPDATE submissions SET outcome = 'created' WHERE job_seq = 4": ("submission", "job-003"),
    "UPDATE jobs SET submissions = 2 WHERE seq = 3": ("submission", "job-002"),
    "UPDATE runs SET options = '{\"max_credits\": 100}'": ("cap", None),
    "UPDATE credit_entries SET run_id = 'nobody'": ("database", None),
}


@pytest.mark.parametrize("statement", BREAKS)
def test_what_is_broken_is_found(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute(statement).rowcount > 0
    assert BREAKS[statement] in found(path)


def test_two_live_projects_of_one_job_are_found(path: Path) -> None:
    """As a runner would leave it that sends a job again whose first project lives."""
    again = (
        ("submit_started", "uploaded", "submitting"),
        ("submit_accepted", "submitting", "rendering"),
    )
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "INSERT INTO events (job_seq, at, event, from_state, to_state) "
            "VALUES (3, 0, 'attempt_failed', 'rendering', 'uploaded')"
        )
        for event in again:
            database.execute(
                "INSERT INTO events (job_seq, at, event, from_state, to_state) VALUES (3, 0, ?, ?, ?)", event
            )
    assert ("one_project", "job-002") in found(path)


def test_a_project_of_two_jobs_is_found(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP INDEX ix_submissions_project_id")
        database.execute("UPDATE submissions SET project_id = 'p1' WHERE job_seq = 3")
    assert ("project_owner", None) in found(path)


def test_a_damaged_page_is_found(path: Path) -> None:
    """An index that has lost a row: everything can be read, and yet it is damaged."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA writable_schema = ON")
        shorter = "replace(sql, 'state, ', '')"
        database.execute(f"UPDATE sqlite_master SET sql = {shorter} WHERE name LIKE 'ix_jobs_state%'")
    assert ("database", None) in found(path)
