"""Submissions at the brink: an intent whose lease has run out doesn't leave any more."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger.book import ESTIMATE, Hands, add, columns, jobs, make_ready, open_blank, start_run
from unit.runner.test_floor import RUN, Straight

from batchsync.ledger.ledger import Ledger
from batchsync.runner.floor import LEASE_SECONDS, Floor
from batchsync.runner.follow import Looks
from batchsync.runner.options import RunOptions, Stopped
from batchsync.runner.submit import Submissions
from batchsync.vendor.port import Created, SubmitRequest, Submitted


class Counting:
    """A vendor that makes a project of everything."""

    def __init__(self) -> None:
        self.asked = 0

    async def submit(self, request: SubmitRequest) -> Submitted:
        self.asked += 1
        return Created("p1", ESTIMATE, 200)


@pytest.mark.parametrize(("slept", "sent"), [(LEASE_SECONDS - 1, 1), (LEASE_SECONDS, 0)])
async def test_a_process_that_slept_over_its_lease_sends_nothing_late(
    tmp_path: Path, slept: float, sent: int
) -> None:
    """A laptop that was closed in that very moment: another process may have judged the job meanwhile."""
    path, clock, vendor = tmp_path / "batchsync.db", Hands(), Counting()
    with open_blank(path, clock) as ledger:
        await _submit_after(ledger, clock, vendor, slept)
        assert vendor.asked == sent
        assert columns(path, 1, "state") == (("rendering",) if sent else ("uploaded",))
        assert columns(path, 1, "reserved + net > 0") == (sent,)


@pytest.mark.parametrize("why", [Stopped.MAX_FAILURES, Stopped.OUT_OF_CREDITS, Stopped.UNAUTHORIZED])
async def test_an_intent_does_not_leave_once_nothing_new_is_to_be_submitted(tmp_path: Path, why: Stopped) -> None:
    """Written down in the moment in which another job failed: it costs nothing yet, so it stays here."""
    path, clock, vendor = tmp_path / "batchsync.db", Hands(), Counting()
    with open_blank(path, clock) as ledger:
        await _submit_after(ledger, clock, vendor, 0, why)
        assert vendor.asked == 0
        assert columns(path, 1, "state, reserved, net") == ("uploaded", 0, 0)


async def _submit_after(
    ledger: Ledger, clock: Hands, vendor: Counting, seconds: float, closed: Stopped | None = None
) -> None:
    add(ledger, jobs(1))
    start_run(ledger, RUN)
    make_ready(ledger, RUN, 1)
    floor = Floor(Straight(ledger, RUN), vendor, RunOptions(), clock, "scope")  # type: ignore[arg-type]
    submissions, following = Submissions(floor, None), Looks(floor).stage()
    (intent,) = await submissions.claim(1)
    clock.at += seconds
    if closed is not None:
        floor.close(closed)
    await submissions.work(intent)
    assert len(following.handed) == vendor.asked, "what was created is followed without another claim"
