"""Fixtures of the contract tests: a sandbox that renders at once."""

from collections.abc import Iterator

import pytest

from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.serve import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(credits=10_000, queue_seconds=0, render_seconds=0.1, fps=25.0)) as running:
        yield running
