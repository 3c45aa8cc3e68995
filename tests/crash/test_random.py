"""Killed at random, at any moment and at any point, by one process or two, until it has been killed often enough.

`pytest tests/crash --kills 1000 --kill-seed 7` survives more kills than the few of every test run.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

import pytest
from crash.judge import judge
from crash.killed import POINTS
from crash.lives import Batch, Life, Nursery

StartBatch = Callable[..., Batch]

KILLS_A_BATCH = 15
JOBS = 8
LONGEST_LIFE = 0.8
# A vendor on a bad day: everything goes wrong now and then, and what is asked for may take a moment.
BAD_DAY = (
    "submit:rate_limit(retry_after=0):chance=0.08",
    "submit:status:503:chance=0.05",
    "submit:cut_after:chance=0.04",
    "submit:garbage:chance=0.03",
    "submit:slow:0.1:chance=0.4",
    "upload_urls:status:502:chance=0.05",
    "put:cut_body:chance=0.08",
    "project:status:500:chance=0.05",
    "project:slow:0.05:chance=0.2",
    "download:cut_body:chance=0.2",
    "download:slow:0.05:chance=0.3",
    "render:error:chance=0.05",
    "render:cancel:chance=0.02",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many batches as the kills need, so that they can be shared out among processes."""
    if "batch_number" in metafunc.fixturenames:
        batches = math.ceil(metafunc.config.getoption("--kills") / KILLS_A_BATCH)
        metafunc.parametrize("batch_number", range(batches))


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """The same ones for the same test and --kill-seed."""
    return random.Random(f"{request.config.getoption('--kill-seed')}:{request.node.name}")


class Chaos:
    """One batch, begun again whenever it was killed; where its jobs are done before it died enough, it gets more."""

    def __init__(self, batch: Batch, dice: random.Random) -> None:
        self.batch = batch
        self.dice = dice
        self.manifests: list[str] = []
        self.more_jobs()

    def more_jobs(self) -> None:
        self.manifests.append(self.batch.manifest(JOBS, f"jobs-{len(self.manifests) + 1}.csv"))

    def begin(self, nursery: Nursery) -> tuple[Life, float]:
        """Begin a life, half of them with a point to die at; with when it is killed if it still lives."""
        words: tuple[str, ...] = ("run", self.manifests[-1])
        if len(self.manifests) > 1 and self.dice.random() < 0.3:
            words = ("resume",)
        point = None
        if self.dice.random() < 0.5:
            most = 400 if (name := self.dice.choice(POINTS)) == "ledger.statement" else 6
            point = f"{name}:{self.dice.randint(1, most)}"
        return self.batch.begin(*words, point=point, nursery=nursery), self._deadline()

    def come_to_an_end(self) -> None:
        """Have every job complete, on a good day; of some manifests no life may have come to know yet."""
        self.batch.sandbox.faults.replace([])
        for manifest in self.manifests:
            self.batch.finish("run", manifest)

    def _deadline(self) -> float:
        return time.monotonic() + self.dice.uniform(0.02, LONGEST_LIFE)


def test_killed_at_random_it_loses_nothing_and_pays_once(
    batch_number: int, dice: random.Random, start_batch: StartBatch
) -> None:
    batch = start_batch(*BAD_DAY, seed=batch_number, render_seconds=0.2)
    chaos = Chaos(batch, dice)
    while batch.kills < KILLS_A_BATCH:
        life, deadline = chaos.begin(batch.nursery)
        if not life.wait(deadline - time.monotonic()):
            life.kill()
        code = batch.end(life).code
        if code == 1:
            batch.settle()
        elif code == 0:
            chaos.more_jobs()
    chaos.come_to_an_end()
    judge(batch)


def test_two_processes_on_one_ledger_both_killed_at_random(
    dice: random.Random, start_batch: StartBatch, other_nursery: Nursery
) -> None:
    """Each finds what the other has left, at once: what is held stays held, and nothing is sent by both."""
    batch = start_batch(*BAD_DAY, render_seconds=0.2)
    chaos = Chaos(batch, dice)
    nurseries = (batch.nursery, other_nursery)
    lives = [chaos.begin(nursery) for nursery in nurseries]
    while batch.kills < KILLS_A_BATCH:
        for number, (life, deadline) in enumerate(lives):
            if not life.wait(0.005) and time.monotonic() < deadline:
                continue
            life.kill()
            if batch.end(life).code in (0, 1):
                chaos.more_jobs()
            lives[number] = chaos.begin(nurseries[number])
    for life, _ in lives:
        life.kill()
        batch.end(life)
    chaos.come_to_an_end()
    judge(batch)
