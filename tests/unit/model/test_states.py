"""The table of states: complete, with a way out of every state but the good end, and money moving where it should."""

from __future__ import annotations

import itertools

import pytest

from batchsync.model.states import (
    AT_VENDOR,
    NOT_SUBMITTED,
    TRANSITIONS,
    UNFINISHED,
    Effect,
    Event,
    Shown,
    State,
    allowed,
    may_be_shown,
    next_state,
    shown,
)

BY_HAND = {Event.RESOLVED_FOUND, Event.RESOLVED_ABSENT, Event.ABANDONED, Event.RETRY_RENDER, Event.RETRY_FOLLOW}
LATE = {Event.SUBMIT_ACCEPTED, Event.SUBMIT_DEFERRED, Event.SUBMIT_REFUSED}


def targets(state: State, without: set[Event] = frozenset()) -> set[State]:  # type: ignore[assignment]
    return {next_state(event, state) for event in TRANSITIONS if event not in without and allowed(event, state)}


def reachable(start: State, without: set[Event] = frozenset()) -> set[State]:  # type: ignore[assignment]
    found, edge = {start}, {start}
    while edge:
        edge = {after for state in edge for after in targets(state, without)} - found
        found |= edge
    return found


def test_every_event_but_the_first_has_a_row() -> None:
    assert set(TRANSITIONS) == set(Event) - {Event.ADDED}
    assert all(row.sources for row in TRANSITIONS.values())


def test_a_job_can_get_everywhere_from_its_beginning() -> None:
    assert reachable(State.PLANNED) == set(State)


@pytest.mark.parametrize("state", [state for state in State if state is not State.COMPLETE])
def test_every_state_has_a_way_to_the_good_end(state: State) -> None:
    assert State.COMPLETE in reachable(state)


def test_nothing_comes_after_complete() -> None:
    assert targets(State.COMPLETE) == {State.COMPLETE}  # a stray project only


def test_every_unfinished_state_is_left_without_anybodys_help() -> None:
    for state in UNFINISHED:
        assert reachable(state, BY_HAND) - {state}, state


def test_a_held_job_is_let_go_only_by_a_person_or_by_its_own_late_answer() -> None:
    assert {event for event in TRANSITIONS if allowed(event, State.HELD)} == {
        Event.RESOLVED_FOUND,
        Event.RESOLVED_ABSENT,
        Event.ABANDONED,
        Event.STRAY_PROJECT,
        *LATE,
    }


def test_a_stray_project_is_noted_in_any_state_and_moves_none() -> None:
    assert TRANSITIONS[Event.STRAY_PROJECT].sources == set(State)
    assert TRANSITIONS[Event.STRAY_PROJECT].to is None


def test_a_held_job_is_never_submitted_again_on_its_own() -> None:
    assert State.SUBMITTING not in reachable(State.HELD, BY_HAND | LATE)


def test_failed_and_canceled_jobs_come_back_by_hand_only() -> None:
    for state in (State.FAILED, State.CANCELED):
        assert targets(state, BY_HAND | {Event.SUBMIT_ACCEPTED}) == {state}  # a stray project only
    assert targets(State.CANCELED, BY_HAND) == {State.CANCELED}
    # A late answer is proof that the job, given up by hand, has a project after all.
    assert targets(State.FAILED, BY_HAND) == {State.FAILED, State.RENDERING}
    assert not any(allowed(event, State.HELD) for event in (Event.RETRY_RENDER, Event.RETRY_FOLLOW))


def test_only_a_submission_reserves_and_only_from_uploaded() -> None:
    reserving = [event for event, row in TRANSITIONS.items() if row.effect is Effect.RESERVE]
    entering = [event for event, row in TRANSITIONS.items() if row.to is State.SUBMITTING]
    assert reserving == entering == [Event.SUBMIT_STARTED]
    assert TRANSITIONS[Event.SUBMIT_STARTED].sources == {State.UPLOADED}


def test_a_project_is_charged_for_exactly_when_it_is_found() -> None:
    charging = {event for event, row in TRANSITIONS.items() if row.effect is Effect.CHARGE}
    assert charging == {Event.SUBMIT_ACCEPTED, Event.RESOLVED_FOUND}
    entering = {event for event, row in TRANSITIONS.items() if row.to is State.RENDERING}
    assert entering == charging | {Event.LOOK_AGAIN, Event.RETRY_FOLLOW}


def test_nothing_stays_reserved_in_a_state_that_is_no_longer_at_risk() -> None:
    """Whatever leads to the end, or back before a submission, gives up the reserve or comes from where none is."""
    risky = {State.SUBMITTING, State.HELD, State.RENDERING}
    keeping = {Effect.NONE, Effect.KEEP, Effect.RESERVE, Effect.ADJUST, Effect.CHARGE}
    for event, row in TRANSITIONS.items():
        if row.to is not None and row.to not in risky and row.effect in keeping:
            assert not row.sources & risky, event


def test_losing_an_answer_keeps_the_reserve() -> None:
    assert TRANSITIONS[Event.SUBMIT_LOST].effect is Effect.KEEP
    assert [event for event, row in TRANSITIONS.items() if row.to is State.HELD] == [
        Event.SUBMIT_LOST,
        Event.CLAIM_REFUTED,  # what a person had said was wrong: held as before
    ]


def test_the_groups_of_states() -> None:
    ends = {State.COMPLETE, State.FAILED, State.CANCELED}
    assert set(State) == UNFINISHED | ends | {State.HELD}
    assert not UNFINISHED & (ends | {State.HELD})
    assert NOT_SUBMITTED | AT_VENDOR <= UNFINISHED
    assert not NOT_SUBMITTED & AT_VENDOR
    assert TRANSITIONS[Event.CHANGED].sources == NOT_SUBMITTED


EVERY_WAY = [
    (state, shown(state, status, leased))
    for state, status, leased in itertools.product(
        State,
        [None, "draft", "queued", "rendering", "complete", "error", "canceled", "deleted", "new"],
        [True, False],
    )
]


def test_every_job_is_shown_in_some_state() -> None:
    assert {seen for _, seen in EVERY_WAY} == set(Shown)


def test_where_to_look_for_jobs_that_are_shown_so() -> None:
    for state, name in itertools.product(State, Shown):
        assert may_be_shown(state, [name]) == ((state, name) in EVERY_WAY)


@pytest.mark.parametrize(
    ("state", "status", "leased", "wanted"),
    [
        (State.PLANNED, None, False, "pending"),
        (State.PLANNED, None, True, "uploading"),
        (State.UPLOADED, None, True, "pending"),
        (State.SUBMITTING, None, True, "submitting"),
        (State.HELD, None, False, "held"),
        (State.RENDERING, None, False, "queued"),
        (State.RENDERING, "queued", True, "queued"),
        (State.RENDERING, "rendering", False, "rendering"),
        (State.RENDERED, "complete", False, "downloading"),
        (State.COMPLETE, "complete", False, "complete"),
        (State.FAILED, "error", False, "failed"),
        (State.CANCELED, "canceled", False, "canceled"),
    ],
)
def test_what_a_user_sees(state: State, status: str | None, leased: bool, wanted: str) -> None:
    assert shown(state, status, leased) == wanted


def test_the_table_does_not_know_how_a_job_is_added() -> None:
    with pytest.raises(KeyError):
        next_state(Event.ADDED, State.PLANNED)
