"""What runs find out of the vendor's limits is there for the runs beside them, and for tomorrow's."""

from __future__ import annotations

from ledger.book import Hands

from batchsync.ledger.ledger import Ledger
from batchsync.ledger.paces import BESIDE_SECONDS, KEPT_SECONDS

SCOPE = "account-1"


def note(ledger: Ledger, run: str, limit: float) -> float:
    return ledger.write(lambda w: w.note_pace(SCOPE, run, limit))


def leave(ledger: Ledger, run: str, limit: float) -> None:
    ledger.write(lambda w: w.leave_pace(SCOPE, run, limit))


def known(ledger: Ledger, scope: str = SCOPE) -> float | None:
    return ledger.read(lambda v: v.pace(scope))


def test_nothing_is_known_of_an_account_that_never_said_no(ledger: Ledger) -> None:
    assert known(ledger) is None
    leave(ledger, "a", 8.0)
    assert known(ledger, "account-2") is None


def test_a_run_alone_leaves_its_limit_for_a_week(ledger: Ledger, clock: Hands) -> None:
    assert note(ledger, "a", 9.0) == 9.0
    clock.at += 3600
    leave(ledger, "a", 8.0)
    assert known(ledger) == 8.0
    clock.at += KEPT_SECONDS - 1
    assert known(ledger) == 8.0
    clock.at += 2
    assert known(ledger) is None
    assert note(ledger, "b", 3.0) == 3.0, "nor does it count any more"


def test_runs_side_by_side_have_the_same_share(ledger: Ledger, clock: Hands) -> None:
    note(ledger, "a", 9.0)
    assert known(ledger) == 4.5, "one that comes takes half"
    assert note(ledger, "b", 3.0) == 6.0
    assert note(ledger, "a", 6.0) == 4.5
    assert known(ledger) == 3.0
    clock.at += BESIDE_SECONDS + 1
    assert note(ledger, "b", 4.5) == 4.5, "one that wants no more has no share"


def test_what_runs_had_together_is_there_when_they_end_together(ledger: Ledger, clock: Hands) -> None:
    note(ledger, "a", 5.0)
    note(ledger, "b", 5.0)
    leave(ledger, "a", 5.0)
    assert known(ledger) == 5.0, "half of ten, as b goes on"
    clock.at += 1
    leave(ledger, "b", 5.0)
    assert known(ledger) == 10.0
