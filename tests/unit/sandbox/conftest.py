"""Fixtures of the sandbox's tests: one that renders at once, and a client of it."""

from collections.abc import Iterator

import pytest
from unit.sandbox.driver import FAST, Driver, FakeClock

from batchsync.sandbox.serve import Sandbox


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(FAST) as running:
        yield running


@pytest.fixture
def driver(sandbox: Sandbox) -> Iterator[Driver]:
    driver = Driver(sandbox)
    yield driver
    driver.close()
