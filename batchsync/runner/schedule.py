"""When to look at a render next. Pure."""

from __future__ import annotations

GROWTH = 0.15  # the next gap as a share of the render's age: the lag stays in proportion to the wait
LONGEST_GAP_SECONDS = 30.0


def next_look(submitted_at: float, now: float, poll_interval: float) -> float:
    """The time of the next look at a project that was submitted at `submitted_at`; all in epoch seconds."""
    age = max(0.0, now - submitted_at)
    return now + max(poll_interval, min(LONGEST_GAP_SECONDS, age * GROWTH))
