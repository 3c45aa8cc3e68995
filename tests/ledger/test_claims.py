"""Claims: who gets which job, within which limits, and what becomes of it when its owner is gone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest
from ledger.book import (
    ESTIMATE,
    NOON,
    SCOPE,
    WORST,
    Hands,
    add,
    columns,
    dump,
    job,
    jobs,
    make_ready,
    query,
    start_run,
)

from batchsync.errors import IllegalTransition, LeaseLost, LedgerError
from batchsync.ledger.claims import ASSET_MARGIN_SECONDS, GUARD_FPS, ClaimedJob, Exposure, Intent, SubmissionClaim
from batchsync.ledger.intake import Process
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.submissions import Accepted
from batchsync.model.job import MediaFacts, PlannedJob, Source, SourceKind
from batchsync.model.states import State

A, B = "run-a", "run-b"
LEASE = 60.0


def claim(ledger: Ledger, run: str, state: State = State.PLANNED, limit: int = 100) -> list[str]:
    return [claimed.id for claimed in ledger.write(lambda w: w.claim(run, state, limit, LEASE), run)]


def submit(
    ledger: Ledger,
    run: str,
    limit: int = 100,
    *,
    most: int = 100,
    cap: int | None = None,
    manifest: int | None = None,
    known: Exposure | None = None,
) -> SubmissionClaim:
    return ledger.write(
        lambda w: w.claim_submissions(
            run,
            limit,
            LEASE,
            max_in_flight=most,
            name=lambda claimed: f"{claimed.id} · {claimed.token}",
            cap=cap,
            cap_manifest=manifest,
            exposure=known or Exposure(),
        ),
        run,
    )


def fail(ledger: Ledger, seq: int, until: float) -> None:
    ledger.write(lambda w: w.attempt_failed(seq, A, "odd", "words", until, strike=False), A)


def accept(ledger: Ledger, intent: Intent, credits: int) -> None:
    seq, project = intent.job.seq, f"p{intent.job.seq}"
    ledger.write(lambda w: w.accepted(seq, intent.submission_id, project, credits, 0.0, 200), A)


def finish(ledger: Ledger, seq: int, credits: int) -> None:
    ledger.write(lambda w: w.render_done(seq, A, credits, 25.0), A)


def exposure(ledger: Ledger, known: Exposure) -> Exposure:
    return ledger.write(lambda w: w.exposure(None, known))


def owner(path: Path, seq: int) -> str | None:
    found: str | None = columns(path, seq, "lease_owner")[0]
    return found


@pytest.fixture
def ready(ledger: Ledger) -> Callable[..., Ledger]:
    """A ledger with `count` jobs that run A may submit now."""

    def make(count: int, **more: int) -> Ledger:
        add(ledger, jobs(count, **more))
        start_run(ledger, A)
        make_ready(ledger, A, count)
        return ledger

    return make


# --- which jobs ---


def test_jobs_are_claimed_in_the_order_of_their_due_time_then_of_the_manifest(ledger: Ledger, clock: Hands) -> None:
    add(ledger, jobs(4))
    start_run(ledger, A)
    claim(ledger, A)
    for seq, wait in ((1, 30.0), (2, 10.0), (4, 999.0)):
        until = clock.at + wait
        fail(ledger, seq, until)
    ledger.write(lambda w: w.release(A), A)
    clock.at += 100
    assert claim(ledger, A) == ["job-002", "job-001", "job-000"]


def test_a_claim_takes_no_more_than_its_limit(ledger: Ledger) -> None:
    add(ledger, jobs(5))
    start_run(ledger, A)
    assert claim(ledger, A, limit=0) == claim(ledger, A, limit=-1) == []
    assert claim(ledger, A, limit=2) == ["job-000", "job-001"]
    assert claim(ledger, A, limit=2) == ["job-002", "job-003"]
    assert claim(ledger, A, limit=2) == ["job-004"]
    assert claim(ledger, A, limit=2) == []


def test_what_is_claimed_is_told_in_full(ledger: Ledger, path: Path) -> None:
    add(ledger, [job("a", name="Clip", start_seconds=0.5, max_fps_limit=24.0)], output_dir="/out")
    start_run(ledger, A)
    (claimed,) = ledger.write(lambda w: w.claim(A, State.PLANNED, 1, LEASE), A)
    assert isinstance(claimed, ClaimedJob)
    assert (claimed.id, claimed.name, claimed.video, claimed.video_kind) == (
        "a",
        "Clip",
        "https://cdn.example/a.mp4",
        "url",
    )
    assert (claimed.start_seconds, claimed.end_seconds, claimed.max_fps_limit) == (0.5, 2.0, 24.0)
    assert (claimed.output_dir, claimed.output, claimed.worst) == ("/out", "a.mp4", WORST)


def test_a_run_gets_only_the_jobs_that_it_took_on(ledger: Ledger) -> None:
    first = add(ledger, jobs(2), path="/w/first.csv")
    add(ledger, [job("other")], path="/w/second.csv")
    start_run(ledger, A, manifest_id=first.manifest_id)
    start_run(ledger, B, limit=1)
    add(ledger, [job("late")], path="/w/first.csv")
    assert claim(ledger, B) == ["job-000"]
    assert claim(ledger, A) == ["job-001"]


def test_uploads_run_only_so_far_ahead_of_submissions(ledger: Ledger) -> None:
    add(ledger, [with_files(f"job-{n}", f"v{n}", f"a{n}") for n in range(6)])
    start_run(ledger, A)
    make_ready(ledger, A, 2)

    def ahead(count: int) -> list[str]:
        return [
            found.id for found in ledger.write(lambda w: w.claim_uploads(A, 10, LEASE, count, SCOPE, 0.0), A).jobs
        ]

    assert ahead(1) == []
    assert ahead(2) == []
    assert ahead(3) == ["job-2"]


# --- submissions: limits and cap ---


def test_an_intent_is_on_disk_with_its_reserve_before_it_may_leave(ready: Callable[..., Ledger], path: Path) -> None:
    ledger = ready(1)
    (intent,) = submit(ledger, A).intents
    assert intent.name.startswith("job-000 · ")
    assert columns(path, 1, "state, reserved, submissions, lease_owner") == ("submitting", WORST, 1, A)
    assert query(path, "SELECT id, number, name, settled_at, outcome FROM submissions") == [
        (intent.submission_id, 1, intent.name, None, None)
    ]
    assert query(path, "SELECT kind, amount, submission_id FROM credit_entries") == [
        ("reserve", WORST, intent.submission_id)
    ]


def test_only_jobs_that_the_run_follows_take_places_in_flight(ledger: Ledger) -> None:
    """Others would take them and never give them back, if their own run was cut short."""
    add(ledger, jobs(3), path="/w/first.csv")
    start_run(ledger, A)
    make_ready(ledger, A, 3)
    second = add(ledger, [job("x"), job("y")], path="/w/second.csv")
    start_run(ledger, B, manifest_id=second.manifest_id)
    make_ready(ledger, B, 2)
    assert len(submit(ledger, A, most=3).intents) == 3
    (one,) = submit(ledger, B, most=1).intents
    assert one.job.id == "x"
    assert submit(ledger, B, most=1).intents == ()
    ledger.write(lambda w: w.deferred(one.job.seq, one.submission_id, "busy", "later", NOON + 9, 503), B)
    assert [intent.job.id for intent in submit(ledger, B, most=1).intents] == ["y"]


@pytest.mark.parametrize(
    ("cap", "wanted"), [(None, 4), (0, 0), (WORST - 1, 0), (WORST, 1), (3 * WORST - 1, 2), (4 * WORST, 4)]
)
def test_the_cap_is_reached_and_never_passed(ready: Callable[..., Ledger], cap: int | None, wanted: int) -> None:
    ledger = ready(4)
    got = submit(ledger, A, cap=cap)
    assert len(got.intents) == wanted
    assert got.capped == (wanted < 4)
    assert submit(ledger, A, cap=cap).intents == ()


def test_what_is_settled_makes_room_under_the_cap(ready: Callable[..., Ledger], clock: Hands) -> None:
    ledger = ready(3)
    (first,) = submit(ledger, A, cap=150).intents
    ledger.write(lambda w: w.accepted(1, first.submission_id, "p1", ESTIMATE, clock.at, 200), A)
    assert submit(ledger, A, cap=150).intents == ()  # it may still come to 100
    claim(ledger, A, State.RENDERING)
    ledger.write(lambda w: w.render_done(1, A, 50, 25.0), A)
    assert len(submit(ledger, A, cap=150).intents) == 1


def test_the_cap_counts_what_a_held_job_may_have_cost(ready: Callable[..., Ledger]) -> None:
    ledger = ready(2)
    submit(ledger, A, 1)
    ledger.write(lambda w: w.lost(1, 1, "cut", "gone", None), A)
    got = submit(ledger, A, cap=2 * WORST - 1)
    assert (got.intents, got.capped) == ((), True)
    ledger.write(lambda w: w.resolved(1, project_id=None), A)
    assert len(submit(ledger, A, cap=2 * WORST - 1).intents) == 1


def test_the_cap_of_a_manifest_is_not_used_up_by_another(ledger: Ledger) -> None:
    add(ledger, jobs(2), path="/w/first.csv")
    start_run(ledger, A)
    make_ready(ledger, A, 2)
    submit(ledger, A)
    second = add(ledger, [job("x"), job("y")], path="/w/second.csv")
    start_run(ledger, B, manifest_id=second.manifest_id)
    make_ready(ledger, B, 2)
    assert submit(ledger, B, cap=250, manifest=None).intents == ()
    got = submit(ledger, B, cap=250, manifest=second.manifest_id)
    assert ([intent.job.id for intent in got.intents], got.capped) == (["x", "y"], False)


def test_the_exposure_that_is_carried_on_is_the_full_sum(ready: Callable[..., Ledger], path: Path) -> None:
    ledger = ready(6)
    known = Exposure()
    for number in range(1, 7):
        got = submit(ledger, A, 1, cap=10_000, known=known)
        known = got.exposure
        (intent,) = got.intents
        accept(ledger, intent, 70)
        if number % 2:
            claim(ledger, A, State.RENDERING)
            finish(ledger, intent.job.seq, 40)
        assert exposure(ledger, known) == exposure(ledger, Exposure())
        assert exposure(ledger, known).total == query(path, "SELECT sum(amount) FROM credit_entries")[0][0]


def test_the_exposure_that_is_carried_on_knows_jobs_that_joined_the_manifest(ready: Callable[..., Ledger]) -> None:
    ledger = ready(1)
    submit(ledger, A)
    second = add(ledger, [job("x")], path="/w/second.csv")
    start_run(ledger, B, manifest_id=second.manifest_id)
    make_ready(ledger, B, 1)
    submit(ledger, B)
    known = ledger.write(lambda w: w.exposure(second.manifest_id))
    add(ledger, [job("x"), job("job-000")], path="/w/second.csv")
    carried = ledger.write(lambda w: w.exposure(second.manifest_id, known))
    assert carried.total == ledger.write(lambda w: w.exposure(second.manifest_id)).total == 2 * WORST


@pytest.mark.parametrize("left", [ASSET_MARGIN_SECONDS - 1, ASSET_MARGIN_SECONDS + 1])
def test_a_job_whose_uploads_may_be_gone_when_it_renders_is_uploaded_again(
    ledger: Ledger, clock: Hands, path: Path, left: float
) -> None:
    add(ledger, jobs(1))
    start_run(ledger, A)
    make_ready(ledger, A, 1, expire_at=clock.at + left)
    got = submit(ledger, A)
    if left > ASSET_MARGIN_SECONDS:
        assert len(got.intents) == 1
    else:
        assert got.intents == ()
        assert columns(path, 1, "state, video_asset, assets_expire_at") == ("planned", None, None)
        assert claim(ledger, A) == ["job-000"]


# --- leases ---


def test_a_lease_is_one_runs_alone(ledger: Ledger, path: Path) -> None:
    add(ledger, jobs(3))
    start_run(ledger, A)
    start_run(ledger, B)
    assert claim(ledger, A, limit=2) == ["job-000", "job-001"]
    assert claim(ledger, B) == ["job-002"]
    before = dump(path)
    with pytest.raises(LeaseLost):
        ledger.write(lambda w: w.assets_ready(1, B, "v", "a", None), B)
    with pytest.raises(LeaseLost):
        ledger.write(lambda w: w.gave_up(1, B, "odd", "words"), B)
    assert dump(path) == before


def test_a_lease_that_has_run_out_still_keeps_others_away_until_it_is_reaped(ledger: Ledger, clock: Hands) -> None:
    add(ledger, jobs(1))
    start_run(ledger, A)
    start_run(ledger, B)
    claim(ledger, A)
    clock.at += 10 * LEASE
    assert claim(ledger, B) == []
    ledger.write(lambda w: w.assets_ready(1, A, "v", "a", None), A)


def test_renewing_moves_the_end_of_ones_own_leases_only(ledger: Ledger, clock: Hands, path: Path) -> None:
    add(ledger, jobs(700))
    start_run(ledger, A)
    start_run(ledger, B)
    claim(ledger, A, limit=690)
    claim(ledger, B, limit=2)
    clock.at += 30
    ledger.write(lambda w: w.renew(range(1, 701), A, LEASE), A)
    ends = query(path, "SELECT lease_owner, lease_until, count(*) FROM jobs GROUP BY 1, 2 ORDER BY 1")
    assert ends == [(None, None, 8), (A, clock.at + LEASE, 690), (B, clock.at - 30 + LEASE, 2)]


def test_releasing_gives_back_what_one_holds_and_holds_what_nobody_waits_for(ledger: Ledger, path: Path) -> None:
    add(ledger, jobs(4))
    start_run(ledger, A)
    start_run(ledger, B)
    make_ready(ledger, A, 1)
    submit(ledger, A)
    claim(ledger, A, limit=2)
    claim(ledger, B, limit=1)
    assert ledger.write(lambda w: w.release(A), A) == [1]
    assert query(path, "SELECT state, lease_owner FROM jobs ORDER BY seq") == [
        ("held", None),
        ("planned", None),
        ("planned", None),
        ("planned", B),
    ]
    assert query(path, "SELECT outcome, code FROM submissions") == [("unknown", "killed")]
    assert columns(path, 1, "reserved, error_code") == (WORST, "killed")
    assert ledger.write(lambda w: w.release(A), A) == []


@pytest.mark.parametrize(
    ("verdict", "late", "falls"),
    [
        (True, False, True),
        (True, True, True),
        (False, False, False),
        (False, True, False),  # alive but slow is never robbed
        (None, False, False),
        (None, True, True),
    ],
)
def test_a_lease_falls_when_its_owner_is_dead_or_out_of_sight_for_too_long(
    ledger: Ledger, clock: Hands, path: Path, verdict: bool | None, late: bool, falls: bool
) -> None:
    add(ledger, jobs(2))
    start_run(ledger, A, process=Process("there", 77, "born"))
    make_ready(ledger, A, 1)
    submit(ledger, A)
    claim(ledger, A)
    start_run(ledger, B)
    clock.at += LEASE + 1 if late else LEASE - 1
    asked: list[tuple[str, int, str | None]] = []

    def is_dead(host: str, pid: int, born: str | None) -> bool | None:
        asked.append((host, pid, born))
        return verdict

    assert ledger.write(lambda w: w.reap(is_dead), B) == ([1] if falls else [])
    assert asked == [("there", 77, "born")]
    assert columns(path, 1, "state, lease_owner") == (("held", None) if falls else ("submitting", A))
    assert owner(path, 2) == (None if falls else A)


def test_nobody_reaps_oneself(ledger: Ledger, path: Path, clock: Hands) -> None:
    add(ledger, jobs(1))
    start_run(ledger, A)
    claim(ledger, A)
    clock.at += 10 * LEASE
    assert ledger.write(lambda w: w.reap(lambda *_: True), A) == []
    assert owner(path, 1) == A


def test_a_lease_that_was_renewed_for_one_job_keeps_the_others(ledger: Ledger, path: Path, clock: Hands) -> None:
    """Out of sight is judged by the run, not by the job: its newest heartbeat counts."""
    add(ledger, jobs(2))
    start_run(ledger, A)
    start_run(ledger, B)
    claim(ledger, A)
    clock.at += LEASE + 1
    ledger.write(lambda w: w.renew([2], A, LEASE), A)
    ledger.write(lambda w: w.reap(lambda *_: None), B)
    assert owner(path, 1) == owner(path, 2) == A


def test_the_answer_that_comes_after_all_takes_a_held_job_out_of_its_hold(
    ready: Callable[..., Ledger], path: Path, clock: Hands
) -> None:
    ledger = ready(1)
    (intent,) = submit(ledger, A).intents
    start_run(ledger, B)
    assert ledger.write(lambda w: w.reap(lambda *_: True), B) == [1]
    ledger.write(lambda w: w.accepted(1, intent.submission_id, "p1", ESTIMATE, clock.at, 200), A)
    assert columns(path, 1, "state, project_id, net, reserved") == ("rendering", "p1", ESTIMATE, WORST - ESTIMATE)
    assert query(path, "SELECT outcome, project_id FROM submissions") == [("created", "p1")]


@pytest.mark.parametrize("late", ["accepted", "deferred", "refused", "lost", "input_gone"])
def test_an_answer_to_an_older_submission_never_passes_for_one_to_the_newest(
    ready: Callable[..., Ledger], path: Path, clock: Hands, late: str
) -> None:
    ledger = ready(1)
    (old,) = submit(ledger, A).intents
    ledger.write(lambda w: w.lost(1, old.submission_id, "cut", "gone", None), A)
    ledger.write(lambda w: w.resolved(1, project_id=None), A)
    (new,) = submit(ledger, A).intents
    assert new.submission_id != old.submission_id
    before = dump(path)
    if late == "accepted":
        late_one = ledger.write(lambda w: w.accepted(1, old.submission_id, "p1", ESTIMATE, clock.at, 200), A)
        assert late_one is Accepted.STRAY
        # Paid for and counted; the submission that is under way goes on.
        assert columns(path, 1, "state, project_id, net") == ("submitting", None, ESTIMATE)
        newest = ledger.write(lambda w: w.accepted(1, new.submission_id, "p2", ESTIMATE, clock.at, 200), A)
        assert newest is Accepted.FOLLOWED
        assert columns(path, 1, "state, project_id, net") == ("rendering", "p2", 2 * ESTIMATE)
        return
    with pytest.raises(IllegalTransition):
        ledger.write(
            {
                "deferred": lambda w: w.deferred(1, old.submission_id, "busy", "later", 0.0, 503),
                "refused": lambda w: w.refused(1, old.submission_id, "bad", "no", 422),
                "lost": lambda w: w.lost(1, old.submission_id, "cut", "gone", None),
                "input_gone": lambda w: w.input_gone(1, old.submission_id, "gone", 404),
            }[late],
            A,
        )
    assert dump(path) == before


@pytest.mark.parametrize(("before", "after"), [(0.0, None), (None, -3600.0), (None, 0.0)])
def test_a_late_project_is_a_jobs_own_unless_the_job_was_changed_since(
    ready: Callable[..., Ledger], path: Path, clock: Hands, before: float | None, after: float | None
) -> None:
    """By what came first, whatever the clock says: it may stand still, or be set back."""

    def change(step: float | None) -> None:
        if step is not None:
            clock.at += step
            add(ledger, [job("job-000", f"another ask {clock.at}")])

    ledger = ready(1)
    change(before)
    make_ready(ledger, A, 1)
    (one,) = submit(ledger, A).intents
    ledger.write(lambda w: w.deferred(1, one.submission_id, "busy", "later", clock.at, 503), A)
    change(after)
    became = ledger.write(lambda w: w.accepted(1, one.submission_id, "p1", ESTIMATE, clock.at, 200), A)
    assert became is (Accepted.FOLLOWED if after is None else Accepted.STRAY)
    assert columns(path, 1, "net") == (ESTIMATE,)


def test_one_project_is_never_two_jobs(ready: Callable[..., Ledger], path: Path, clock: Hands) -> None:
    ledger = ready(2)
    first, second = submit(ledger, A).intents
    ledger.write(lambda w: w.accepted(1, first.submission_id, "p1", ESTIMATE, clock.at, 200), A)
    ledger.write(lambda w: w.lost(2, second.submission_id, "cut", "gone", None), A)
    before = dump(path)
    with pytest.raises(LedgerError, match="job-000"):
        ledger.write(lambda w: w.resolved(2, project_id="p1"))
    assert dump(path) == before


def test_an_answer_that_names_another_jobs_project_proves_nothing(
    ready: Callable[..., Ledger], path: Path, clock: Hands
) -> None:
    ledger = ready(2)
    first, second = submit(ledger, A).intents
    ledger.write(lambda w: w.accepted(1, first.submission_id, "p1", ESTIMATE, clock.at, 200), A)
    became = ledger.write(lambda w: w.accepted(2, second.submission_id, "p1", ESTIMATE, clock.at, 200), A)
    assert became is Accepted.DOUBTED
    assert columns(path, 2, "state, project_id, net, error_code") == ("held", None, 0, "known_project")
    assert columns(path, 1, "state, project_id, net") == ("rendering", "p1", ESTIMATE)


def test_a_project_that_only_a_person_had_named_is_doubted_and_one_that_the_vendor_had_seen_is_not(
    ready: Callable[..., Ledger], path: Path, clock: Hands
) -> None:
    ledger = ready(1)
    (one,) = submit(ledger, A).intents
    ledger.write(lambda w: w.lost(1, one.submission_id, "cut", "gone", None), A)
    at_risk = columns(path, 1, "reserved + net")
    ledger.write(lambda w: w.resolved(1, project_id="mistyped", credits=ESTIMATE - 1))
    assert columns(path, 1, "state, net") == ("rendering", ESTIMATE - 1)
    ledger.write(lambda w: w.claim(A, State.RENDERING, 1, 60.0), A)
    assert ledger.write(lambda w: w.claim_refuted(1, A), A)
    assert columns(path, 1, "state, net, project_id, lease_owner") == ("held", 0, None, None)
    assert columns(path, 1, "reserved + net") == at_risk

    ledger.write(lambda w: w.resolved(1, project_id="right"))
    ledger.write(lambda w: w.claim(A, State.RENDERING, 1, 60.0), A)
    ledger.write(lambda w: w.still_rendering(1, A, "queued", None, 0.0), A)
    assert not ledger.write(lambda w: w.claim_refuted(1, A), A)
    assert columns(path, 1, "state, project_id") == ("rendering", "right")


def test_a_job_that_was_sent_again_counts_twice_under_a_cap_while_nobody_knows(ready: Callable[..., Ledger]) -> None:
    ledger = ready(2)
    (one,) = submit(ledger, A, 1, cap=3 * WORST).intents
    ledger.write(lambda w: w.lost(1, one.submission_id, "cut", "gone", None), A)
    ledger.write(lambda w: w.resubmitted(1, 3), A)
    (again,) = submit(ledger, A, 1, cap=3 * WORST).intents
    assert again.job.seq == 1
    assert submit(ledger, A, 1, cap=3 * WORST - 1).capped
    assert submit(ledger, A, 1, cap=3 * WORST).intents


def test_a_clock_that_was_set_back_leaves_nobody_waiting_for_it(
    ready: Callable[..., Ledger], path: Path, clock: Hands
) -> None:
    ledger = ready(2)
    (one, two) = submit(ledger, A).intents
    ledger.write(lambda w: w.deferred(1, one.submission_id, "busy", "later", clock.at + 60, 503), A)
    ledger.write(lambda w: w.deferred(2, two.submission_id, "busy", "later", clock.at - 86_000, 503), A)
    clock.at -= 86_400
    ledger.write(lambda w: w.reap(lambda *_: None), A)
    waits = [columns(path, seq, "not_before")[0] - clock.at for seq in (1, 2)]
    assert waits == [0.0, 400.0]


def test_bytes_of_a_job_that_another_process_has_taken_over_are_not_written_down(
    ready: Callable[..., Ledger], clock: Hands
) -> None:
    ledger = ready(1)
    (one,) = submit(ledger, A).intents
    ledger.write(lambda w: w.accepted(1, one.submission_id, "p1", ESTIMATE, clock.at, 200), A)
    ledger.write(lambda w: w.claim(A, State.RENDERING, 1, 60.0), A)
    ledger.write(lambda w: w.render_done(1, A, ESTIMATE, 25.0), A)
    ledger.write(lambda w: w.output_started(1, A, 0, "p1", "/out/a.mp4", "tag"), A)
    for late in (
        lambda w: w.output_started(1, "run-b", 0, "p1", "/out/a.mp4", "tag"),
        lambda w: w.output_whole(1, "run-b", 0, "p1", "/out/a.mp4", "tag", 9, "digest"),
    ):
        with pytest.raises(LeaseLost):
            ledger.write(late)
    assert ledger.read(lambda v: v.holds_lease(1, A))
    assert not ledger.read(lambda v: v.holds_lease(1, "run-b"))


@pytest.mark.parametrize("created", [False, True])
def test_files_of_a_job_that_was_refused_are_sent_again_with_it(
    ready: Callable[..., Ledger], clock: Hands, created: bool
) -> None:
    """They may be what the vendor could not use; those of a render that failed were good enough to begin with."""
    ledger = ready(1)
    (one,) = submit(ledger, A).intents
    ledger.write(lambda w: w.uploaded("scope", "digest", "video", 9, "api-assets/v", clock.at + 10**6))
    if created:
        ledger.write(lambda w: w.accepted(1, one.submission_id, "p1", ESTIMATE, clock.at, 200), A)
        ledger.write(lambda w: w.claim(A, State.RENDERING, 1, 60.0), A)
        ledger.write(lambda w: w.render_failed(1, A, "error", 0, "no_source_face", "no face"), A)
    else:
        ledger.write(lambda w: w.refused(1, one.submission_id, "invalid_request", "no such file", 400), A)
    ledger.write(lambda w: w.retried(1))
    kept = ledger.read(lambda v: v.upload("scope", "digest", "video", clock.at))
    assert (kept is not None) == created


def input_gone(ledger: Ledger, intent: Intent) -> bool:
    return ledger.write(lambda w: w.input_gone(intent.seq, intent.submission_id, "no such file", 400), A)


def test_files_that_the_vendor_has_lost_are_brought_again_for_all_that_wait_with_them(
    ready: Callable[..., Ledger], path: Path, clock: Hands
) -> None:
    ledger = ready(3)
    ledger.write(lambda w: w.uploaded(SCOPE, "digest", "video", 9, "api-assets/v", clock.at + 10**6))
    (first,) = submit(ledger, A, 1).intents
    assert input_gone(ledger, first)
    assert ledger.read(lambda v: v.upload(SCOPE, "digest", "video", clock.at)) is None
    assert submit(ledger, A).intents == ()
    assert query(path, "SELECT seq FROM jobs WHERE state = 'planned' ORDER BY seq") == [(1,), (2,), (3,)]
    assert query(path, "SELECT outcome, code, message FROM submissions") == [
        ("not_created", "input_gone", "no such file")
    ]
    assert columns(path, 1, "reserved, net") == (0, 0)


@pytest.mark.parametrize(("named", "left"), [("api-assets/a", ["digest-v"]), ("", [])])
def test_only_the_file_that_the_vendor_names_is_brought_again(
    ready: Callable[..., Ledger], path: Path, clock: Hands, named: str, left: list[str]
) -> None:
    ledger = ready(1)
    for kind in ("video", "audio"):
        place, digest = f"api-assets/{kind[0]}", f"digest-{kind[0]}"
        ledger.write(lambda w, k=kind, p=place, d=digest: w.uploaded(SCOPE, d, k, 9, p, clock.at + 10**6))  # type: ignore[misc]
    (one,) = submit(ledger, A).intents
    assert ledger.write(lambda w: w.input_gone(one.seq, one.submission_id, f"there is no {named} any more", 404), A)
    assert [row[0] for row in query(path, "SELECT digest FROM uploads WHERE expires_at > ?", clock.at)] == left
    assert columns(path, 1, "state") == ("uploaded",)


def test_they_are_brought_again_twice(ready: Callable[..., Ledger], path: Path, clock: Hands) -> None:
    ledger = ready(1)
    ledger.write(lambda w: w.uploaded(SCOPE, "digest", "video", 9, "api-assets/v", clock.at + 10**6))
    for _ in range(2):
        (one,) = submit(ledger, A).intents
        assert input_gone(ledger, one)
        submit(ledger, A)
        make_ready(ledger, A, 1)
    (last,) = submit(ledger, A).intents
    before = dump(path)
    assert not input_gone(ledger, last)
    assert dump(path) == before


def test_what_was_not_uploaded_cant_be_brought_again(ready: Callable[..., Ledger], path: Path) -> None:
    ledger = ready(1)
    (one,) = submit(ledger, A).intents
    before = dump(path)
    assert not input_gone(ledger, one)
    assert dump(path) == before


def test_under_a_cap_a_video_of_unknown_rate_is_asked_for_as_fast_as_usual_ones_get(
    ledger: Ledger, clock: Hands
) -> None:
    add(ledger, jobs(6, worst=ESTIMATE, max_fps_limit=None))
    start_run(ledger, A)
    make_ready(ledger, A, 6)
    # Twice the estimate is set aside for each, and nothing can settle above that.
    (one,) = submit(ledger, A, cap=3 * ESTIMATE).intents
    assert one.guard_fps == GUARD_FPS
    ledger.write(lambda w: w.accepted(1, one.submission_id, "p1", ESTIMATE, clock.at, 200), A)
    assert submit(ledger, A, cap=3 * ESTIMATE).capped  # the first may yet settle lower, and leave room
    ledger.write(lambda w: w.claim(A, State.RENDERING, 1, 60.0), A)
    ledger.write(lambda w: w.render_done(1, A, ESTIMATE - 10, 25.0), A)
    (two,) = submit(ledger, A, cap=3 * ESTIMATE).intents
    assert two.guard_fps == GUARD_FPS


@pytest.mark.parametrize(("settled", "sent"), [(ESTIMATE - 10, 30.0), (ESTIMATE, 30.0), (2 * ESTIMATE, None)])
def test_the_last_credits_of_a_cap_are_used_at_the_rate_of_the_videos_before(
    ledger: Ledger, clock: Hands, settled: int, sent: float | None
) -> None:
    add(ledger, jobs(2, worst=ESTIMATE, max_fps_limit=None))
    start_run(ledger, A)
    make_ready(ledger, A, 2)
    cap = settled + 2 * ESTIMATE - 1
    (one,) = submit(ledger, A, cap=cap).intents
    ledger.write(lambda w: w.accepted(1, one.submission_id, "p1", ESTIMATE, clock.at, 200), A)
    ledger.write(lambda w: w.claim(A, State.RENDERING, 1, 60.0), A)
    ledger.write(lambda w: w.render_done(1, A, settled, 25.0), A)
    got = submit(ledger, A, cap=cap)
    assert [intent.guard_fps for intent in got.intents] == ([] if sent is None else [sent])
    assert got.capped == (sent is None)


def test_without_a_cap_nothing_is_asked_for_otherwise_than_it_was_written(ledger: Ledger) -> None:
    add(ledger, jobs(2, worst=ESTIMATE, max_fps_limit=None))
    start_run(ledger, A)
    make_ready(ledger, A, 2)
    assert [intent.guard_fps for intent in submit(ledger, A).intents] == [None, None]


def test_uploads_that_have_expired_are_never_submitted(ledger: Ledger, clock: Hands) -> None:
    add(ledger, jobs(10))
    start_run(ledger, A)
    for claimed in ledger.write(lambda w: w.claim(A, State.PLANNED, 10, 60.0), A):
        ledger.write(lambda w, seq=claimed.seq: w.assets_ready(seq, A, "v", "a", NOON - 9), A)
    assert submit(ledger, A, limit=2).intents == ()


# --- many at once ---


@pytest.fixture
def shared(path: Path, ledger: Ledger) -> Iterator[Callable[[int], Ledger]]:
    with ExitStack() as stack:

        def another(_: int) -> Ledger:
            return stack.enter_context(Ledger(str(path)))

        yield another


def test_threads_never_claim_the_same_job(ledger: Ledger, shared: Callable[[int], Ledger]) -> None:
    add(ledger, jobs(80))
    names = [f"run-{n}" for n in range(4)]
    for name in names:
        start_run(ledger, name)
    got: dict[str, list[str]] = {name: [] for name in names}
    together = Barrier(len(names))

    def work(name: str, mine: Ledger) -> None:
        together.wait()
        while found := claim(mine, name, limit=3):
            got[name] += found

    threads = [Thread(target=work, args=(name, shared(n))) for n, name in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found for mine in got.values() for found in mine) == [f"job-{n:03d}" for n in range(80)]


CLAIMER = """
import json, sys
from batchsync.ledger.ledger import Ledger
path, run = sys.argv[1:]
sent = []
with Ledger(path) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        got = ledger.write(lambda w: w.claim_submissions(
            run, 2, 60.0, max_in_flight=1000, name=lambda job: job.id, cap=3000), run)
        if not got.intents:
            break
        sent += [intent.job.seq for intent in got.intents]
print(json.dumps(sent))
"""


def test_processes_never_submit_the_same_job_nor_pass_the_cap_together(ledger: Ledger, path: Path) -> None:
    add(ledger, jobs(40))
    names = [f"run-{n}" for n in range(3)]
    for name in names:
        start_run(ledger, name)
    make_ready(ledger, names[0], 40)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    sent = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    together = [seq for mine in sent for seq in mine]
    assert len(together) == len(set(together)) == 3000 // WORST
    assert query(path, "SELECT sum(amount) FROM credit_entries") == [(3000,)]
    assert query(path, "SELECT count(*) FROM submissions") == [(3000 // WORST,)]


# --- uploads: which job brings a file that many need ---


def with_files(id_: str, video: str, audio: str) -> PlannedJob:
    """A job with local files of these contents."""
    files = [MediaFacts(f"/w/{name}", 1, 1, name) for name in (video, audio)]
    sources = [Source(SourceKind.FILE, file.path) for file in files]
    return replace(job(id_, video=sources[0], audio=sources[1]), video=files[0], audio=files[1])


def claim_uploads(ledger: Ledger, run: str, limit: int = 100, until: float = NOON) -> list[str]:
    claimed = ledger.write(lambda w: w.claim_uploads(run, limit, LEASE, 10**6, SCOPE, until), run).jobs
    return [found.id for found in claimed]


def uploaded(ledger: Ledger, digest: str, kind: str, scope: str = SCOPE, until: float = NOON + 100) -> None:
    ledger.write(lambda w: w.uploaded(scope, digest, kind, 1, "api-assets/x", until), A)


@pytest.fixture
def sharing(ledger: Ledger) -> Ledger:
    """Two runs over jobs of which the first three share a video, and the last two an audio."""
    add(ledger, [*(with_files(f"j{n}", "v", f"a{n}") for n in range(3)), with_files("j3", "w", "a")])
    add(ledger, [with_files("j4", "y", "b"), with_files("j5", "x", "a")], path="/w/other.csv")
    start_run(ledger, A)
    start_run(ledger, B)
    return ledger


def test_one_job_at_a_time_brings_a_file_of_all_runs(sharing: Ledger) -> None:
    assert claim_uploads(sharing, A) == ["j0", "j3", "j4"]
    assert claim_uploads(sharing, A) == claim_uploads(sharing, B) == []
    uploaded(sharing, "v", "video")
    assert claim_uploads(sharing, B) == ["j1", "j2"]


def test_jobs_that_wait_for_a_file_take_no_place_of_others(sharing: Ledger) -> None:
    assert claim_uploads(sharing, A, 2) == ["j0", "j3"]
    assert claim_uploads(sharing, B, 2) == ["j4"]


def test_a_job_that_failed_or_whose_process_is_gone_leaves_its_files_to_others(sharing: Ledger) -> None:
    claim_uploads(sharing, A)
    fail(sharing, 1, NOON + 1000)
    assert claim_uploads(sharing, B) == ["j1"]
    sharing.write(lambda w: w.release(A))
    assert claim_uploads(sharing, B) == ["j3", "j4"]


@pytest.mark.parametrize(
    ("digest", "kind", "scope", "until"),
    [
        ("v", "audio", SCOPE, NOON + 100),
        ("w", "video", SCOPE, NOON + 100),
        ("v", "video", "another account", NOON + 100),
        ("v", "video", SCOPE, NOON),
    ],
    ids=["the other kind", "another content", "another account", "about to go"],
)
def test_what_is_not_there_for_these_jobs_is_brought_once(
    sharing: Ledger, digest: str, kind: str, scope: str, until: float
) -> None:
    uploaded(sharing, digest, kind, scope, until)
    assert [found for found in claim_uploads(sharing, A) if found in ("j0", "j1", "j2")] == ["j0"]


def test_a_file_that_is_there_holds_nobody_up(sharing: Ledger) -> None:
    for digest, kind in (("v", "video"), ("a", "audio")):
        uploaded(sharing, digest, kind)
    assert claim_uploads(sharing, A) == ["j0", "j1", "j2", "j3", "j4", "j5"]


def test_a_job_whose_files_are_all_there_is_ready_at_once(sharing: Ledger, path: Path) -> None:
    add(sharing, [job("elsewhere")], path="/w/third.csv")
    start_run(sharing, "run-c")
    for digest, kind, until in (("w", "video", NOON + 200), ("a", "audio", NOON + 150), ("a", "audio", NOON + 100)):
        uploaded(sharing, digest, kind, until=until)
    got = sharing.write(lambda w: w.claim_uploads("run-c", 100, LEASE, 10**6, SCOPE, NOON), "run-c")
    assert ([found.id for found in got.jobs], got.ready) == (["j0", "j4", "j5"], 2)
    names = "state, video_asset, audio_asset, assets_expire_at, lease_owner"
    # Of two uploads the one that stays for longer, and the job's files are there until the first of them goes.
    assert columns(path, 4, names) == ("uploaded", "api-assets/x", "api-assets/x", NOON + 150, None)
    url = "https://cdn.example/elsewhere"
    assert columns(path, 7, names) == ("uploaded", f"{url}.mp4", f"{url}.wav", None, None)
