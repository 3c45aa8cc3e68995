"""The simulated API: what it refuses, what it counts, and what the judge sees and does."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from unit.sandbox.driver import FAST, KEY, Driver, FakeClock

from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.serve import Sandbox

ASSETS = {
    "video_source": "file",
    "video_file_path": "https://example.com/v.mp4",
    "audio_file_path": "https://example.com/a.wav",
}


def assets(**changes: Any) -> dict[str, Any]:
    return {"assets": {key: value for key, value in {**ASSETS, **changes}.items() if value is not None}}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"start_seconds": None}, "start_seconds"),
        ({"start_seconds": "0"}, "start_seconds"),
        ({"start_seconds": True}, "start_seconds"),
        ({"start_seconds": -1}, "start_seconds"),
        ({"end_seconds": 0}, "end_seconds"),
        ({"end_seconds": 0.05}, "end_seconds"),
        ({"end_seconds": 10**400}, "end_seconds"),
        ({"start_seconds": 5, "end_seconds": 5}, "end_seconds"),
        ({"max_fps_limit": 0.5}, "max_fps_limit"),
        ({"max_fps_limit": None}, "max_fps_limit"),
        ({"style": {"generation_mode": "turbo"}}, "generation_mode"),
        ({"style": "lite"}, "style"),
        ({"name": 7}, "name"),
        ({"width": 1.5}, "width"),
        ({"assets": None}, "assets"),
        (assets(video_source=None), "video_source"),
        (assets(video_source="tape"), "video_source"),
        (assets(video_file_path=None), "video_file_path"),
        (assets(audio_file_path=None), "audio_file_path"),
        (assets(audio_file_path=""), "audio_file_path"),
        (assets(video_file_path="api-assets/unknown/video.mp4"), "does not exist"),
        (assets(video_file_path="https://example.com/v.wav"), "extension"),
        (assets(video_file_path="https://example.com/v"), "extension"),
        (assets(video_file_path="https://[bad/v.mp4"), "extension"),
        (assets(audio_file_path="https://example.com/v.mp4"), "extension"),
        (assets(video_source="youtube"), "youtube_url"),
        (assets(video_source="youtube", youtube_url="https://example.com/watch"), "youtube_url"),
    ],
)
def test_bad_requests(driver: Driver, changes: dict[str, Any], names: str) -> None:
    answer = driver.submit(**changes)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert names in answer.json()["message"]
    assert driver.state()["projects"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"start_seconds": NaN}', b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_object(driver: Driver, body: bytes) -> None:
    assert driver.api.post("/v1/lip-sync", content=body).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"start_seconds": 0.5, "max_fps_limit": 12, "style": {}, "width": None, "height": 720, "later": "field"},
        {"style": {"generation_mode": "pro"}, "name": "ü · 7"},
        assets(video_source="youtube", video_file_path=None, youtube_url="https://youtu.be/abc"),
        assets(video_file_path="https://magichour.ai/my-library?videoId=abc"),
        assets(video_file_path="https://example.com/v.MOV?token=1"),
    ],
)
def test_good_requests(driver: Driver, changes: dict[str, Any]) -> None:
    assert driver.submit(**changes).status_code == 200


@pytest.mark.parametrize(
    "items",
    [
        None,
        [],
        [{}],
        ["video"],
        [{"type": "film", "extension": "mp4"}],
        [{"type": "video", "extension": ".mp4"}],
        [{"type": "video", "extension": "wav"}],
        [{"type": "audio", "extension": "mp4"}],
        [{"type": "video", "extension": "mp4"}, {"type": "audio", "extension": "MP3"}],
    ],
)
def test_bad_items(driver: Driver, items: Any) -> None:
    assert driver.api.post("/v1/files/upload-urls", json={"items": items}).status_code == 400


def test_upload_urls_come_in_the_order_of_the_items(driver: Driver) -> None:
    wanted = [("video", "mov"), ("audio", "wav"), ("audio", "webm"), ("video", "webm")]
    items = [{"type": kind, "extension": extension} for kind, extension in wanted]
    slots = driver.api.post("/v1/files/upload-urls", json={"items": items}).json()["items"]
    assert [slot["file_path"].rpartition("/")[2] for slot in slots] == [f"{k}.{e}" for k, e in wanted]
    assert len({slot["file_path"] for slot in slots}) == 4


def test_keys(driver: Driver) -> None:
    url = driver.sandbox.api_url + "/v1/account"
    for headers in ({}, {"authorization": ""}, {"authorization": "Bearer"}, {"authorization": "Basic abc"}):
        answer = httpx.get(url, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    with Sandbox(replace(FAST, keys=frozenset({KEY}))) as strict:
        url = strict.api_url + "/v1/account"
        assert httpx.get(url, headers={"authorization": "Bearer another"}).status_code == 401
        assert httpx.get(url, headers={"authorization": f"Bearer {KEY}"}).status_code == 200


def test_what_is_not_there(driver: Driver) -> None:
    for method, path in [
        ("GET", "/v1/video-projects/c0"),
        ("DELETE", "/v1/video-projects/c0"),
        ("GET", "/v1/nothing"),
    ]:
        answer = driver.api.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert driver.api.get("/v1/lip-sync").status_code == 405


def test_a_deleted_project_is_still_known_and_offers_nothing(driver: Driver) -> None:
    project = driver.finished()
    assert driver.api.delete(f"/v1/video-projects/{project['id']}").status_code == 204
    after = driver.look(project["id"])
    assert (after["enabled"], after["downloads"], after["status"]) == (False, [], "complete")
    assert driver.storage.get(project["downloads"][0]["url"]).status_code == 404


def test_credits_over_the_wire() -> None:
    clock = FakeClock()
    config = SandboxConfig(credits=1000, queue_seconds=1, render_seconds=1, render_sigma=0, fps=25.0)
    with Sandbox(config, clock=clock) as sandbox:
        driver = Driver(sandbox)

        def credits() -> int:
            found: int = driver.api.get("/v1/account").json()["credits"]
            return found

        answer = driver.submit().json()
        assert (answer["credits_charged"], credits()) == (300, 700)
        look = driver.look(answer["id"])
        assert (look["status"], look["fps"], look["downloads"]) == ("queued", 30, [])
        clock.time += 2
        assert credits() == 750
        look = driver.look(answer["id"])
        assert (look["status"], look["fps"], look["credits_charged"]) == ("complete", 25, 250)
        driver.api.post("/_sandbox/credits", json={"credits": 299}).raise_for_status()
        refused = driver.submit()
        assert (refused.status_code, refused.json()["code"], credits()) == (402, "insufficient_credits", 299)
        assert driver.state()["granted"] == 549
        driver.close()


def test_the_judge_cancels(driver: Driver) -> None:
    driver.faults("render:slow:60")
    project_id = driver.submit().json()["id"]
    assert driver.api.post("/_sandbox/cancel", json={"id": project_id}).json() == {"canceled": True}
    assert driver.look(project_id)["status"] == "canceled"
    assert driver.api.post("/_sandbox/cancel", json={"id": project_id}).json() == {"canceled": False}
    assert driver.api.post("/_sandbox/cancel", json={"id": "c0"}).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", ["nonsense"]),
        ("faults", "submit:cut_after"),
        ("credits", {"credits": -1}),
        ("credits", {"credits": "many"}),
        ("cancel", {}),
        ("expire", {"what": ["milk"]}),
    ],
)
def test_the_judge_is_told_of_mistakes(driver: Driver, path: str, body: Any) -> None:
    answer = driver.api.post(f"/_sandbox/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_the_judge_sees_what_was_asked_for(driver: Driver) -> None:
    video = driver.upload(b"abc")
    driver.submit(video=video, name="n · 1", end_seconds=2, max_fps_limit=12)
    state = driver.state()
    (project,) = state["projects"]
    asked = {"name": "n · 1", "video": video, "end_seconds": 2.0, "max_fps_limit": 12.0, "estimate": 60}
    assert asked.items() <= project.items()
    assert state["uploads"][video]["size"] == 3
    assert state["requests"]["put"] == {"200": 1}
    assert state["peak"]["submit"] == 1
    assert state == {**driver.sandbox.state(), "projects": state["projects"]}


@pytest.mark.parametrize("told", [True, False])
def test_a_real_limit(told: bool) -> None:
    clock = FakeClock()
    config = replace(FAST, rate_limit=3, rate_window=60, rate_retry_after=told)
    with Sandbox(config, clock=clock) as sandbox:
        driver = Driver(sandbox)
        assert [driver.api.get("/v1/account").status_code for _ in range(3)] == [200] * 3
        clock.time += 20
        answer = driver.submit()
        assert (answer.status_code, answer.headers.get("retry-after")) == (429, "40" if told else None)
        clock.time += 40.1
        assert driver.submit().status_code == 200
        assert len(driver.state()["projects"]) == 1
        driver.close()


def test_a_real_limit_by_the_clock() -> None:
    clock = FakeClock()
    with Sandbox(replace(FAST, rate_limit=3, rate_window=60, rate_fixed=True), clock=clock) as sandbox:
        driver = Driver(sandbox)
        clock.time += 60 - clock.monotonic() % 60 + 50
        assert [driver.api.get("/v1/account").status_code for _ in range(3)] == [200] * 3
        answer = driver.submit()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
        clock.time += 10
        assert [driver.api.get("/v1/account").status_code for _ in range(4)] == [200, 200, 200, 429]
        driver.close()
