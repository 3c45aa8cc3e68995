"""When to look at a render next. Pure."""

from __future__ import annotations

GROWTH = 0.15  # the next gap as a share of the render's age: the lag stays in proportion to the wait
LONGEST_GAP_SECONDS = 30.0
LONGEST_STALLED_GAP_SECONDS = 300.0


def next_look(submitted_at: float, now: float, poll_interval: float, *, stalled: bool = False) -> float:
    """The time of the next look at a project that was submitted at `submitted_at`; all in epoch seconds.

    A `stalled` one is looked at less and less often, but always again.
    """
    age = max(0.0, now - submitted_at)
    longest = LONGEST_STALLED_GAP_SECONDS if stalled else LONGEST_GAP_SECONDS
    return now + max(poll_interval, min(longest, age * GROWTH))
