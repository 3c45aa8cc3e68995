"""What the tests of crashes share: one nursery for all of them, and a batch at a sandbox for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crash.lives import Batch, Nursery
from program import KILLS

from batchsync.sandbox.serve import Sandbox

StartBatch = Callable[..., Batch]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as opened:
        yield opened


@pytest.fixture(scope="session")
def other_nursery() -> Iterator[Nursery]:
    """For a second life at the same time."""
    with Nursery() as opened:
        yield opened


@pytest.fixture
def start_batch(
    tmp_path: Path,
    start_sandbox: Callable[..., Sandbox],
    nursery: Nursery,
    record_property: Callable[[str, object], None],
) -> Iterator[StartBatch]:
    """Start the batch of a test: `start_batch("submit:cut_after:times=1", fps=25)`, as `start_sandbox` does."""
    started: list[Batch] = []

    def start(*faults: str, **settings: object) -> Batch:
        started.append(Batch(tmp_path, start_sandbox(*faults, **settings), nursery))
        return started[-1]

    yield start
    for batch in started:
        batch.close()
    record_property(KILLS, sum(batch.kills for batch in started))
