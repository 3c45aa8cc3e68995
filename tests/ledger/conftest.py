"""A ledger of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger.book import Hands, open_blank

from batchsync.ledger.ledger import Ledger


@pytest.fixture
def ledger(path: Path, clock: Hands) -> Iterator[Ledger]:
    with open_blank(path, clock) as opened:
        yield opened
