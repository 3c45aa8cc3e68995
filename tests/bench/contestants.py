"""What `compare.py` compares the product with: the vendor's SDK in threads, and a bare loop without any ledger.

    python contestants.py bare API_URL            python contestants.py sdk THREADS API_URL

Both read `jobs.csv` in the current folder and save into `outputs/`. Neither can be interrupted without loss.
"""

# ruff: noqa: ASYNC230, ASYNC240
from __future__ import annotations

import csv
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import httpx

from batchsync.model.job import AUDIO_EXTENSIONS

IN_FLIGHT = 250
POLL_SECONDS = 1.0
KEY = os.environ.get("MAGIC_HOUR_API_KEY", "")


def rows() -> list[dict[str, str]]:
    with Path("jobs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


class Bare:
    """As little as does the work: one client, each file once, a coroutine a job, a look a second."""

    def __init__(self, api: str) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        headers = {"Authorization": f"Bearer {KEY}"}
        self.api = httpx.AsyncClient(base_url=api, headers=headers, limits=limits, timeout=60)
        self.storage = httpx.AsyncClient(limits=limits, timeout=60)
        self.places = anyio.Semaphore(IN_FLIGHT)
        self.uploads: dict[str, anyio.Event] = {}
        self.paths: dict[str, str] = {}

    async def run(self) -> None:
        Path("outputs").mkdir()
        async with self.api, self.storage, anyio.create_task_group() as jobs:
            for row in rows():
                jobs.start_soon(self.job, row)

    async def job(self, row: dict[str, str]) -> None:
        async with self.places:
            assets = {
                "video_source": "file",
                "video_file_path": await self.upload(row["video"]),
                "audio_file_path": await self.upload(row["audio"]),
            }
            ask = {"name": row["id"], "start_seconds": 0, "end_seconds": float(row["end_seconds"]), "assets": assets}
            project = (await self.asked("POST", "/v1/lip-sync", ask))["id"]
            while True:
                await anyio.sleep(POLL_SECONDS)
                state = await self.asked("GET", f"/v1/video-projects/{project}")
                if state["status"] == "complete":
                    break
            async with self.storage.stream("GET", state["downloads"][0]["url"]) as answer:
                answer.raise_for_status()
                with Path("outputs", f"{row['id']}.mp4").open("wb") as file:
                    async for chunk in answer.aiter_bytes():
                        file.write(chunk)

    async def asked(self, method: str, path: str, body: Any = None) -> Any:
        return (await self.api.request(method, path, json=body)).raise_for_status().json()

    async def upload(self, name: str) -> str:
        if name in self.uploads:
            await self.uploads[name].wait()
            return self.paths[name]
        self.uploads[name] = anyio.Event()
        extension = Path(name).suffix[1:]
        kind = "audio" if extension in AUDIO_EXTENSIONS else "video"
        asked = {"items": [{"type": kind, "extension": extension}]}
        (slot,) = (await self.asked("POST", "/v1/files/upload-urls", asked))["items"]
        (await self.storage.put(slot["upload_url"], content=Path(name).read_bytes())).raise_for_status()
        self.paths[name] = slot["file_path"]
        self.uploads[name].set()
        return self.paths[name]


def sdk(threads: int, api: str) -> None:
    """As its documentation has it: `generate` uploads, creates, waits and downloads; a folder per job."""
    from magic_hour import Client

    with httpx.Client() as http, ThreadPoolExecutor(threads) as pool:
        client = Client(token=KEY, base_url=api, httpx_client=http)

        def job(row: dict[str, str]) -> None:
            folder = Path("outputs", row["id"])
            folder.mkdir(parents=True)
            done = client.v1.lip_sync.generate(
                assets={
                    "video_source": "file",
                    "video_file_path": str(Path(row["video"]).absolute()),
                    "audio_file_path": str(Path(row["audio"]).absolute()),
                },
                start_seconds=0.0,
                end_seconds=float(row["end_seconds"]),
                name=row["id"],
                download_directory=str(folder),
            )
            assert done.status == "complete"

        list(pool.map(job, rows()))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare", api]:
            anyio.run(Bare(api).run)
        case ["sdk", threads, api]:
            sdk(int(threads), api)
        case _:
            sys.exit(__doc__)
