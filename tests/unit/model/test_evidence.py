"""What a balance says about lost submissions: never more than follows from it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.model.evidence import Doubt, Evidence, Finding, Reading, Weighed, costs_of, weigh
from batchsync.model.job import Mode

START, SENT, END = 1000.0, 2000.0, 3000.0
SETTLING_SECONDS = 20.0
ENTRIES = {START: 10, SENT: 20, END: 30}  # the newest credit entry at those times


def doubt(number: int, *costs: int, at: float = SENT, held: bool = True, entry: int = 15) -> Doubt:
    return Doubt(number, f"job-{number}", "abcdef", held, at, entry, SETTLING_SECONDS, frozenset(costs))


def reading(at: float, credits: int, **more: Any) -> Reading:
    fields: dict[str, Any] = {"account_id": "acc", "last_entry": ENTRIES.get(at, 20), "quiet": True} | more
    return Reading(at, credits=credits, **fields)


def judged(
    doubts: list[Doubt], lost: int, known: int | None = 0, loose: Sequence[frozenset[int]] = ()
) -> dict[str, Finding]:
    """What is found where the account lost `lost` credits, `known` of them by known jobs."""
    line = [reading(START, 10_000), reading(END, 10_000 - lost)]
    found = weigh(Evidence(doubts, line, lambda a, b: known, loose))
    return {weighed.doubt.job_id: weighed.finding for weighed in found}


def test_one_lost_answer_is_judged_by_what_is_unexplained() -> None:
    assert judged([doubt(1, 60, 50)], lost=100, known=100) == {"job-1": Finding.NOT_CREATED}
    assert judged([doubt(1, 60, 50)], lost=160, known=100) == {"job-1": Finding.CREATED}
    assert judged([doubt(1, 60, 50)], lost=150, known=100) == {"job-1": Finding.CREATED}
    assert judged([doubt(1, 60, 50)], lost=155, known=100) == {"job-1": Finding.OPEN}
    assert judged([doubt(1, 60, 50)], lost=40, known=100) == {"job-1": Finding.OPEN}  # it was filled up


def test_several_are_told_apart_where_their_costs_differ() -> None:
    pair = [doubt(1, 60), doubt(2, 45)]
    assert judged(pair, 60) == {"job-1": Finding.CREATED, "job-2": Finding.NOT_CREATED}
    assert judged(pair, 45) == {"job-1": Finding.NOT_CREATED, "job-2": Finding.CREATED}
    assert judged(pair, 105) == {"job-1": Finding.CREATED, "job-2": Finding.CREATED}
    assert judged(pair, 0) == {"job-1": Finding.NOT_CREATED, "job-2": Finding.NOT_CREATED}
    twins = [doubt(1, 60), doubt(2, 60)]
    assert set(judged(twins, 60).values()) == {Finding.OPEN}
    assert set(judged(twins, 120).values()) == {Finding.CREATED}


def test_a_lost_submission_that_was_settled_otherwise_may_explain_it_too() -> None:
    """Abandoned, or sent again as somebody wished: what it cost is unknown all the same."""
    assert judged([doubt(1, 60), doubt(2, 60, held=False)], 60) == {"job-1": Finding.OPEN}


def test_an_older_one_may_settle_or_come_back_meanwhile() -> None:
    older = doubt(1, 60, 50, at=START - 500, entry=5)
    assert judged([older, doubt(2, 60)], 50)["job-2"] is Finding.CREATED  # and the older settled at 50
    assert judged([older, doubt(2, 10)], 0)["job-2"] is Finding.OPEN  # created, as the older settled 10 lower: or not


def test_one_sent_just_before_the_first_balance_may_have_been_taken_after_it() -> None:
    late = doubt(1, 60, at=START - SETTLING_SECONDS + 1, entry=9)
    assert judged([late, doubt(2, 60)], 60)["job-2"] is Finding.OPEN


def test_what_nobody_follows_any_more_may_have_come_back_unnoticed() -> None:
    """A project that had failed and was refunded only later hides one that was created."""
    assert judged([doubt(1, 60)], 0, loose=[frozenset({0, -60})]) == {"job-1": Finding.OPEN}
    assert judged([doubt(1, 60)], 0, loose=[frozenset({0, -45})]) == {"job-1": Finding.NOT_CREATED}


def test_a_charge_that_was_booked_late_makes_the_sums_worthless() -> None:
    assert judged([doubt(1, 60)], 0, known=None) == {"job-1": Finding.OPEN}


def test_the_nearest_quiet_balances_count() -> None:
    line = [
        reading(0.0, 99, last_entry=1),
        reading(START, 1000, last_entry=3),
        reading(SENT - 1, 5, quiet=False, last_entry=9),
        reading(SENT + SETTLING_SECONDS - 1, 5, last_entry=16),
        reading(SENT + SETTLING_SECONDS, 940, last_entry=18),
        reading(SENT + 500, 7, last_entry=20),
        reading(END, 3),
    ]
    asked = []

    def known(after: int, upto: int) -> int:
        asked.append((after, upto))
        return 0

    (found,) = weigh(Evidence([doubt(1, 60)], line, known))
    assert found.finding is Finding.CREATED
    assert asked == [(3, 18)]
    assert found.span is not None
    assert (found.span.lost, found.span.unexplained) == (60, 60)


def test_a_clock_that_was_set_back_puts_no_balance_before_what_it_came_after() -> None:
    line = [reading(START, 1000), reading(START + 1, 940, last_entry=16), reading(END, 940)]
    (found,) = weigh(Evidence([doubt(1, 60)], line, lambda a, b: 0))
    assert (found.finding, found.span and found.span.first.credits) == (Finding.CREATED, 1000)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ([reading(END, 1)], "no balance was recorded before it"),
        ([reading(START, 1, quiet=False), reading(END, 1)], "no balance was recorded before it"),
        ([reading(START, 1), reading(END, 1, quiet=False)], "no balance after it at which nothing was in flight"),
        ([reading(START, 1), reading(SENT + 1, 1)], "no balance after it at which nothing was in flight"),
        ([reading(START, 1), reading(END, 1, account_id="other")], "more than one account"),
    ],
)
def test_where_there_is_nothing_to_compare_nothing_is_said(line: list[Reading], why: str) -> None:
    (found,) = weigh(Evidence([doubt(1, 60)], line, lambda a, b: 0))
    assert (found.finding, found.span) == (Finding.OPEN, None)
    assert why in found.why


costs = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=2), min_size=1, max_size=5)


@given(costs, st.integers(-5, 40))
def test_it_never_says_more_than_follows(costs: list[list[int]], lost: int) -> None:
    """Against every choice of which were created, and at which cost."""
    doubts = [doubt(n, *amounts) for n, amounts in enumerate(costs)]
    ways = [
        chosen
        for chosen in itertools.product(*[(0, *sorted(set(amounts))) for amounts in costs])
        if sum(chosen) == lost
    ]
    for n, (job, finding) in enumerate(judged(doubts, lost).items()):
        made = {chosen[n] > 0 for chosen in ways}
        wanted = {frozenset({True}): Finding.CREATED, frozenset({False}): Finding.NOT_CREATED}
        assert finding is wanted.get(frozenset(made), Finding.OPEN), job


def test_many_at_once_are_judged_soon() -> None:
    doubts = [doubt(n, 5000 + n, 4000 + n) for n in range(100)]
    found = judged(doubts, 0)
    assert set(found.values()) == {Finding.NOT_CREATED}


def test_what_it_may_have_cost() -> None:
    assert costs_of(0, 2, Mode.LITE, None, 25.0) == {60, 50}
    assert costs_of(0, 2, Mode.PRO, 10.0, 25.0) == {120, 40}
    assert costs_of(1.0, 1.1, Mode.LITE, None, 30.0) == {3}
    unknown = costs_of(0, 2, Mode.LITE, None, None)
    assert {48, 50, 60, 120} <= unknown
    assert costs_of(0, 2, Mode.LITE, 25.0, None) == {60, 50, 48}


def test_only_held_ones_are_judged() -> None:
    found: list[Weighed] = weigh(Evidence([doubt(1, 60, held=False)], [reading(END, 1)], lambda a, b: 0))
    assert found == []
