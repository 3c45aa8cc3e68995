"""A clock that moves when it is told to, and a place for a ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger.book import Hands


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batchsync.db"
