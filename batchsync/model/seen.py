"""What a ledger has seen that helps to foresee the next run."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from batchsync.model.job import Mode


@dataclass(frozen=True, slots=True)
class Settled:
    """Complete jobs whose frame rate nobody had known: what the vendor took at first, and what it took in the end."""

    estimated: int
    settled: int


@dataclass(frozen=True, slots=True)
class Seen:
    """`at_vendor` are the uploads that are there still, as (kind, digest): None where the account isn't known.

    `used_this_month` is in credits; `render_seconds` the median of `renders` renders, from submission to completion.
    """

    at_vendor: AbstractSet[tuple[str, str]] | None = None
    tier: str | None = None
    used_this_month: int = 0
    settled: Mapping[Mode, Settled] = field(default_factory=dict)
    renders: int = 0
    render_seconds: float | None = None
