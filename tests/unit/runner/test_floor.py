"""What a run learns from answers: when the vendor is out of reach, when it is only slow, and what a job deserves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from ledger.book import Hands, add, columns, jobs, open_blank, start_run

from batchsync.ledger.claims import ClaimedJob
from batchsync.ledger.ledger import GroupCommit, Ledger
from batchsync.model.backoff import LONGEST_RETRY_AFTER
from batchsync.model.states import State
from batchsync.runner.floor import (
    LINK_TRIAL_SECONDS,
    LONGEST_PAUSE_SECONDS,
    MOST_STRIKES,
    OUTAGE_STREAK,
    Floor,
    Lane,
    Links,
)
from batchsync.runner.options import Failures, RunOptions, Stopped
from batchsync.vendor.port import Download, Next, Trouble, VendorTrouble

RUN = "run-a"
DOWN = Trouble(Next.AGAIN, "connect", "no answer")
PACED = Trouble(Next.PACED, "rate_limited", "slow down", retry_after=7.0, status=429)
OTHERS = [Trouble(kind, "code", "words") for kind in Next if kind not in (Next.AGAIN, Next.PACED)]


@pytest.fixture
def ledger(path: Path, clock: Hands) -> Iterator[Ledger]:
    with open_blank(path, clock) as opened:
        add(opened, jobs(1))
        start_run(opened, RUN)
        yield opened


class Straight(GroupCommit):
    """Writes at once: these tests have no event loop of many tasks."""

    async def write(self, work):  # type: ignore[no-untyped-def]
        return self.ledger.write(work, self.run_id)


def make_floor(ledger: Ledger, clock: Hands, **options: object) -> Floor:
    return Floor(Straight(ledger, RUN), None, RunOptions(**options), clock, "scope")  # type: ignore[arg-type]


@pytest.fixture
def floor(ledger: Ledger, clock: Hands) -> Floor:
    return make_floor(ledger, clock)


def claimed(ledger: Ledger) -> ClaimedJob:
    (job,) = ledger.write(lambda w: w.claim(RUN, State.PLANNED, 1, 60.0), RUN)
    return job


def learn(floor: Floor, trouble: Trouble | None) -> None:
    """An answer to a request that left just now."""
    floor.learn(trouble, floor.clock.monotonic())


# --- links ---


def test_links_that_were_just_given_are_tried_whatever_their_time_says() -> None:
    """A clock that is a day ahead would else look for fresh ones for ever."""
    links = Links((Download("https://s.example/a", 1000.0),), given_at=5000.0)
    assert not links.have_expired(5000.0)
    assert links.have_expired(5000.0 + LINK_TRIAL_SECONDS + 1)
    assert not Links((Download("https://s.example/a", None),), given_at=0.0).have_expired(1e9)


# --- the vendor out of reach ---


def test_a_hiccup_or_two_make_nobody_wait(floor: Floor) -> None:
    for _ in range(OUTAGE_STREAK - 1):
        learn(floor, DOWN)
    assert floor.pacer.paused_for == 0
    learn(floor, None)
    for _ in range(OUTAGE_STREAK - 1):
        learn(floor, DOWN)
    assert floor.pacer.paused_for == 0


def test_failures_in_a_row_make_everybody_wait(floor: Floor) -> None:
    for _ in range(OUTAGE_STREAK):
        learn(floor, DOWN)
    assert 0 < floor.pacer.paused_for <= 1.0
    assert floor.outage.since is not None
    assert floor.outage.message == "no answer"


def test_failures_of_requests_that_were_under_way_make_no_longer_pause(floor: Floor) -> None:
    for _ in range(OUTAGE_STREAK):
        learn(floor, DOWN)
    pause = floor.pacer.paused_for
    for _ in range(50):
        learn(floor, DOWN)
    assert floor.pacer.paused_for == pause
    assert floor.outage.pauses == 1


def test_an_outage_is_asked_about_less_and_less_often_but_never_seldom(floor: Floor, clock: Hands) -> None:
    pauses, began = [], clock.at
    for _ in range(OUTAGE_STREAK - 1):
        learn(floor, DOWN)
    for _ in range(12):
        learn(floor, DOWN)
        pauses.append(floor.pacer.paused_for)
        clock.at += floor.pacer.paused_for
    assert pauses[0] <= 1.0
    assert max(pauses) <= LONGEST_PAUSE_SECONDS
    assert min(pauses[-3:]) >= LONGEST_PAUSE_SECONDS / 2
    assert floor.outage.since == began, "patience counts from the first failure"


@pytest.mark.parametrize("answer", [None, PACED, *OTHERS], ids=lambda a: a.next if a else "well")
def test_any_answer_at_all_ends_an_outage(floor: Floor, answer: Trouble | None) -> None:
    for _ in range(OUTAGE_STREAK + 3):
        learn(floor, DOWN)
    learn(floor, answer)
    assert (floor.outage.streak, floor.outage.pauses, floor.outage.since) == (0, 0, None)


def test_a_refused_key_is_no_sign_that_the_key_ever_worked(floor: Floor) -> None:
    learn(floor, DOWN)
    learn(floor, Trouble(Next.FATAL, "unauthorized", "no"))
    assert not floor.answered
    learn(floor, Trouble(Next.REFUSED, "bad_request", "no"))
    assert floor.answered


def test_too_many_requests_slow_all_of_them_down(floor: Floor, clock: Hands) -> None:
    rate = floor.pacer.pace.rate
    learn(floor, PACED)
    assert floor.pacer.paused_for == pytest.approx(7.0)
    clock.at += 7.0
    learn(floor, None)
    assert floor.pacer.pace.rate < rate
    assert floor.outage.since is None, "that is no outage"


def test_good_answers_quicken_the_pace_and_outages_do_not(floor: Floor) -> None:
    rate = floor.pacer.pace.rate
    learn(floor, None)
    assert floor.pacer.pace.rate > rate
    rate = floor.pacer.pace.rate
    learn(floor, DOWN)
    assert floor.pacer.pace.rate == rate


async def test_asking_waits_its_turn_and_learns_from_the_answer(floor: Floor) -> None:
    async def fine() -> str:
        return "fine"

    async def down() -> str:
        raise VendorTrouble(DOWN)

    assert await floor.ask(fine) == "fine"
    floor.pacer.give_back(1)
    with pytest.raises(VendorTrouble):
        await floor.ask(down)
    assert floor.outage.streak == 1


# --- what a job deserves ---


async def test_an_outage_never_counts_against_a_job_until_patience_is_over(
    ledger: Ledger, clock: Hands, path: Path
) -> None:
    floor = make_floor(ledger, clock, patience=600.0)
    job = claimed(ledger)
    await floor.failed(job, DOWN)
    assert columns(path, job.seq, "state, tries, strikes, failing_since") == ("planned", 1, 0, clock.at)
    clock.at += 590
    job = claimed(ledger)
    await floor.failed(job, DOWN)
    assert columns(path, job.seq, "state, tries, strikes, failing_since") == ("planned", 2, 0, clock.at - 590)
    floor.got_through(Lane.LOOK)
    clock.at += 60
    job = claimed(ledger)
    await floor.failed(job, DOWN)
    assert columns(path, job.seq, "state, error_code") == ("failed", "connect")
    assert floor.failures == 1


@pytest.mark.parametrize("lane", Lane)
async def test_where_nobody_gets_through_for_so_long_the_run_ends_and_no_job_fails(
    ledger: Ledger, clock: Hands, path: Path, lane: Lane
) -> None:
    floor = make_floor(ledger, clock, patience=100 * 61.0)
    floor.got_through(lane)
    clock.at += 1
    for _ in range(101):
        await floor.failed(claimed(ledger), DOWN, lane)
        assert floor.stopped is None
        for other in set(Lane) - {lane}:
            floor.got_through(other)
        clock.at += 61  # after the longest backoff
    job = claimed(ledger)
    await floor.failed(job, DOWN, lane)
    assert floor.stopped is Stopped.UNREACHABLE
    assert columns(path, job.seq, "state, strikes") == ("planned", 0)


async def test_what_others_got_through_before_an_outage_says_nothing_of_a_job(
    ledger: Ledger, clock: Hands, path: Path
) -> None:
    floor = make_floor(ledger, clock, patience=600.0)
    await floor.failed(claimed(ledger), DOWN)
    clock.at += 601
    floor.got_through(Lane.LOOK)
    for _ in range(OUTAGE_STREAK):
        learn(floor, DOWN)
    job = claimed(ledger)
    await floor.failed(job, DOWN)
    assert columns(path, job.seq, "state") == ("planned",)
    assert floor.stopped is None, "this outage has only begun"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What people who didn't ask for more have read up to now."""
    monkeypatch.setattr(logging.getLogger("batchsync"), "propagate", True)  # the command line turns that off
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_outage_and_its_end_are_told_once_each(floor: Floor, clock: Hands, said: Callable[[], list[str]]) -> None:
    for _ in range(OUTAGE_STREAK):
        learn(floor, DOWN)
    assert said() == [], "a hiccup is nothing to read about"
    for _ in range(50):
        clock.at += 1
        learn(floor, DOWN)
    assert said() == ["the vendor is out of reach: no answer; waiting for it"]
    learn(floor, None)
    learn(floor, None)
    assert said()[1:] == ["the vendor answers again: going on"]


async def test_a_storage_out_of_reach_is_told_too(
    floor: Floor, ledger: Ledger, clock: Hands, said: Callable[[], list[str]]
) -> None:
    await floor.failed(claimed(ledger), DOWN, Lane.UPLOAD)
    assert said() == []
    for _ in range(3):
        clock.at += 61
        await floor.failed(claimed(ledger), DOWN, Lane.UPLOAD)
    assert said() == ["uploads don't get through: no answer; trying again"]
    floor.got_through(Lane.UPLOAD)
    floor.got_through(Lane.UPLOAD)
    assert said()[1:] == ["uploads get through again: going on"]


@pytest.mark.parametrize("kind", [Next.GARBAGE, Next.GONE])
async def test_a_job_that_fails_by_itself_is_given_up_after_some_strikes(
    floor: Floor, ledger: Ledger, clock: Hands, path: Path, kind: Next
) -> None:
    for strikes in range(1, MOST_STRIKES):
        job = claimed(ledger)
        await floor.failed(job, Trouble(kind, "odd", "words"))
        assert columns(path, job.seq, "state, strikes") == ("planned", strikes)
        clock.at += 61
    job = claimed(ledger)
    await floor.failed(job, Trouble(kind, "odd", "words"))
    assert columns(path, job.seq, "state") == ("failed",)


async def test_a_refused_job_is_given_up_at_once(floor: Floor, ledger: Ledger, path: Path) -> None:
    job = claimed(ledger)
    await floor.failed(job, Trouble(Next.REFUSED, "bad_request", "no such face"))
    assert columns(path, job.seq, "state, error_code, error_message") == ("failed", "bad_request", "no such face")


async def test_a_paced_job_may_go_again_as_soon_as_the_pace_lets_it(
    floor: Floor, ledger: Ledger, clock: Hands, path: Path
) -> None:
    job = claimed(ledger)
    await floor.failed(job, PACED)
    assert columns(path, job.seq, "state, not_before") == ("planned", clock.at)


async def test_a_wish_for_a_later_try_is_kept_in_the_ledger(
    floor: Floor, ledger: Ledger, clock: Hands, path: Path
) -> None:
    job = claimed(ledger)
    await floor.failed(job, Trouble(Next.AGAIN, "busy", "later", retry_after=1e9))
    assert columns(path, job.seq, "not_before") == (clock.at + LONGEST_RETRY_AFTER,)


@pytest.mark.parametrize(
    ("kind", "why"), [(Next.FATAL, Stopped.UNAUTHORIZED), (Next.BROKE, Stopped.OUT_OF_CREDITS), (Next.AGAIN, None)]
)
async def test_what_concerns_every_job_closes_the_run(
    floor: Floor, ledger: Ledger, path: Path, kind: Next, why: Stopped | None
) -> None:
    job = claimed(ledger)
    await floor.failed(job, Trouble(kind, "code", "words"))
    assert floor.closed is why
    assert floor.open is (why is None)
    assert columns(path, job.seq, "state") == ("planned",), "no fault of the job's"


async def test_out_of_credits_may_be_waited_out(ledger: Ledger, clock: Hands) -> None:
    floor = make_floor(ledger, clock, on_out_of_credits="wait")
    await floor.failed(claimed(ledger), Trouble(Next.BROKE, "insufficient_credits", "none left"))
    assert (floor.closed, floor.broke, floor.open) == (None, True, False)


def test_after_so_many_failures_nothing_new_is_submitted(ledger: Ledger, clock: Hands) -> None:
    floor, job = make_floor(ledger, clock, max_failures=Failures(count=2)), claimed(ledger)
    floor.count_failure(job, "bad", "no")
    assert floor.closed is None
    floor.count_failure(job, "bad", "no")
    assert floor.closed is Stopped.MAX_FAILURES


@pytest.mark.parametrize(
    ("share", "jobs", "failures"),
    [("5/100", 100, 5), ("5/100", 101, 6), ("5/100", 3, 1), ("1/1000", 10, 1), ("1", 7, 7), ("29/100", 100, 29)],
)
def test_a_share_of_failures_is_of_the_runs_jobs_rounded_up(
    ledger: Ledger, clock: Hands, share: str, jobs: int, failures: int
) -> None:
    floor, job = make_floor(ledger, clock, max_failures=Failures(share=Fraction(share))), claimed(ledger)
    floor.jobs = jobs
    for _ in range(failures - 1):
        floor.count_failure(job, "bad", "no")
    assert floor.closed is None
    floor.count_failure(job, "bad", "no")
    assert floor.closed is Stopped.MAX_FAILURES


class Bell:
    """A stage that notes when it is rung."""

    def __init__(self, rung: list[float]) -> None:
        self.rung = rung

    def ring(self, at: float = 0.0) -> None:
        self.rung.append(at)


def test_the_first_reason_to_close_or_stop_is_the_one_that_is_told(floor: Floor) -> None:
    rung: list[float] = []
    floor.stages[State.PLANNED] = Bell(rung)  # type: ignore[assignment]
    floor.close(Stopped.MAX_FAILURES)
    floor.close(Stopped.OUT_OF_CREDITS)
    assert floor.closed is Stopped.MAX_FAILURES
    floor.stop(Stopped.SIGNAL)
    floor.stop(Stopped.UNTIL)
    assert floor.stopped is Stopped.SIGNAL
    assert floor.stopping.is_set()
    assert len(rung) == 2


async def test_an_upload_whose_url_runs_out_again_and_again_is_told_and_given_up(
    ledger: Ledger, path: Path, floor: Floor, clock: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    trouble = Trouble(Next.GONE, "upload_too_slow", "the upload takes longer than its URL is good for", status=403)
    for _ in range(MOST_STRIKES):
        assert columns(path, 1, "state") == (State.PLANNED,)
        await floor.failed(claimed(ledger), trouble, Lane.UPLOAD)
        clock.at += 1000.0
    assert columns(path, 1, "state, error_code") == (State.FAILED, "upload_too_slow")
    assert caplog.text.count("uploads don't get through: the upload takes longer") == 1
