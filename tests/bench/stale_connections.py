"""How often an idle connection that the server closes loses a paid request's answer: pooled, and as batchsync does.

    python tests/bench/stale_connections.py [submissions]

The server promises to keep connections and closes each after 50 ms of idleness, as proxies do after their own time;
each client comes back after 45 to 55 ms. A loss is a request whose fate is unknown: a held job.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable

import httpx

from batchsync.model.job import Mode
from batchsync.vendor.magichour import MagicHour
from batchsync.vendor.port import SubmitRequest, Unknown

IDLE_SECONDS = 0.050
SPREAD_SECONDS = 0.005
CLIENTS = 20
BODY = b'{"id": "p1", "credits_charged": 60}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
REQUEST = SubmitRequest("bench", "api-assets/v.mp4", "api-assets/a.mp3", 0.0, 2.0, Mode.LITE)

Lost = Callable[[], Awaitable[bool]]


async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests, until none comes for a while."""
    try:
        while True:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_SECONDS)
            length = next(
                int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
            )
            await reader.readexactly(length)
            writer.write(ANSWER)
            await writer.drain()
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def losses(lost: Lost, submissions: int) -> int:
    """How many of `submissions` were lost, sent by a few clients that each wait in between."""
    dice, count, left = random.Random(7), 0, submissions

    async def client() -> None:
        nonlocal count, left
        while left > 0:
            left -= 1
            count += await lost()
            await asyncio.sleep(dice.uniform(IDLE_SECONDS - SPREAD_SECONDS, IDLE_SECONDS + SPREAD_SECONDS))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(client())
    return count


async def main(submissions: int) -> None:
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    vendor = MagicHour(url, "mhk-0123456789abcdef")
    async with httpx.AsyncClient(base_url=url) as pooled:

        async def lost_by_a_pool() -> bool:
            try:
                await pooled.post("/v1/lip-sync", json={"name": "bench"})
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                return True
            return False

        async def lost_by_batchsync() -> bool:
            return isinstance(await vendor.submit(REQUEST), Unknown)

        for name, lost in (("pooled client", lost_by_a_pool), ("batchsync", lost_by_batchsync)):
            count = await losses(lost, submissions)
            print(f"{name:<14} {count:>5} of {submissions} answers lost ({count / submissions:.2%})")
    await vendor.aclose()
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000))
