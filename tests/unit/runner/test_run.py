"""A whole run, in this process: what no other process could be made to meet at the right moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledger.book import add, jobs
from program import KEY

from batchsync.errors import DiskFull
from batchsync.ledger.ledger import Ledger, Writes
from batchsync.model.states import Shown
from batchsync.runner.options import RunOptions
from batchsync.runner.run import Run
from batchsync.sandbox.serve import Sandbox
from batchsync.vendor.magichour import MagicHour

pytestmark = pytest.mark.anyio


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
    vendor = MagicHour(sandbox.api_url, KEY)
    with Ledger(str(path), create=True) as ledger:
        add(ledger, jobs(2), output_dir=str(path.parent))
        options = RunOptions(poll_interval=0.2)
        end = await Run(ledger, vendor, options, manifest_id=None, api_url=sandbox.api_url)()
    await vendor.aclose()

    assert times > 1, "it came to that"
    assert (end.counts[Shown.COMPLETE], end.stopped) == (2, None), "all is done, as it turns out"
