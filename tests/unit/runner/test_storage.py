"""What a refusal of the storage does to the transfer that it hits, and to those that wait."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
import pytest

from batchsync.clock import SystemClock
from batchsync.runner.pace import MOST_RATE
from batchsync.runner.storage import MOST_TURNS, Storage
from batchsync.vendor.port import Next, Trouble, VendorTrouble

BUSY = Trouble(Next.AGAIN, "http_503", "slow down", status=503)
MANY = Trouble(Next.AGAIN, "rate_limited", "slow down", status=429)
GONE = Trouble(Next.GONE, "forbidden", "no", status=403)
CUT = Trouble(Next.AGAIN, "cut", "cut")


def answers(*troubles: Trouble | None) -> tuple[Callable[[], Awaitable[str]], list[Trouble | None]]:
    """A request that goes like that, try by try, and the tries that are left."""
    left = list(troubles)

    async def call() -> str:
        trouble = left.pop(0)
        if trouble is not None:
            raise VendorTrouble(trouble)
        return "there"

    return call, left


@pytest.mark.parametrize("trouble", [BUSY, MANY])
async def test_what_is_refused_for_its_pace_is_asked_for_again_and_more_slowly(trouble: Trouble) -> None:
    storage = Storage("uploads", SystemClock())
    call, left = answers(trouble, trouble, None)
    with anyio.fail_after(20):
        assert await storage.ask(call) == "there"
    assert not left
    assert storage.pacer.pace.rate < 10


async def test_a_transfer_that_is_refused_again_and_again_is_put_off() -> None:
    storage = Storage("uploads", SystemClock())
    call, left = answers(*[BUSY] * MOST_TURNS, None)
    with anyio.fail_after(20), pytest.raises(VendorTrouble):
        await storage.ask(call)
    assert left == [None]


@pytest.mark.parametrize("trouble", [GONE, CUT])
async def test_any_other_trouble_is_not_the_pace(trouble: Trouble) -> None:
    storage = Storage("uploads", SystemClock())
    call, left = answers(trouble, None)
    with pytest.raises(VendorTrouble):
        await storage.ask(call)
    assert left == [None]
    assert storage.pacer.pace.rate == MOST_RATE


async def test_a_long_wait_is_told_and_keeps_no_place(caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage("downloads", SystemClock())
    call, left = answers(Trouble(Next.AGAIN, "http_503", "slow down", retry_after=60.0, status=503), None)
    with caplog.at_level(logging.WARNING), pytest.raises(VendorTrouble):
        await storage.ask(call)
    assert left == [None]
    assert 50 < storage.pacer.paused_for <= 60
    assert "downloads wait for 60 s" in caplog.text


async def test_what_the_api_says_meanwhile_teaches_nothing_about_the_storage() -> None:
    storage = Storage("uploads", SystemClock())
    ready, _ = answers(Trouble(Next.PACED, "rate_limited", "slow down", retry_after=60.0, status=429))
    call, left = answers(None)
    with pytest.raises(VendorTrouble):
        await storage.ask(call, ready)  # type: ignore[arg-type]
    assert left == [None]
    assert storage.pacer.pace.rate == MOST_RATE
    assert not storage.pacer.paused_for
