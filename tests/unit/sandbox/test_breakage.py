"""Each fault as a client sees it over a real socket, and what has really been done behind it."""

import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from unit.sandbox.driver import Driver, eventually


def projects(driver: Driver) -> int:
    return len(driver.state()["projects"])


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [
        ("submit:cut_before", httpx.ReadError, 0),
        ("submit:cut_before:eof", httpx.RemoteProtocolError, 0),
        ("submit:cut_after", httpx.ReadError, 1),
        ("submit:cut_after:eof", httpx.RemoteProtocolError, 1),
        ("submit:cut_body", httpx.RemoteProtocolError, 1),
        ("submit:cut_body(at=0, how=reset)", httpx.ReadError, 1),
        ("submit:stall", httpx.ReadTimeout, 0),
        ("submit:stall(done=yes)", httpx.ReadTimeout, 1),
        ("submit:stall(done=yes, at=0.5)", httpx.ReadTimeout, 1),
        ("submit:slow:1", httpx.ReadTimeout, 1),
    ],
)
def test_lost_answers(driver: Driver, fault: str, error: type[Exception], made: int) -> None:
    driver.faults(fault + ":times=1")
    driver.api.timeout = 0.2 if error is httpx.ReadTimeout else 5
    with pytest.raises(error):
        driver.submit()
    driver.api.timeout = 5
    eventually(lambda: projects(driver) == made)
    assert driver.state()["account"]["credits"] <= 100_000 - made
    driver.submit().raise_for_status()
    assert projects(driver) == made + 1


@pytest.mark.parametrize(
    ("fault", "status", "code", "made"),
    [
        ("status:500", 500, "internal_server_error", 0),
        ("status:503", 503, "service_unavailable", 0),
        ("status(504, done=yes)", 504, "gateway_timeout", 1),
        ("status(402, code=subscription_required)", 402, "subscription_required", 0),
        ("error_with_id", 500, "internal_server_error", 1),
        ("error_with_id:502", 502, "bad_gateway", 1),
    ],
)
def test_errors_of_a_submission(driver: Driver, fault: str, status: int, code: str, made: int) -> None:
    driver.faults(f"submit:{fault}")
    answer = driver.submit()
    assert (answer.status_code, answer.json()["code"], projects(driver)) == (status, code, made)
    if "with_id" in fault:
        assert answer.json()["id"] == driver.state()["projects"][0]["id"]
    else:
        assert "id" not in answer.json()


def test_no_id(driver: Driver) -> None:
    driver.faults("submit:no_id")
    answer = driver.submit()
    assert (answer.status_code, set(answer.json())) == (200, {"credits_charged", "estimated_frame_cost"})
    assert projects(driver) == 1


def test_garbage(driver: Driver) -> None:
    driver.faults("submit:garbage")
    answer = driver.submit()
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"."):
        answer.json()
    assert projects(driver) == 1


def test_a_bad_request_stays_bad_whatever_the_fault(driver: Driver) -> None:
    driver.faults("submit:error_with_id")
    assert driver.submit(end_seconds=0).status_code == 400


def test_a_proxys_page(driver: Driver) -> None:
    driver.faults("account:html:502")
    answer = driver.api.get("/v1/account")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert "<html>" in answer.text


@pytest.mark.parametrize(
    ("given", "seen"),
    [("", "1"), ("(retry_after=7)", "7"), (":none", None), (":absurd", "99999999"), (":soon", "soon")],
)
def test_retry_after(driver: Driver, given: str, seen: str | None) -> None:
    driver.faults(f"any:rate_limit{given}")
    answer = driver.submit()
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, seen)
    assert projects(driver) == 0


def test_retry_after_as_a_date(driver: Driver) -> None:
    driver.faults("project:rate_limit:date")
    answer = driver.api.get("/v1/video-projects/x")
    assert 0 < parsedate_to_datetime(answer.headers["retry-after"]).timestamp() - time.time() <= 2


def test_times_runs_out(driver: Driver) -> None:
    driver.faults("account:status:503:times=2")
    assert [driver.api.get("/v1/account").status_code for _ in range(4)] == [503, 503, 200, 200]
    assert driver.state()["requests"]["account"] == {"503": 2, "200": 2}
    assert driver.state()["faults"] == [{"fault": "account:status(status=503):times=2", "seen": 4, "fired": 2}]


def test_match_picks_one_submission(driver: Driver) -> None:
    driver.faults("submit:status:500:match=k7f3a2")
    assert driver.submit(name="a · b3b3b3").status_code == 200
    assert driver.submit(name="a · k7f3a2").status_code == 500


# --- Uploads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kept"),
    [("put:cut_before", 0), ("put:cut_body", 0), ("put:cut_after", 1), ("put:cut_after:eof", 1)],
)
def test_uploads_that_are_cut(driver: Driver, fault: str, kept: int) -> None:
    driver.faults(fault)
    # Which of the two depends on whether the client was still sending when it was cut off.
    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        driver.storage.put(driver.slot()["upload_url"], content=b"x" * 3_000_000)
    assert len(driver.state()["uploads"]) == kept
    files = list((driver.sandbox.world.directory / "assets").iterdir())
    assert len(files) == kept


def test_an_upload_refused_before_it_was_read(driver: Driver) -> None:
    driver.faults("put:status:503:times=1")
    slot = driver.slot()
    assert driver.storage.put(slot["upload_url"], content=b"x" * 3_000_000).status_code == 503
    assert driver.state()["uploads"] == {}
    assert driver.storage.put(slot["upload_url"], content=b"x").status_code == 200


def test_a_client_that_leaves_in_mid_upload_leaves_nothing(driver: Driver) -> None:
    def half() -> Any:
        yield b"x" * 100_000
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.storage.put(driver.slot()["upload_url"], content=half(), headers={"content-length": "200000"})
    eventually(lambda: driver.state()["requests"]["put"] == {"gone": 1})
    assert driver.state()["uploads"] == {}
    assert list((driver.sandbox.world.directory / "assets").iterdir()) == []


@pytest.mark.parametrize("fault", ["upload_urls:expired_url", "put:expired_url"])
def test_upload_urls_that_have_expired(driver: Driver, fault: str) -> None:
    driver.faults(fault)
    answer = driver.storage.put(driver.slot()["upload_url"], content=b"x")
    assert (answer.status_code, "<Code>ExpiredToken</Code>" in answer.text) == (403, True)
    assert driver.state()["uploads"] == {}


# --- Renders and downloads ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "charged", "code"),
    [
        ("render:error:no_source_face", "error", 0, "no_source_face"),
        ("render:error:odd(refund=0.5)", "error", 150, "odd"),
        ("render:cancel", "canceled", 0, None),
    ],
)
def test_renders_that_fail(driver: Driver, fault: str, status: str, charged: int, code: str | None) -> None:
    driver.faults(fault)
    project = driver.finished()
    assert (project["status"], project["credits_charged"], project["downloads"]) == (status, charged, [])
    assert (project["error"] or {}).get("code") == code
    assert driver.state()["account"]["credits"] == 100_000 - charged


def test_complete_but_no_downloads_yet(driver: Driver) -> None:
    driver.faults("render:empty_downloads:2")
    project = driver.finished()
    assert (project["status"], project["downloads"]) == ("complete", [])
    assert driver.look(project["id"])["downloads"] == []
    assert len(driver.look(project["id"])["downloads"]) == 1


@pytest.mark.parametrize("fault", ["project:expired_url:times=1", "download:expired_url:times=1"])
def test_download_urls_that_have_expired(driver: Driver, fault: str) -> None:
    driver.faults(fault)
    project = driver.finished()
    assert driver.storage.get(project["downloads"][0]["url"]).status_code == 403
    assert driver.storage.get(driver.look(project["id"])["downloads"][0]["url"]).status_code == 200


DATA = bytes(range(256)) * 4000


@pytest.mark.parametrize(
    ("fault", "error", "received"),
    [
        ("cut_before", httpx.ReadError, 0),
        ("cut_body", httpx.RemoteProtocolError, len(DATA) // 2),
        ("cut_body:0.25", httpx.RemoteProtocolError, len(DATA) // 4),
        ("stall", httpx.ReadTimeout, len(DATA) // 2),
        ("stall(at=0.1)", httpx.ReadTimeout, len(DATA) // 10),
        ("wrong_length", httpx.RemoteProtocolError, len(DATA)),
    ],
)
def test_downloads_that_stop(driver: Driver, fault: str, error: type[Exception], received: int) -> None:
    url = driver.link(DATA)
    driver.faults(f"download:{fault}")
    got, timeout = bytearray(), 0.3 if error is httpx.ReadTimeout else 5

    def receive() -> None:
        with driver.storage.stream("GET", url, timeout=timeout) as answer:
            assert answer.status_code == 200
            for chunk in answer.iter_raw():
                got.extend(chunk)

    with pytest.raises(error):
        receive()
    assert bytes(got) == DATA[:received]


def test_a_download_without_its_length(driver: Driver) -> None:
    url = driver.link(DATA)
    driver.faults("download:no_length")
    answer = driver.storage.get(url)
    assert ("content-length" in answer.headers, answer.content) == (False, DATA)


@pytest.mark.parametrize(("fault", "share"), [("no_length:eof", 1), ("no_length(how=eof, at=0.5)", 0.5)])
def test_a_download_whose_end_is_the_connections(driver: Driver, fault: str, share: float) -> None:
    """A client that trusts it can't tell the whole from a part."""
    url = driver.link(DATA)
    driver.faults(f"download:{fault}")
    answer = driver.storage.get(url)
    assert not {"content-length", "transfer-encoding"} & set(answer.headers)
    assert answer.content == DATA[: int(len(DATA) * share)]


@pytest.mark.parametrize("to", ["path", "origin"])
def test_a_download_that_has_moved(driver: Driver, to: str) -> None:
    url = driver.link(DATA)
    driver.faults(f"download:redirect({to}, status=307)")
    answer = driver.storage.get(url, headers={"range": "bytes=100-"})
    there = httpx.URL(answer.headers["location"])
    assert (answer.status_code, there.port == httpx.URL(url).port) == (307, to == "path")
    rest = driver.storage.get(there, headers={"range": "bytes=100-"})
    assert (rest.status_code, rest.content) == (206, DATA[100:])
    assert driver.storage.get(str(there) + "0").status_code == 403


def test_a_file_that_was_replaced_is_not_gone_on_with(driver: Driver) -> None:
    url = driver.link(DATA)
    etag = driver.storage.get(url).headers["etag"]
    driver.faults("download:replaced")
    answer = driver.storage.get(url, headers={"range": "bytes=100-", "if-range": etag})
    assert (answer.status_code, answer.headers["etag"] != etag) == (200, True)
    assert answer.content[:4096] != DATA[:4096]


def test_an_upload_that_is_no_longer_taken_in(driver: Driver) -> None:
    driver.faults("put:stall(at=0.5)")
    with pytest.raises((httpx.ReadTimeout, httpx.WriteTimeout)):
        driver.storage.put(driver.slot()["upload_url"], content=b"x" * 3_000_000, timeout=0.3)
    assert (driver.state()["uploads"], driver.state()["requests"]["put"]) == ({}, {"stalled": 1})


def test_a_download_that_ignores_range(driver: Driver) -> None:
    url = driver.link(DATA)
    driver.faults("download:no_range")
    answer = driver.storage.get(url, headers={"range": "bytes=100-"})
    assert (answer.status_code, answer.content) == (200, DATA)


def test_a_download_that_is_not_the_file(driver: Driver) -> None:
    url = driver.link(DATA)
    driver.faults("download:garbage:times=1", "download:html:404:times=1")
    assert driver.storage.get(url).content != DATA
    assert driver.storage.get(url).status_code == 404
    assert driver.storage.get(url).content == DATA
