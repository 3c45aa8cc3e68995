"""What runs have found out of how fast the vendor lets them go: for the runs beside them, and for tomorrow's.

One row of `info` for each account, `pace:SCOPE`, holds JSON: `limit`, what all runs together were let through (in
requests per second); `at`, when that was; `runs`, by run its own limit and when it was held up by it (epoch seconds).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from batchsync.ledger.engine import upsert
from batchsync.ledger.moves import Moves
from batchsync.ledger.tables import Info

KEPT_SECONDS = 7 * 24 * 3600.0
BESIDE_SECONDS = 45.0  # a run that was held up so recently wants its share still


@dataclass(frozen=True, slots=True)
class Pace:
    """What all runs together are let through (None: nobody knows), since when, and the runs that are held up now."""

    limit: float | None = None
    at: float = 0.0
    beside: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def share(self) -> float | None:
        """What one more run may start with."""
        return None if self.limit is None else self.limit / (len(self.beside) + 1)


class Paces(Moves):
    """Writes down what runs have found out."""

    def note_pace(self, scope: str, run_id: str, limit: float) -> float:
        """Note the limit of a run that is held up by it; returns its fair share, the mean of those who are."""
        runs = read_pace(self.connection, scope, self.now).beside | {run_id: (limit, self.now)}
        limits = [each for each, _ in runs.values()]
        self._put_pace(scope, sum(limits), runs)
        return sum(limits) / len(limits)

    def leave_pace(self, scope: str, run_id: str, limit: float) -> None:
        """Note a run's limit for the next one, as it ends; those beside it share what it leaves."""
        found = read_pace(self.connection, scope, self.now)
        beside = {run: pace for run, pace in found.beside.items() if run != run_id}
        # What was noted a moment ago for all runs together holds, though some of them have ended since.
        fresh = found.at > self.now - BESIDE_SECONDS
        self._put_pace(scope, max(limit, found.limit or 0.0) if fresh else limit, beside)

    def _put_pace(self, scope: str, limit: float, runs: dict[str, tuple[float, float]]) -> None:
        value = json.dumps({"limit": limit, "at": self.now, "runs": runs})
        upsert(self.connection, Info, [{"name": _name(scope), "value": value}], ["name"])


def read_pace(connection: Connection, scope: str, now: float) -> Pace:
    """What is known of the pace of an account; nothing if that is too long ago."""
    value = connection.execute(select(Info.value).where(Info.name == _name(scope))).scalar()
    row = {} if value is None else json.loads(value)
    if row.get("at", 0.0) < now - KEPT_SECONDS:
        return Pace()
    beside = {run: (limit, at) for run, (limit, at) in row["runs"].items() if at > now - BESIDE_SECONDS}
    return Pace(row["limit"], row["at"], beside)


def _name(scope: str) -> str:
    return f"pace:{scope}"
