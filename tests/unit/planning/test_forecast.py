"""What a plan will come to: sums by hand, and nothing unknown told as 0."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from unit.planning.test_plan import make, media, ran, spec

from batchsync.model.job import Mode
from batchsync.model.seen import Seen, Settled
from batchsync.model.states import State
from batchsync.planning import Forecast, Plan, Price, Uploads, forecast
from batchsync.planning.pricing import month_start

PACIFIC = ZoneInfo("America/Los_Angeles")


def ahead(
    plan: Plan, *, price: str | None = None, balance: int | None = None, at_once: int = 100, **seen: Any
) -> Forecast:
    return forecast(plan, Seen(**seen), Price.parse(price) if price else None, balance, at_once)


def of_ten_seconds(*rates: float | None, mode: Mode = Mode.LITE, **more: Any) -> Plan:
    """A job of ten seconds for each frame rate: 300 credits at submission, but 600 for pro."""
    specs = [
        spec(n, f"/m/{n}.mp4", id=f"j{n}", end=10.0, generation_mode=mode, **more) for n in range(2, len(rates) + 2)
    ]
    return make(specs, facts=[media(f"/m/{n}.mp4", fps=fps) for n, fps in enumerate(rates, start=2)])


# --- credits in the end ---


def test_known_frame_rates_give_what_is_expected_in_the_end() -> None:
    plan = of_ten_seconds(24.0, 25.0, 30.0, 60.0, 24000 / 1001)
    found = ahead(plan)
    assert plan.credits_estimated == 5 * 300
    assert found.expected.credits == 240 + 250 + 300 + 600 + 240  # 239.76 frames are 240
    assert found.at_most == 300 + 300 + 300 + 600 + 300
    assert found.expected.by_rate == 5


def test_a_limit_on_the_frame_rate_lowers_what_is_expected() -> None:
    assert ahead(of_ten_seconds(60.0, max_fps_limit=24.0)).expected.credits == 240
    assert ahead(of_ten_seconds(24.0, max_fps_limit=60.0)).expected.credits == 240
    assert ahead(of_ten_seconds(25.0, mode=Mode.PRO)).expected.credits == 500


def test_an_unknown_frame_rate_makes_the_end_unknown_and_never_0() -> None:
    found = ahead(of_ten_seconds(24.0, None, None), price="0.01").expected
    assert (found.credits, found.known, found.by_rate, found.by_ratio, found.unknown) == (None, 240, 1, 0, 2)
    found_all = ahead(of_ten_seconds(None), price="0.01")
    assert (found_all.expected.credits, found_all.usd_expected, found_all.at_most) == (None, None, None)
    assert found_all.usd_estimated == 3


def test_an_unknown_frame_rate_is_taken_as_others_of_its_mode_settled() -> None:
    seen = {Mode.LITE: Settled(estimated=3000, settled=2450)}
    found = ahead(of_ten_seconds(24.0, None, None), settled=seen).expected
    assert found.credits == 240 + 245 + 245
    assert (found.by_rate, found.by_ratio, found.unknown) == (1, 2, 0)
    assert ahead(of_ten_seconds(None, mode=Mode.PRO), settled=seen).expected.credits is None
    assert ahead(of_ten_seconds(None, max_fps_limit=12.0), settled=seen).expected.credits == 120
    assert ahead(of_ten_seconds(None, max_fps_limit=50.0), settled=seen).expected.credits == 245


def test_part_credits_are_rounded_up_once_for_all_jobs() -> None:
    seen = {Mode.LITE: Settled(estimated=900, settled=700)}
    assert ahead(of_ten_seconds(None, None, None), settled=seen).expected.credits == 700  # 3 x 233 1/3


def test_nothing_to_pay_for_is_known_to_be_0() -> None:
    found = ahead(make([]), price="usage:creator", balance=5)
    assert (found.expected.credits, found.usd_expected, found.missing, found.seconds) == (0, 0, 0, 0.0)


# --- money ---


def test_money_counts_what_the_ledger_used_this_month() -> None:
    """90,000 so far and 20,000 more: 10,000 at $0.0012 and 10,000 at nine tenths of that."""
    found = ahead(of_ten_seconds(*[30.0] * 66, 20.0), price="usage:creator", used_this_month=90_000)
    assert found.usd_estimated == Decimal("12.00") + Decimal("10100") * Decimal("0.00108")
    assert found.usd_expected == Decimal("22.80")
    assert ahead(of_ten_seconds(30.0), price="plan:pro", used_this_month=90_000).usd_expected == Decimal("0.468")


@pytest.mark.parametrize(
    ("now", "start"),
    [
        (datetime(2026, 3, 1, 0, 0, tzinfo=PACIFIC), datetime(2026, 3, 1, tzinfo=PACIFIC)),
        (datetime(2026, 2, 28, 23, 59, 59, tzinfo=PACIFIC), datetime(2026, 2, 1, tzinfo=PACIFIC)),
        (datetime(2026, 3, 1, 7, 59, tzinfo=ZoneInfo("UTC")), datetime(2026, 2, 1, 8, tzinfo=ZoneInfo("UTC"))),
        (datetime(2026, 3, 20, tzinfo=PACIFIC), datetime(2026, 3, 1, 8, tzinfo=ZoneInfo("UTC"))),  # summer since 8th
        (datetime(2026, 11, 1, 1, 30, tzinfo=PACIFIC, fold=1), datetime(2026, 11, 1, 7, tzinfo=ZoneInfo("UTC"))),
        (datetime(2026, 7, 4, tzinfo=ZoneInfo("Asia/Tokyo")), datetime(2026, 7, 1, 7, tzinfo=ZoneInfo("UTC"))),
    ],
)
def test_the_month_is_the_vendors(now: datetime, start: datetime) -> None:
    assert month_start(now.timestamp()) == start.timestamp()


# --- balance ---


def test_what_is_missing() -> None:
    plan = of_ten_seconds(24.0, 60.0)  # 600 at submission, 840 in the end
    assert [ahead(plan, balance=balance).missing for balance in (900, 840, 839, 0)] == [0, 0, 1, 840]
    assert ahead(of_ten_seconds(24.0), balance=299).missing == 1
    assert ahead(plan).missing is None


# --- uploads ---


def test_what_is_at_the_vendor_still_is_not_sent_again() -> None:
    plan = of_ten_seconds(24.0, 25.0)
    assert plan.uploads == Uploads(3, 8 + 8 + 8)
    there = {("video", "digest of /m/2.mp4"), ("video", "digest of /m/b.wav")}
    assert ahead(plan, at_vendor=there).uploads == Uploads(2, 16)  # the same content, but as a video, is no audio
    assert ahead(plan, at_vendor=set()).uploads == plan.uploads


def test_whose_uploads_they_are_must_be_known() -> None:
    assert ahead(of_ten_seconds(24.0)).uploads is None
    assert ahead(make([spec(2, "https://x/a.mp4", "https://x/a.wav")])).uploads == Uploads(0, 0)


# --- time ---


@pytest.mark.parametrize(
    ("jobs", "at_once", "rounds"), [(1, 100, 1), (100, 100, 1), (101, 100, 2), (10, 3, 4), (9, 3, 3)]
)
def test_renders_take_as_many_rounds_as_the_limit_makes(jobs: int, at_once: int, rounds: int) -> None:
    found = ahead(of_ten_seconds(*[25.0] * jobs), at_once=at_once)
    assert (found.renders, found.seconds) == (jobs, rounds * 229.0)


def test_a_ledger_with_enough_renders_knows_better_than_the_vendor() -> None:
    plan = of_ten_seconds(25.0)
    assert ahead(plan, renders=20, render_seconds=100.0).seconds == 100.0
    assert ahead(plan, renders=19, render_seconds=100.0).seconds == 229.0


def test_jobs_at_the_vendor_take_their_time_and_no_credits() -> None:
    first = of_ten_seconds(25.0, 25.0)
    specs = [spec(n, f"/m/{n}.mp4", id=f"j{n}", end=10.0) for n in (2, 3, 4)]
    found = make(specs, ran(first, State.RENDERING))
    assert (ahead(found).renders, ahead(found).expected.credits) == (3, 250)
