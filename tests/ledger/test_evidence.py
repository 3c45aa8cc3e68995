"""Balances beside the ledger: which of them can be compared, and what a lost submission may have cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger.book import ESTIMATE, Hands, add, jobs, make_ready, start_run

from batchsync.ledger.claims import Intent
from batchsync.ledger.evidence import Standing
from batchsync.ledger.ledger import Ledger
from batchsync.model.evidence import Reading
from batchsync.model.states import State

A = "run-a"


@pytest.fixture
def intents(ledger: Ledger) -> tuple[Intent, ...]:
    """Two submissions under way."""
    add(ledger, jobs(3))
    start_run(ledger, A)
    make_ready(ledger, A, 2)
    return ledger.write(
        lambda w: w.claim_submissions(A, 2, 60.0, max_in_flight=9, name=lambda job: job.id), A
    ).intents


def note(ledger: Ledger, before: Standing | None = None) -> bool:
    """Write a balance down as if read now; whether it can be compared."""
    was = before or ledger.read(lambda v: v.standing())
    ledger.write(lambda w: w.balance("start", "acc", "creator", 1000, was), A)
    return ledger.read(lambda v: v.readings())[-1].quiet


def test_a_balance_can_be_compared_only_when_nothing_was_in_flight(
    ledger: Ledger, intents: tuple[Intent, ...], clock: Hands
) -> None:
    one, two = intents
    assert not note(ledger)
    ledger.write(lambda w: w.refused(1, one.submission_id, "bad", "no", 422), A)
    ledger.write(lambda w: w.accepted(2, two.submission_id, "p2", ESTIMATE, clock.at, 200), A)
    assert not note(ledger)
    ledger.write(lambda w: w.claim(A, State.RENDERING, 1, 60.0), A)
    before = ledger.read(lambda v: v.standing())
    ledger.write(lambda w: w.render_done(2, A, ESTIMATE - 10, 25.0), A)
    assert not note(ledger, before)  # it settled while the vendor was asked
    assert note(ledger)
    evidence = ledger.read(lambda v: v.evidence(v.readings()[-1]))
    assert ledger.read(lambda v: v.evidence(v.readings()[-1]).known(0, v.standing().last_entry)) == ESTIMATE - 10
    assert evidence.loose == []


def test_a_held_job_is_no_job_in_flight_and_its_lost_submission_a_doubt(
    ledger: Ledger, intents: tuple[Intent, ...], path: Path
) -> None:
    for intent in intents:
        ledger.write(lambda w, i=intent: w.lost(i.seq, i.submission_id, "cut", "gone", None), A)
    assert note(ledger)
    ledger.write(lambda w: w.abandoned(2))
    found = ledger.read(lambda v: v.doubts())
    assert [(doubt.job_id, doubt.held) for doubt in found] == [("job-000", True), ("job-001", False)]
    assert ESTIMATE in found[0].costs
    ledger.write(lambda w: w.resolved(1, project_id=None))
    assert [doubt.job_id for doubt in ledger.read(lambda v: v.doubts())] == ["job-001"]


def test_a_frame_rate_that_another_job_has_shown_narrows_what_it_may_have_cost(ledger: Ledger, clock: Hands) -> None:
    same = jobs(2, worst=100, max_fps_limit=None, video=jobs(1)[0].spec.video)
    add(ledger, same)
    start_run(ledger, A)
    make_ready(ledger, A, 2)
    one, two = ledger.write(
        lambda w: w.claim_submissions(A, 2, 60.0, max_in_flight=9, name=lambda job: job.id), A
    ).intents
    ledger.write(lambda w: w.lost(2, two.submission_id, "cut", "gone", None), A)
    assert len(ledger.read(lambda v: v.doubts())[0].costs) > 4  # whatever usual videos have
    ledger.write(lambda w: w.accepted(1, one.submission_id, "p1", ESTIMATE, clock.at, 200), A)
    ledger.write(lambda w: w.claim(A, State.RENDERING, 1, 60.0), A)
    ledger.write(lambda w: w.render_done(1, A, 50, 25.0), A)
    assert ledger.read(lambda v: v.doubts())[0].costs == {50, 60}


def test_a_charge_for_what_was_sent_before_a_balance_is_no_part_of_what_came_after_it(
    ledger: Ledger, intents: tuple[Intent, ...]
) -> None:
    for intent in intents:
        ledger.write(lambda w, i=intent: w.lost(i.seq, i.submission_id, "cut", "gone", None), A)
    assert note(ledger)
    after = ledger.read(lambda v: v.standing()).last_entry
    ledger.write(lambda w: w.resolved(1, project_id="p1"))
    assert ledger.read(lambda v: v.evidence(v.readings()[-1]).known(after, after + 99)) is None


def test_projects_that_nobody_follows_may_still_move(ledger: Ledger, intents: tuple[Intent, ...]) -> None:
    for intent in intents:
        project = f"p{intent.seq}"
        ledger.write(lambda w, i=intent, p=project: w.accepted(i.seq, i.submission_id, p, ESTIMATE, 0.0, 200), A)
    ledger.write(lambda w: w.claim(A, State.RENDERING, 2, 60.0), A)
    ledger.write(lambda w: w.render_failed(1, A, "error", 0, "no_source_face", "no face"), A)
    ledger.write(lambda w: w.render_failed(2, A, "error", ESTIMATE, "odd", "not refunded (yet)"), A)
    (moves,) = ledger.read(lambda v: v.evidence(Reading(0.0, "acc", 1, 1, True)).loose)
    assert {0, -ESTIMATE} <= moves
