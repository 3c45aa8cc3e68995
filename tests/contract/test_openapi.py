"""Every answer of the sandbox, good or bad, against the vendor's OpenAPI file."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.faults import Fault
from batchsync.sandbox.serve import Sandbox

SPEC = json.loads((Path(__file__).parent / "openapi.json").read_text())
PROJECT = "/v1/video-projects/{id}"
GOOD = {
    "start_seconds": 0,
    "end_seconds": 2,
    "assets": {
        "video_source": "file",
        "video_file_path": "https://example.com/v.mp4",
        "audio_file_path": "https://example.com/a.wav",
    },
}


def as_json_schema(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [as_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: as_json_schema(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def check(answer: httpx.Response, path: str) -> None:
    """Fails unless the answer has a status that the file knows, and its body the shape it gives."""
    responses = SPEC["paths"][path][answer.request.method.lower()]["responses"]
    assert str(answer.status_code) in responses, answer.text
    content = responses[str(answer.status_code)].get("content")
    if content is None:
        assert answer.content == b""
        return
    assert answer.headers["content-type"] == "application/json"
    schema = as_json_schema(content["application/json"]["schema"])
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(answer.json())]
    assert errors == []


@pytest.fixture
def api(sandbox: Sandbox) -> Any:
    with httpx.Client(base_url=sandbox.api_url, headers={"authorization": "Bearer mhk_contract"}) as client:
        yield client


def made(api: httpx.Client) -> str:
    answer = api.post("/v1/lip-sync", json=GOOD)
    check(answer, "/v1/lip-sync")
    return str(answer.json()["id"])


def looked_at_until(api: httpx.Client, project_id: str, status: str) -> dict[str, Any]:
    """Look until it has that status; every answer on the way is checked."""
    for _ in range(2000):
        answer = api.get(f"/v1/video-projects/{project_id}")
        check(answer, PROJECT)
        found: dict[str, Any] = answer.json()
        if found["status"] == status:
            return found
    raise AssertionError(f"never {status}")


def test_the_check_can_fail() -> None:
    request = httpx.Request("GET", "http://x/v1/account")
    good = {"id": "c", "email": None, "tier": "free", "credits": 1, "subscription": None}
    check(httpx.Response(200, json=good, request=request), "/v1/account")
    for bad in ({**good, "credits": -1}, {**good, "tier": None}, {"id": "c"}, {**good, "subscription": {}}):
        with pytest.raises(AssertionError):
            check(httpx.Response(200, json=bad, request=request), "/v1/account")
    with pytest.raises(AssertionError):
        check(httpx.Response(418, json=good, request=request), "/v1/account")


@pytest.mark.parametrize("tier", ["free", "creator", "pro", "business"])
def test_account(tier: str) -> None:
    with Sandbox(SandboxConfig(tier=tier)) as sandbox:
        check(httpx.get(f"{sandbox.api_url}/v1/account", headers={"authorization": "Bearer k"}), "/v1/account")


def test_account_in_debt(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.world.balance_now = -5
    answer = api.get("/v1/account")
    check(answer, "/v1/account")
    assert answer.json()["credits"] == 0


def test_upload_urls(api: httpx.Client) -> None:
    items = [{"type": "video", "extension": "mp4"}, {"type": "audio", "extension": "wav"}]
    check(api.post("/v1/files/upload-urls", json={"items": items}), "/v1/files/upload-urls")


def test_a_project_from_queued_to_deleted(api: httpx.Client) -> None:
    project_id = made(api)
    complete = looked_at_until(api, project_id, "complete")
    assert complete["downloads"][0] == complete["download"]
    check(api.delete(f"/v1/video-projects/{project_id}"), PROJECT)
    assert looked_at_until(api, project_id, "complete")["enabled"] is False


@pytest.mark.parametrize(
    ("fault", "status"),
    [("render:error:no_source_face", "error"), ("render:error:odd", "error"), ("render:cancel", "canceled")],
)
def test_a_project_that_fails(sandbox: Sandbox, api: httpx.Client, fault: str, status: str) -> None:
    sandbox.faults.replace([Fault.parse(fault)])
    looked_at_until(api, made(api), status)


def test_refusals(sandbox: Sandbox, api: httpx.Client) -> None:
    def refused(status: int, method: str, path: str, template: str, **changes: Any) -> None:
        answer = api.request(method, path, **changes)
        assert answer.status_code == status
        check(answer, template)

    nobody = {"authorization": ""}
    for method, template in [("GET", "/v1/account"), ("POST", "/v1/lip-sync"), ("POST", "/v1/files/upload-urls")]:
        refused(401, method, template, template, headers=nobody)
    refused(401, "GET", "/v1/video-projects/c0", PROJECT, headers=nobody)
    refused(404, "GET", "/v1/video-projects/c0", PROJECT)
    refused(404, "DELETE", "/v1/video-projects/c0", PROJECT)
    refused(400, "POST", "/v1/lip-sync", "/v1/lip-sync", json={**GOOD, "end_seconds": -1})
    refused(400, "POST", "/v1/files/upload-urls", "/v1/files/upload-urls", json={"items": []})
    sandbox.world.set_balance(10)
    refused(402, "POST", "/v1/lip-sync", "/v1/lip-sync", json=GOOD)
    for status in (400, 401, 402, 404, 422, 500):
        sandbox.faults.replace([Fault("submit", "status", status=status)])
        refused(status, "POST", "/v1/lip-sync", "/v1/lip-sync", json=GOOD)


def test_a_plan_that_is_too_small() -> None:
    with Sandbox(SandboxConfig(tier="free")) as sandbox:
        body = {**GOOD, "style": {"generation_mode": "pro"}}
        headers = {"authorization": "Bearer k"}
        answer = httpx.post(f"{sandbox.api_url}/v1/lip-sync", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (402, "plan_upgrade_required")
        check(answer, "/v1/lip-sync")
