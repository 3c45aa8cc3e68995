"""A run's signals: received while it goes on, and no death of a process that only has its last words to say."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

LIFE = """
import os, signal, sys
import anyio
from batchsync.runner.signals import received

async def run():
    with received() as signals:
        os.kill(os.getpid(), {number})
        async for number in signals:
            print("received", number, flush=True)
            break

anyio.run(run)
for _ in range({late}):
    os.kill(os.getpid(), {number})
print("told", flush=True)
sys.exit(7)
"""


def live(number: signal.Signals, late: int) -> tuple[int, list[str]]:
    words = [sys.executable, "-c", LIFE.format(number=int(number), late=late)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == ""
    return ended.returncode, ended.stdout.split("\n")[:-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_received_and_one_after_the_end_changes_nothing(number: signal.Signals) -> None:
    assert live(number, late=1) == (7, [f"received {int(number)}", "told"])


def test_a_second_one_after_the_end_ends_even_the_last_words() -> None:
    assert live(signal.SIGTERM, late=2) == (3, [f"received {int(signal.SIGTERM)}"])
