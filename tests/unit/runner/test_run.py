"""A whole run, in this process: what no other process could be made to meet at the right moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledger.book import Hands, add, jobs, open_blank, start_run
from program import KEY

from batchsync.errors import DiskFull
from batchsync.ledger.ledger import Ledger, Writes
from batchsync.model.states import Shown, State
from batchsync.runner import run
from batchsync.runner.options import RunOptions
from batchsync.runner.run import Run
from batchsync.runner.snapshot import Snapshot
from batchsync.sandbox.serve import Sandbox
from batchsync.vendor.magichour import MagicHour


async def run_to_its_end(path: Path, sandbox: Sandbox) -> Snapshot:
    """Run two jobs of a new ledger."""
    vendor = MagicHour(sandbox.api_url, KEY)
    with Ledger(str(path), create=True) as ledger:
        add(ledger, jobs(2), output_dir=str(path.parent))
        options = RunOptions(poll_interval=0.2)
        end = await Run(ledger, vendor, options, manifest_id=None, api_url=sandbox.api_url)()
    await vendor.aclose()
    return end


@pytest.mark.parametrize("what", ["take_on", "balance"])
async def test_a_disk_that_is_full_where_a_run_would_end_ends_it_in_order(
    what: str, path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, times = getattr(Writes, what), 0

    def full(self: Writes, *arguments: Any) -> Any:
        nonlocal times
        times += 1
        if times > 1:  # the first is that of the beginning
            raise DiskFull("no room left for the ledger")
        return before(self, *arguments)

    monkeypatch.setattr(Writes, what, full)
    end = await run_to_its_end(path, sandbox)
    assert times > 1, "it came to that"
    assert (end.counts[Shown.COMPLETE], end.stopped) == (2, None), "all is done, as it turns out"


@pytest.mark.parametrize("fault", ["account:rate_limit(retry_after=2):times=1", "account:rate_limit(none):times=3"])
async def test_an_account_that_is_over_its_limit_at_the_start_is_waited_for(
    fault: str, path: Path, start_sandbox: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers: the patience with a vendor that is out of reach at the start is for another."""
    monkeypatch.setattr(run, "START_PATIENCE_SECONDS", 1.2)
    end = await run_to_its_end(path, start_sandbox(fault))
    assert (end.counts[Shown.COMPLETE], end.stopped) == (2, None)


def test_a_run_knows_until_when_others_may_have_looked(path: Path, clock: Hands) -> None:
    with open_blank(path, clock) as ledger:
        add(ledger, jobs(2))
        assert ledger.read(lambda v: v.others("run-b")) == (0.0, 0.0)
        start_run(ledger, "run-a")
        ledger.write(lambda w: w.claim("run-a", State.PLANNED, 1, 60.0), "run-a")
        assert ledger.read(lambda v: v.others("run-b")) == (0.0, clock.at + 60.0)
        assert ledger.read(lambda v: v.others("run-a")) == (0.0, 0.0)
        ledger.write(lambda w: (w.release("run-a"), w.end_run(None)), "run-a")
        assert ledger.read(lambda v: v.others("run-b")) == (clock.at, 0.0)
