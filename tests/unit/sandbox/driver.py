"""A small client for the sandbox's tests, and a clock that they turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.serve import Sandbox

KEY = "mhk_sandbox_test_key"
FAST = SandboxConfig(queue_seconds=0, render_seconds=0, credits=100_000)


class FakeClock:
    """Time that stands still until a test moves it."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.time = start

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def eventually(look: Callable[[], Any], seconds: float = 5.0) -> Any:
    """What `look` gives as soon as it is true; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)
    return found


class Driver:
    """Talks to one sandbox as a plain client would, with a key for the API and none for storage."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        headers = {"Authorization": f"Bearer {KEY}"}
        # Nothing here is TLS, and reading the certificates takes longer than most tests.
        self.api = httpx.Client(base_url=sandbox.api_url, headers=headers, timeout=5, verify=False)
        self.storage = httpx.Client(timeout=5, verify=False)

    def close(self) -> None:
        self.api.close()
        self.storage.close()

    def faults(self, *texts: str) -> None:
        self.api.post("/_sandbox/faults", json=list(texts)).raise_for_status()

    def state(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.get("/_sandbox/state").json()
        return answer

    def slot(self, kind: str = "video", extension: str = "mp4") -> dict[str, str]:
        answer = self.api.post("/v1/files/upload-urls", json={"items": [{"type": kind, "extension": extension}]})
        slot: dict[str, str] = answer.raise_for_status().json()["items"][0]
        return slot

    def upload(self, data: bytes = b"some video", kind: str = "video", extension: str = "mp4") -> str:
        slot = self.slot(kind, extension)
        self.storage.put(slot["upload_url"], content=data).raise_for_status()
        return slot["file_path"]

    def body(self, **changes: Any) -> dict[str, Any]:
        """A good request, with URLs as inputs; `video` and `audio` replace them, the rest are fields of the body."""
        assets = {
            "video_source": "file",
            "video_file_path": changes.pop("video", "https://example.com/clip.mp4"),
            "audio_file_path": changes.pop("audio", "https://example.com/voice.wav"),
        }
        return {"start_seconds": 0, "end_seconds": 10, "assets": assets, **changes}

    def submit(self, **changes: Any) -> httpx.Response:
        return self.api.post("/v1/lip-sync", json=self.body(**changes))

    def look(self, project_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.get(f"/v1/video-projects/{project_id}").raise_for_status().json()
        return answer

    def finished(self, **changes: Any) -> dict[str, Any]:
        """Submit, and look until it has ended."""
        project_id = self.submit(**changes).raise_for_status().json()["id"]
        done = ("complete", "error", "canceled")
        found: dict[str, Any] = eventually(lambda: (p := self.look(project_id))["status"] in done and p)
        return found

    def link(self, data: bytes | None = None) -> str:
        """The download URL of a finished project, whose output is `data`, or the built-in sample."""
        changes = {} if data is None else {"video": self.upload(data)}
        url: str = self.finished(**changes)["downloads"][0]["url"]
        return url


def files_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
