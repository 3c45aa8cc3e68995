"""The two simulated object stores: signed URLs, ranges, keys that must not come there, and files of any size."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from unit.sandbox.driver import FAST, KEY, Driver, FakeClock

from batchsync.sandbox.delivery import Part, part_of
from batchsync.sandbox.serve import Sandbox

DATA = b"0123456789"


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({}, Part(200, 0, 10)),
        ({"range": "bytes=0-3"}, Part(206, 0, 4)),
        ({"range": "bytes=4-"}, Part(206, 4, 6)),
        ({"range": "bytes=-3"}, Part(206, 7, 3)),
        ({"range": "bytes=-30"}, Part(206, 0, 10)),
        ({"range": "bytes=8-99"}, Part(206, 8, 2)),
        ({"range": "bytes=10-"}, Part(416, 0, 0)),
        ({"range": "bytes=-0"}, Part(416, 0, 0)),
        ({"range": "bytes=5-2"}, Part(200, 0, 10)),
        ({"range": "bytes=-"}, Part(200, 0, 10)),
        ({"range": "lines=1-2"}, Part(200, 0, 10)),
        ({"range": "bytes=0-1,4-5"}, Part(200, 0, 10)),
        ({"range": "bytes=4-", "if-range": '"e"'}, Part(206, 4, 6)),
        ({"range": "bytes=4-", "if-range": "a date"}, Part(206, 4, 6)),
        ({"range": "bytes=4-", "if-range": '"other"'}, Part(200, 0, 10)),
    ],
)
def test_which_part(asked: dict[str, str], part: Part) -> None:
    assert part_of(10, asked, '"e"', "a date") == part


def test_a_download_goes_on_where_it_stopped(driver: Driver) -> None:
    url = driver.link(DATA)
    whole = driver.storage.get(url)
    assert (whole.content, whole.headers["content-length"], whole.headers["accept-ranges"]) == (DATA, "10", "bytes")
    assert whole.headers["etag"].startswith('"')
    for validator in (whole.headers["etag"], whole.headers["last-modified"]):
        rest = driver.storage.get(url, headers={"range": "bytes=4-", "if-range": validator})
        assert (rest.status_code, rest.content) == (206, DATA[4:])
        assert rest.headers["content-range"] == "bytes 4-9/10"
    beyond = driver.storage.get(url, headers={"range": "bytes=10-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */10")
    assert driver.storage.head(url).headers["content-length"] == "10"


def test_an_upload_sent_again_changes_no_project_made_before(driver: Driver) -> None:
    slot = driver.slot()
    driver.storage.put(slot["upload_url"], content=b"first").raise_for_status()
    project = driver.finished(video=slot["file_path"])
    driver.storage.put(slot["upload_url"], content=b"second").raise_for_status()
    assert driver.storage.get(project["downloads"][0]["url"]).content == b"first"
    assert driver.state()["uploads"][slot["file_path"]]["puts"] == 2


def test_several_outputs(tmp_path: Path) -> None:
    from dataclasses import replace

    with Sandbox(replace(FAST, outputs=3)) as sandbox:
        driver = Driver(sandbox)
        urls = [link["url"] for link in driver.finished()["downloads"]]
        assert [url.partition("?")[0].rpartition("/")[2] for url in urls] == [
            "output.mp4",
            "output-2.mp4",
            "output-3.mp4",
        ]
        assert {len(driver.storage.get(url).content) for url in urls} == {len(driver.storage.get(urls[0]).content)}
        driver.close()


def test_the_sample_plays(driver: Driver) -> None:
    import io

    import av

    data = driver.storage.get(driver.link()).content
    assert len(data) < 30_000
    with av.open(io.BytesIO(data)) as media:
        assert {stream.codec_context.name for stream in media.streams} == {"h264", "aac"}
        assert sum(1 for _ in media.decode(video=0)) == 60


def test_urls_can_not_be_made_up(driver: Driver) -> None:
    upload, download = driver.slot()["upload_url"], driver.link(DATA)
    for bad in (
        upload.replace("signature=", "signature=0"),
        upload.replace("expires=", "expires=9"),
        upload.replace("/video.mp4", "/other.mp4"),
        upload.partition("?")[0],
        upload.replace("generation=0", "generation=1"),
    ):
        assert driver.storage.put(bad, content=DATA).status_code == 403
    assert driver.storage.get(download.replace("/output.mp4", "/output-2.mp4")).status_code == 403
    assert driver.storage.get(download + "0").status_code == 403
    assert driver.storage.get(upload).status_code == 405


def test_urls_expire() -> None:
    clock = FakeClock(time.time())
    with Sandbox(FAST, clock=clock) as sandbox:
        driver = Driver(sandbox)
        slot, link = driver.slot(), driver.link(DATA)
        clock.time += 86_399
        assert driver.storage.get(link).status_code == 200
        clock.time += 2
        assert driver.storage.get(link).status_code == 403
        assert driver.storage.put(slot["upload_url"], content=DATA).status_code == 403
        assert driver.storage.get(driver.link(DATA)).status_code == 200
        driver.close()


def test_the_judge_can_expire_urls_and_assets(driver: Driver) -> None:
    path, link = driver.upload(DATA), driver.link(DATA)
    driver.api.post("/_sandbox/expire", json={"what": ["urls"]}).raise_for_status()
    assert driver.storage.get(link).status_code == 403
    assert driver.submit(video=path).status_code == 200
    driver.api.post("/_sandbox/expire", json={"what": ["assets"]}).raise_for_status()
    assert driver.submit(video=path).status_code == 400
    assert driver.storage.get(driver.link(DATA)).status_code == 200


@pytest.mark.parametrize("where", ["the Authorization header", "a header", "the URL"])
@pytest.mark.parametrize("origin", ["uploads", "downloads"])
def test_a_key_that_comes_to_storage_is_refused_and_recorded(driver: Driver, where: str, origin: str) -> None:
    url = driver.slot()["upload_url"] if origin == "uploads" else driver.link(DATA)
    headers = {"the Authorization header": {"authorization": "Bearer other"}, "a header": {"x-key": KEY}}.get(
        where, {}
    )
    url = f"{url}&key={KEY}" if where == "the URL" else url
    method = "PUT" if origin == "uploads" else "GET"
    answer = driver.storage.request(method, url, headers=headers, content=DATA)
    assert answer.status_code == 400
    state = driver.state()
    assert (state["leaks"], state["leaked"]) == (1, [{"origin": origin, "where": where}])
    assert origin == "downloads" or state["uploads"] == {}
    assert KEY not in (driver.sandbox.world.directory / "journal.jsonl").read_text()


def test_good_requests_leak_nothing(driver: Driver) -> None:
    driver.storage.get(driver.link(DATA)).raise_for_status()
    assert driver.state()["leaks"] == 0


def test_an_upload_must_announce_its_length(driver: Driver) -> None:
    answer = driver.storage.put(driver.slot()["upload_url"], content=iter([b"abc"]))
    assert answer.status_code == 411


def test_large_files_are_never_held_in_memory(driver: Driver) -> None:
    """Measured as the growth of this process, which is both client and server."""
    size, chunk = 160 * 2**20, b"\x5a" * 2**20

    def chunks() -> Iterator[bytes]:
        for _ in range(size // len(chunk)):
            yield chunk

    slot = driver.slot()
    before = resident_bytes()
    answer = driver.storage.put(
        slot["upload_url"], content=chunks(), headers={"content-length": str(size)}, timeout=60
    )
    assert answer.status_code == 200
    link = driver.finished(video=slot["file_path"])["downloads"][0]["url"]
    received = peak = 0
    with driver.storage.stream("GET", link, timeout=60) as body:
        for part in body.iter_raw():
            received += len(part)
            if received % 2**24 < len(part):
                peak = max(peak, resident_bytes())
    assert received == size
    assert peak - before < 40 * 2**20


def resident_bytes() -> int:
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("this system tells no process how large it is")
    return int(status.read_text().split()[1]) * 4096


def test_storage_knows_no_other_paths(driver: Driver) -> None:
    assert httpx.get(driver.sandbox.download_url + "/v1/account").status_code == 403
    assert httpx.get(driver.sandbox.upload_url + "/v1/account").status_code == 404
