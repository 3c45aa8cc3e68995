"""Credits: whatever happens, entries sum up to what the vendor said, and reserves to what is still at risk."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.model.credits import (
    MONEY_KINDS,
    EntryKind,
    Stake,
    Totals,
    estimate,
    frames_cost,
    move,
    totals,
    worst,
)
from batchsync.model.job import Mode
from batchsync.model.states import Effect

credits = st.integers(0, 10_000)
figures = st.none() | credits


@st.composite
def stakes(draw: st.DrawFn) -> Stake:
    most = draw(credits)
    return Stake(draw(st.integers(0, most)), draw(credits), most, draw(st.integers(0, most)))


RESTATING = (Effect.ADJUST, Effect.SETTLE, Effect.REFUND)


@given(st.sampled_from(Effect), stakes(), figures)
def test_entries_are_the_difference_between_the_stake_before_and_after(
    effect: Effect, stake: Stake, stated: int | None
) -> None:
    moved = move(effect, stake, stated)
    caution = sum(amount for kind, amount in moved.entries if kind not in MONEY_KINDS)
    assert moved.reserved - stake.reserved == caution
    before = 0 if effect is Effect.CHARGE else stake.project
    assert moved.project - before == moved.money
    assert all(amount for _, amount in moved.entries)


@given(st.sampled_from(Effect), stakes(), figures)
def test_nothing_is_ever_reserved_below_nothing_or_above_the_worst(
    effect: Effect, stake: Stake, stated: int | None
) -> None:
    assert 0 <= move(effect, stake, stated).reserved <= stake.worst


@given(stakes(), figures)
def test_a_project_costs_what_the_vendor_says_and_the_estimate_where_it_says_nothing(
    stake: Stake, stated: int | None
) -> None:
    charged = move(Effect.CHARGE, stake, stated)
    assert charged.project == charged.money == (stake.estimate if stated is None else stated)
    for effect in RESTATING:
        assert move(effect, stake, stated).project == (stake.project if stated is None else stated)


@given(stakes(), figures)
def test_while_it_renders_what_it_may_still_cost_stays_reserved(stake: Stake, stated: int | None) -> None:
    full = Stake(stake.worst, 0, stake.worst, stake.estimate)
    charged = move(Effect.CHARGE, full, stated)
    assert charged.project + charged.reserved == max(full.worst, charged.project)
    adjusted = move(Effect.ADJUST, Stake(charged.reserved, charged.project, full.worst, full.estimate), stated)
    assert adjusted.entries == ()


@given(stakes(), credits)
def test_only_what_comes_back_at_a_bad_end_is_a_refund(stake: Stake, stated: int) -> None:
    for effect in RESTATING:
        kind = next((kind for kind, _ in move(effect, stake, stated).entries if kind in MONEY_KINDS), None)
        if stated == stake.project:
            assert kind is None
        elif effect is Effect.REFUND and stated < stake.project:
            assert kind is EntryKind.REFUND
        else:
            assert kind is EntryKind.SETTLE


@given(stakes(), figures)
def test_an_end_leaves_nothing_reserved(stake: Stake, stated: int | None) -> None:
    for effect in (Effect.RELEASE, Effect.SETTLE, Effect.REFUND):
        assert move(effect, stake, stated).reserved == 0
    assert move(Effect.RELEASE, stake, stated).money == 0


@given(stakes(), figures)
def test_not_knowing_moves_nothing(stake: Stake, stated: int | None) -> None:
    for effect in (Effect.KEEP, Effect.NONE):
        moved = move(effect, stake, stated)
        assert (moved.entries, moved.reserved, moved.project) == ((), stake.reserved, stake.project)


@given(stakes(), figures)
def test_a_submission_reserves_the_worst_whatever_was_reserved(stake: Stake, stated: int | None) -> None:
    assert move(Effect.RESERVE, stake, stated).reserved == stake.worst


@given(st.lists(st.tuples(st.sampled_from(EntryKind), st.integers(-500, 500))))
def test_totals_say_the_sum_of_the_money(entries: list[tuple[EntryKind, int]]) -> None:
    found = totals([(kind.value, amount) for kind, amount in entries], estimated=7)
    assert found.net == sum(amount for kind, amount in entries if kind in MONEY_KINDS)
    assert found.reserved + found.net == sum(amount for _, amount in entries)
    assert found.estimated == 7


def test_no_entries_are_no_credits() -> None:
    assert totals([]) == Totals(0, 0, 0, 0)
    with pytest.raises(ValueError, match="tip"):
        totals([("tip", 1)])


# --- what frames cost ---


@pytest.mark.parametrize(
    ("seconds", "fps", "mode", "wanted"),
    [
        (0.1, 30, Mode.LITE, 3),
        (8.3, 30, Mode.LITE, 249),  # 249.00000000000003 in floating point
        (0.7, 30, Mode.LITE, 21),
        (1.1, 30, Mode.PRO, 66),
        (2.0, 23.976, Mode.STANDARD, 48),
        (10.01, 29.97, Mode.LITE, 300),
        (0.0, 30, Mode.PRO, 0),
        (0.001, 30, Mode.LITE, 1),
        (600, 60, Mode.PRO, 72_000),
    ],
)
def test_frames_are_counted_exactly(seconds: float, fps: float, mode: Mode, wanted: int) -> None:
    assert frames_cost(seconds, fps, mode) == wanted


@given(
    st.decimals(0, 7200, places=3, allow_nan=False),
    st.decimals(1, 120, places=3, allow_nan=False),
    st.sampled_from(Mode),
)
def test_frames_are_what_a_person_gets_with_a_pencil(seconds: Decimal, fps: Decimal, mode: Mode) -> None:
    frames = int((seconds * fps).to_integral_value(ROUND_CEILING))
    assert frames_cost(float(seconds), float(fps), mode) == frames * (2 if mode is Mode.PRO else 1)


@given(st.integers(0, 100_000), st.integers(1, 100_000))
def test_a_clip_costs_the_same_wherever_it_starts(start: int, length: int) -> None:
    """In hundredths of a second: the difference of two decimals is exact too."""
    at = estimate(start / 100, (start + length) / 100, Mode.LITE)
    assert at == math.ceil(length * 30 / 100) == estimate(0.0, length / 100, Mode.LITE)


@given(
    st.decimals(0, 100, places=2),
    st.decimals("0.01", 100, places=2),
    st.sampled_from(Mode),
    st.none() | st.floats(1, 120),
    st.none() | st.floats(1, 120),
)
def test_the_worst_is_never_less_than_the_estimate(
    start: Decimal, length: Decimal, mode: Mode, max_fps: float | None, source_fps: float | None
) -> None:
    begin, end = float(start), float(start + length)
    least, most = estimate(begin, end, mode), worst(begin, end, mode, max_fps, source_fps)
    assert most >= least
    fps = [rate for rate in (max_fps, source_fps) if rate is not None]
    if fps and min(fps) <= 30:
        assert most == least
    elif fps:
        assert most == frames_cost(float(length), min(fps), mode)


def test_a_true_frame_rate_above_thirty_is_the_worst() -> None:
    assert worst(0, 2, Mode.LITE, None, 60) == 120
    assert worst(0, 2, Mode.LITE, 50, 60) == 100
    assert worst(0, 2, Mode.LITE, 12, 60) == 60
    assert worst(0, 2, Mode.LITE, 120, None) == 240
    assert worst(0, 2, Mode.LITE, None, None) == 60
