"""What a run is told to do, and why it may end early."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Literal


class Stopped(StrEnum):
    """Why a run ended with unfinished jobs left. Users' scripts read these words."""

    SIGNAL = "signal"
    UNTIL = "until"
    MAX_DURATION = "max-duration"
    MAX_CREDITS = "max-credits"
    MAX_FAILURES = "max-failures"
    LIMIT = "limit"
    OUT_OF_CREDITS = "out-of-credits"
    UNAUTHORIZED = "unauthorized"
    UNREACHABLE = "unreachable"
    DISK_FULL = "disk-full"


@dataclass(frozen=True, slots=True)
class Failures:
    """How many failures a run bears: so many, or a `share` (0 to 1) of its jobs."""

    count: int | None = None
    share: Fraction | None = None

    def of(self, jobs: int) -> int:
        """The failure after which nothing new is submitted, of a run of `jobs` jobs."""
        if self.count is not None:
            return self.count
        return max(1, math.ceil((self.share or 0) * jobs))


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Times in seconds, `rate` in requests per second, `max_credits` in credits; None is no limit.

    `output_dir` None leaves each job's own; `until` is a time in epoch seconds.
    """

    output_dir: Path | None = None
    rate: float | None = None
    max_in_flight: int = 100
    transfers: int = 8
    poll_interval: float = 5.0
    patience: float = 3600.0
    max_credits: int | None = None
    max_failures: Failures | None = None
    until: float | None = None
    max_duration: float | None = None
    limit: int | None = None
    on_ambiguous: Literal["hold", "resubmit"] = "hold"
    on_out_of_credits: Literal["stop", "wait"] = "stop"
    plain_names: bool = False
