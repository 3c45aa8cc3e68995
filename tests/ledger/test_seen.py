"""What a ledger has seen: uploads that are still there, use of the month, what settled at what, how long it took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ledger.book import NOON, Hands, add, job, make_ready, start_run

from batchsync.ledger.evidence import Standing
from batchsync.ledger.ledger import Ledger, Writes
from batchsync.model.job import MediaFacts, Mode, PlannedJob
from batchsync.model.renders import RenderKind
from batchsync.model.seen import Seen, Settled
from batchsync.model.states import State

RUN = "run-a"
DAY = 86400.0


def look(ledger: Ledger, scope: str | None = None, until: float = NOON, month: float = 0.0) -> Seen:
    return ledger.read(lambda v: v.seen(scope, until, month))


def unknown(name: str, **more: Any) -> PlannedJob:
    """A job of 60 credits at submission whose frame rate nobody knows."""
    return job(name, **({"max_fps_limit": None} | more))


def render(ledger: Ledger, clock: Hands, planned: list[PlannedJob], credits: list[int], seconds: list[float]) -> None:
    """Take jobs to their ends: each settles at its `credits`, `seconds` after it was sent, one after the other."""
    add(ledger, planned)
    start_run(ledger, RUN)
    make_ready(ledger, RUN, len(planned))

    def submit(w: Writes) -> list[int]:
        claim = w.claim_submissions(RUN, len(planned), 1e9, max_in_flight=10**6, name=lambda found: found.id)
        for intent in claim.intents:
            w.accepted(intent.seq, intent.submission_id, f"p{intent.seq}", intent.job.estimate, 0.0, 200)
        return [found.seq for found in w.claim(RUN, State.RENDERING, 10**6, 1e9)]

    sent = clock.at
    seqs = ledger.write(submit, RUN)
    for seq, cost, later in sorted(zip(seqs, credits, seconds, strict=True), key=lambda each: each[2]):
        clock.at = sent + later
        ledger.write(lambda w, s=seq, c=cost: w.render_done(s, RUN, c, None), RUN)  # type: ignore[misc]
        ledger.write(lambda w, s=seq: w.output_saved(s, RUN, ["a.mp4"]), RUN)  # type: ignore[misc]


def test_an_empty_ledger_has_seen_nothing(ledger: Ledger) -> None:
    assert look(ledger) == Seen()


def test_complete_jobs_of_unknown_frame_rates_tell_what_others_will_settle_at(ledger: Ledger, clock: Hands) -> None:
    known = replace(unknown("known"), video=MediaFacts("/m/a.mp4", 1, 1, "d", 2.0, 24.0))
    planned = [
        unknown("a"),
        unknown("b"),
        unknown("pro", estimate=120, generation_mode=Mode.PRO),
        unknown("limited", max_fps_limit=12.0),
        known,
    ]
    render(ledger, clock, planned, [50, 48, 100, 24, 48], [10.0] * 5)
    add(ledger, [unknown("waiting")])
    assert look(ledger).settled == {Mode.LITE: Settled(120, 98), Mode.PRO: Settled(120, 100)}


def test_the_median_of_renders_is_from_submission_to_completion(ledger: Ledger, clock: Hands) -> None:
    render(ledger, clock, [unknown(name) for name in "abc"], [60] * 3, [400.0, 10.0, 30.0])
    assert (look(ledger).renders, look(ledger).render_seconds) == (3, 30.0)


def test_the_median_of_two_is_between_them(ledger: Ledger, clock: Hands) -> None:
    render(ledger, clock, [unknown(name) for name in "ab"], [60] * 2, [10.0, 30.0])
    assert (look(ledger).renders, look(ledger).render_seconds) == (2, 20.0)


def test_only_money_of_this_month_counts(ledger: Ledger, clock: Hands) -> None:
    render(ledger, clock, [unknown("a"), unknown("b")], [50, 48], [10.0, 20.0])
    assert look(ledger).used_this_month == 98
    # Charged at noon; what came back was written 10 and 20 seconds later.
    assert look(ledger, month=NOON).used_this_month == 98
    assert look(ledger, month=NOON + 1).used_this_month == -10 - 12
    assert look(ledger, month=NOON + 20.5).used_this_month == 0


def test_uploads_count_for_their_account_until_the_vendor_drops_them(ledger: Ledger) -> None:
    def upload(w: Writes) -> None:
        w.uploaded("me", "d1", "video", 5, "api-assets/1", NOON + 7 * DAY)
        w.uploaded("me", "d2", "audio", 5, "api-assets/2", NOON + 1)
        w.uploaded("other", "d3", "audio", 5, "api-assets/3", NOON + 7 * DAY)

    ledger.write(upload, RUN)
    assert look(ledger, "me").at_vendor == {("video", "d1"), ("audio", "d2")}
    assert look(ledger, "me", until=NOON + 1).at_vendor == {("video", "d1")}
    assert look(ledger, "other").at_vendor == {("audio", "d3")}
    assert look(ledger, "nobody").at_vendor == set()
    assert look(ledger).at_vendor is None, "whose they are isn't known"


def test_the_account_is_the_one_that_was_met_last(ledger: Ledger, path: Path) -> None:
    def meet(w: Writes) -> None:
        w.uploaded("second", "d1", "video", 5, "api-assets/1", NOON + DAY)
        w.balance("start", "first", "pro", 5, Standing(0, 0))
        w.balance("start", "second", "creator", 5, Standing(0, 0))
        w.balance("end", None, None, 5, Standing(0, 0))

    start_run(ledger, RUN)
    ledger.write(meet, RUN)
    found = look(ledger)
    assert (found.tier, found.at_vendor) == ("creator", {("video", "d1")})


def test_render_times_are_those_of_the_newest_jobs_by_kind_the_oldest_first(ledger: Ledger, clock: Hands) -> None:
    planned = [unknown("a"), unknown("b", generation_mode=Mode.PRO), unknown("c")]
    render(ledger, clock, planned, [60, 120, 60], [400.0, 10.0, 30.0])
    add(ledger, [unknown("waiting")])
    pro, lite = RenderKind("pro", 2.0), RenderKind("lite", 2.0)
    assert ledger.read(lambda v: v.render_times(2)) == [(pro, 10.0), (lite, 30.0)]
    assert ledger.read(lambda v: v.render_times(9)) == [(lite, 400.0), (pro, 10.0), (lite, 30.0)]
