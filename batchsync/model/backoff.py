"""How long to wait before the next try: exponential, bounded, with jitter. Pure."""

from __future__ import annotations

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0
LONGEST_RETRY_AFTER = 15 * 60.0


def delay(tries: int, roll: float, retry_after: float | None = None) -> float:
    """Seconds to wait after the `tries`-th failure in a row (from 1).

    `roll` is a random number from [0, 1) for the jitter; `retry_after` is the vendor's own wish in seconds,
    kept as the least wait, but an absurd one is cut to a quarter of an hour.
    """
    ceiling = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(max(tries, 1) - 1, 16))
    wait = ceiling * (0.5 + 0.5 * roll)
    if retry_after is None:
        return wait
    return max(wait, min(max(retry_after, 0.0), LONGEST_RETRY_AFTER))
