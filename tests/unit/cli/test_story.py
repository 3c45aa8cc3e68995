"""The story of a job: every event there is has its words, and what they say is what the ledger holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger.book import Hands, add, job, make_ready, open_blank, start_run

from batchsync.cli.story import TOLD, story
from batchsync.ledger.ledger import Ledger
from batchsync.model.states import Event, State

RUN = "20270115-080000-abcdef"


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def ledger(tmp_path: Path, clock: Hands) -> Iterator[Ledger]:
    with open_blank(tmp_path / "batchsync.db", clock) as opened:
        add(opened, [job("a")])
        start_run(opened, RUN)
        yield opened


def told(ledger: Ledger) -> list[str]:
    return [one.text for one in story(ledger.read(lambda v: v.history(1)))]


def submit(ledger: Ledger) -> int:
    make_ready(ledger, RUN, 1)

    def claim(w: object) -> int:
        got = w.claim_submissions(RUN, 1, 60.0, max_in_flight=9, name=lambda job: "Clip · tok")  # type: ignore[attr-defined]
        return int(got.intents[0].submission_id)

    return ledger.write(claim, RUN)


def test_every_event_has_its_words() -> None:
    assert TOLD.keys() == {*Event}


def test_a_render_that_fails_and_one_that_succeeds(ledger: Ledger, clock: Hands) -> None:
    first = submit(ledger)
    ledger.write(lambda w: w.accepted(1, first, "cfirst", 60, 0.0, 200, owner=RUN), RUN)
    clock.at += 5
    ledger.write(lambda w: w.still_rendering(1, RUN, "queued", 60, 0.0), RUN)
    clock.at += 5
    ledger.write(lambda w: w.render_failed(1, RUN, "error", 15, "no_face", "No face."), RUN)
    ledger.write(lambda w: w.retried(1))
    ledger.write(lambda w: w.take_on(RUN, None), RUN)
    second = submit(ledger)
    ledger.write(lambda w: w.accepted(1, second, "csecond", 60, 0.0, 200, owner=RUN), RUN)
    for stated in (57, 55):  # at one moment
        ledger.write(lambda w, stated=stated: w.still_rendering(1, RUN, "rendering", stated, 0.0), RUN)
    clock.at += 229
    ledger.write(lambda w: w.render_done(1, RUN, 50, 25.0), RUN)
    ledger.write(lambda w: w.output_started(1, RUN, 0, "csecond", "/out/a.mp4", None), RUN)
    ledger.write(lambda w: w.output_whole(1, RUN, 0, "csecond", "/out/a.mp4", None, 31_000, "d" * 64), RUN)
    ledger.write(lambda w: w.output_saved(1, RUN, ["/out/a.mp4"]), RUN)
    assert told(ledger) == [
        "added from /w/jobs.csv:2",
        f"nothing to upload; by run {RUN}",
        "submission 1, as “Clip · tok”",
        "created as project cfirst (HTTP 200); charged 60 credits",
        "queued",
        "the render failed: No face. (no_face); refunded 45 credits, 15 in all",
        "put back by hand: to be submitted and paid anew",
        "nothing to upload",
        "submission 2, as “Clip · tok”",
        "created as project csecond (HTTP 200); charged 60 credits",
        "rendering; settled -3 credits, 57 in all",
        "restated; settled -2 credits, 55 in all",
        "rendered, 4 min after its submission, at 25 frames per second; settled -5 credits, 50 in all",
        f"downloaded to /out/a.mp4 (31.0 kB, sha256 {'d' * 64})",
    ]
    marks = [one.bad for one in story(ledger.read(lambda v: v.history(1)))]
    assert [place for place, bad in enumerate(marks) if bad] == [5]


def test_an_answer_that_is_lost_and_what_a_person_finds(ledger: Ledger) -> None:
    first = submit(ledger)
    ledger.write(lambda w: w.deferred(1, first, "http_503", "Overloaded.", 0.0, 503), RUN)
    second = submit(ledger)
    ledger.write(lambda w: w.lost(1, second, "cut", "The connection was cut.", None), RUN)
    ledger.write(lambda w: w.resolved(1, project_id="cfound", credits=60))
    assert told(ledger)[2:] == [
        "submission 1, as “Clip · tok”",
        "not created (HTTP 503): Overloaded. (http_503); to be sent again",
        "submission 2, as “Clip · tok”",
        "held: nobody knows whether it was created: The connection was cut. (cut)",
        "resolved by hand: it is project cfound; charged 60 credits",
    ]


def test_a_second_submission_without_an_answer_is_told_apart(ledger: Ledger) -> None:
    first = submit(ledger)

    def again(w: object) -> None:
        w.lost(1, first, "cut", "Cut.", None)  # type: ignore[attr-defined]
        w.resubmitted(1, 9)  # type: ignore[attr-defined]

    ledger.write(again, RUN)
    second = submit(ledger)
    ledger.write(lambda w: w.accepted(1, second, "csecond", 60, 0.0, 200), RUN)
    assert "to be sent again with --on-ambiguous resubmit, though it may have been created" in told(ledger)
    assert told(ledger)[-2].startswith("submission 2, ")


def test_tries_that_failed_are_told_by_what_they_were(ledger: Ledger) -> None:
    (claimed,) = ledger.write(lambda w: w.claim(RUN, State.PLANNED, 1, 60.0), RUN)
    ledger.write(lambda w: w.attempt_failed(claimed.seq, RUN, "timeout", "Too slow.", 0.0, strike=True), RUN)
    ledger.write(lambda w: w.claim(RUN, State.PLANNED, 1, 60.0), RUN)
    ledger.write(lambda w: w.gave_up(1, RUN, "timeout", "Too slow."), RUN)
    assert told(ledger)[1:] == [
        f"upload failed: Too slow. (timeout); to be tried again; by run {RUN}",
        "given up: Too slow. (timeout)",
    ]
