"""The vendor's own SDK, unchanged, against the sandbox."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from magic_hour import Client

from batchsync.sandbox.serve import Sandbox
from batchsync.sandbox.store import SAMPLE


@pytest.fixture
def client(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", "0.05")
    with httpx.Client() as http:  # the one that the SDK makes by itself is never closed
        yield Client(token="mhk_sdk_test", base_url=sandbox.api_url, httpx_client=http)


def test_it_uploads_renders_waits_and_downloads(client: Client, sandbox: Sandbox, tmp_path: Path) -> None:
    video, audio, out = tmp_path / "clip.mp4", tmp_path / "voice.wav", tmp_path / "out"
    video.write_bytes(SAMPLE.read_bytes() + b"\0" * 16)
    audio.write_bytes(b"RIFF, as far as the sandbox knows")
    out.mkdir()
    result = client.v1.lip_sync.generate(
        assets={"video_source": "file", "video_file_path": str(video), "audio_file_path": str(audio)},
        start_seconds=0.0,
        end_seconds=2.0,
        max_fps_limit=24.0,
        name="From the SDK",
        download_directory=str(out),
    )
    assert (result.status, result.credits_charged, result.fps, result.error) == ("complete", 48, 24, None)
    assert result.downloaded_paths == [str(out / "output.mp4")]
    assert (out / "output.mp4").read_bytes() == video.read_bytes()
    state = sandbox.state()
    assert [project["name"] for project in state["projects"]] == ["From the SDK"]
    assert sorted(upload["puts"] for upload in state["uploads"].values()) == [1, 1]
    assert state["leaks"] == 0


def test_it_reads_the_account(client: Client) -> None:
    account = client.v1.account.list()
    assert (account.tier, account.credits) == ("creator", 10_000)
    assert account.subscription is not None
    assert account.subscription.status == "active"


def test_it_deletes(client: Client) -> None:
    created = client.v1.lip_sync.create(
        assets={
            "video_source": "youtube",
            "youtube_url": "https://www.youtube.com/watch?v=abc",
            "audio_file_path": "https://example.com/voice.mp3",
        },
        start_seconds=0.0,
        end_seconds=1.0,
    )
    client.v1.video_projects.delete(id=created.id)
    assert client.v1.video_projects.get(id=created.id).enabled is False
