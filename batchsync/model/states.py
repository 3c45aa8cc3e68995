"""The state machine, declared once, as data: TRANSITIONS. Everything else about states is derived from it.

A state exists only where a crash must be treated differently. Being worked on is a lease, and waiting
before the next try is `not_before`; neither is a state.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a job stands in the ledger."""

    PLANNED = "planned"  # known; its files may not be at the vendor
    UPLOADED = "uploaded"  # its files are at the vendor; not submitted
    SUBMITTING = "submitting"  # the intent is on disk; the outcome is not
    HELD = "held"  # nobody knows whether the last submission made a project
    RENDERING = "rendering"  # a project exists; it is followed
    RENDERED = "rendered"  # the vendor has finished; the output is not here yet
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELED = "canceled"


UNFINISHED = frozenset({State.PLANNED, State.UPLOADED, State.SUBMITTING, State.RENDERING, State.RENDERED})
AT_VENDOR = frozenset({State.SUBMITTING, State.RENDERING})
NOT_SUBMITTED = frozenset({State.PLANNED, State.UPLOADED})


class Event(StrEnum):
    """What can happen to a job."""

    ADDED = "added"
    CHANGED = "changed"
    ASSETS_READY = "assets_ready"
    ASSETS_EXPIRED = "assets_expired"
    SUBMIT_STARTED = "submit_started"
    SUBMIT_ACCEPTED = "submit_accepted"
    SUBMIT_DEFERRED = "submit_deferred"
    SUBMIT_REFUSED = "submit_refused"
    SUBMIT_LOST = "submit_lost"
    STRAY_PROJECT = "stray_project"
    RESOLVED_FOUND = "resolved_found"
    RESOLVED_ABSENT = "resolved_absent"
    CLAIM_REFUTED = "claim_refuted"
    ABANDONED = "abandoned"
    STILL_RENDERING = "still_rendering"
    RENDER_DONE = "render_done"
    RENDER_FAILED = "render_failed"
    VENDOR_CANCELED = "vendor_canceled"
    LOOK_AGAIN = "look_again"
    OUTPUT_SAVED = "output_saved"
    ATTEMPT_FAILED = "attempt_failed"
    GAVE_UP = "gave_up"
    RETRY_RENDER = "retry_render"
    RETRY_FOLLOW = "retry_follow"


class Effect(StrEnum):
    """What an event does to the job's credits."""

    NONE = "none"
    RESERVE = "reserve"  # reserve what the job may cost
    FOLLOW = "follow"  # reserve what its living project may still cost
    RELEASE = "release"  # release whatever is reserved
    KEEP = "keep"  # nobody knows: the reserve stays
    CHARGE = "charge"  # charge as stated; keep reserved what it may still cost beyond that
    UNCHARGE = "uncharge"  # take a charge back that never was, and reserve again: nobody knows
    ADJUST = "adjust"  # bring the project's entries to what the vendor states now
    SETTLE = "settle"  # likewise, and release what is reserved: nothing more is at risk
    REFUND = "refund"  # likewise, and what comes back is a refund


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: states the event may come in, the state it leads to (None: it stays), its effect on credits."""

    sources: frozenset[State]
    to: State | None
    effect: Effect = Effect.NONE


def _row(*sources: State, to: State | None, effect: Effect = Effect.NONE) -> Transition:
    return Transition(frozenset(sources), to, effect)


S = State
TRANSITIONS: dict[Event, Transition] = {
    Event.CHANGED: _row(S.PLANNED, S.UPLOADED, to=S.PLANNED),
    Event.ASSETS_READY: _row(S.PLANNED, to=S.UPLOADED),
    Event.ASSETS_EXPIRED: _row(S.UPLOADED, to=S.PLANNED),
    Event.SUBMIT_STARTED: _row(S.UPLOADED, to=S.SUBMITTING, effect=Effect.RESERVE),
    # A late answer to the newest submission is proof enough, whatever was believed of it meanwhile.
    Event.SUBMIT_ACCEPTED: _row(
        S.SUBMITTING, S.HELD, S.PLANNED, S.UPLOADED, S.FAILED, to=S.RENDERING, effect=Effect.CHARGE
    ),
    Event.SUBMIT_DEFERRED: _row(S.SUBMITTING, S.HELD, to=S.UPLOADED, effect=Effect.RELEASE),
    Event.SUBMIT_REFUSED: _row(S.SUBMITTING, S.HELD, to=S.FAILED, effect=Effect.RELEASE),
    Event.SUBMIT_LOST: _row(S.SUBMITTING, to=S.HELD, effect=Effect.KEEP),
    # An answer that came after the job had gone another way: noted and counted, not followed.
    Event.STRAY_PROJECT: _row(*State, to=None),
    Event.RESOLVED_FOUND: _row(S.HELD, to=S.RENDERING, effect=Effect.CHARGE),
    Event.RESOLVED_ABSENT: _row(S.HELD, to=S.UPLOADED, effect=Effect.RELEASE),
    # The vendor knows no such project as a person had named: all is as it was before.
    Event.CLAIM_REFUTED: _row(S.RENDERING, to=S.HELD, effect=Effect.UNCHARGE),
    Event.ABANDONED: _row(S.HELD, to=S.FAILED, effect=Effect.RELEASE),
    Event.STILL_RENDERING: _row(S.RENDERING, to=None, effect=Effect.ADJUST),
    Event.RENDER_DONE: _row(S.RENDERING, to=S.RENDERED, effect=Effect.SETTLE),
    Event.RENDER_FAILED: _row(S.RENDERING, S.RENDERED, to=S.FAILED, effect=Effect.REFUND),
    Event.VENDOR_CANCELED: _row(S.RENDERING, S.RENDERED, to=S.CANCELED, effect=Effect.REFUND),
    Event.LOOK_AGAIN: _row(S.RENDERED, to=S.RENDERING),
    Event.OUTPUT_SAVED: _row(S.RENDERED, to=S.COMPLETE),
    Event.ATTEMPT_FAILED: _row(S.PLANNED, S.UPLOADED, S.RENDERING, S.RENDERED, to=None, effect=Effect.ADJUST),
    # Whatever was reserved beyond the charge is given up with the job: it is followed no more.
    Event.GAVE_UP: _row(S.PLANNED, S.UPLOADED, S.RENDERING, S.RENDERED, to=S.FAILED, effect=Effect.RELEASE),
    Event.RETRY_RENDER: _row(S.FAILED, S.CANCELED, to=S.PLANNED),
    Event.RETRY_FOLLOW: _row(S.FAILED, to=S.RENDERING, effect=Effect.FOLLOW),  # its project lives: never a new one
}
del S


def allowed(event: Event, state: State) -> bool:
    """Whether `event` may come to a job in `state`."""
    return state in TRANSITIONS[event].sources


def next_state(event: Event, state: State) -> State:
    """The state after `event`; raises KeyError for `added`, which makes a job rather than moving one."""
    return TRANSITIONS[event].to or state


class Shown(StrEnum):
    """The states that users and their scripts see, in the order of a job's life."""

    PENDING = "pending"
    UPLOADING = "uploading"
    SUBMITTING = "submitting"
    QUEUED = "queued"
    RENDERING = "rendering"
    DOWNLOADING = "downloading"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELED = "canceled"
    HELD = "held"


def shown(state: State, vendor_status: str | None, leased: bool) -> Shown:
    """What a user sees: derived from the state, the vendor's own word, and whether it is being worked on."""
    if state is State.PLANNED:
        return Shown.UPLOADING if leased else Shown.PENDING
    if state is State.UPLOADED:
        return Shown.PENDING
    if state is State.RENDERING:
        return Shown.QUEUED if vendor_status in (None, "draft", "queued") else Shown.RENDERING
    if state is State.RENDERED:
        return Shown.DOWNLOADING
    return Shown(state.value)


def may_be_shown(state: State, names: Collection[str]) -> bool:
    """Whether a job in `state` may be shown as one of `names`, whatever else is known of it."""
    return any(shown(state, status, leased) in names for status in (None, "rendering") for leased in (True, False))
