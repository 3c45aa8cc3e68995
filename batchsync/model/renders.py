"""How long renders usually take, and from when on one counts as stalled. Pure."""

from __future__ import annotations

from dataclasses import dataclass

USUAL_SECONDS = 229.0  # the vendor's published median from creation to completion, 30 days to 2026-07-20
ENOUGH_RENDERS = 20  # from so many on, a ledger's own median says more than the vendor's published one
STALLED_FACTOR = 16.0  # about an hour
STALLED_SECONDS_PER_SECOND = 20.0  # and longer for a long clip


@dataclass(frozen=True, slots=True)
class RenderKind:
    """What tells how long a render may take before it is seen: its mode, and how long its clip is in seconds."""

    mode: str
    clip_seconds: float


def stalled_after(clip_seconds: float) -> float:
    """Seconds after its submission from which on a render of a clip of `clip_seconds` counts as stalled."""
    return STALLED_FACTOR * USUAL_SECONDS + STALLED_SECONDS_PER_SECOND * clip_seconds
