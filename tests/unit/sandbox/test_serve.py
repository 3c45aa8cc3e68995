"""The servers: how they start and stop, what survives a restart or a kill, and that nobody has to wait."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from unit.sandbox.driver import FAST, Driver, eventually, files_in

from batchsync.errors import SettingError
from batchsync.sandbox.faults import Fault
from batchsync.sandbox.serve import Sandbox

SERVE = """
import sys
from pathlib import Path
from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.serve import serve_forever
config = SandboxConfig(queue_seconds=0, render_seconds=0)
serve_forever(config, state_dir=Path(sys.argv[1]), on_ready=lambda sandbox: print(sandbox.api_url, flush=True))
"""


def test_a_restarted_sandbox_goes_on(tmp_path: Path) -> None:
    with Sandbox(FAST, state_dir=tmp_path) as sandbox:
        driver = Driver(sandbox)
        path = driver.upload(b"kept bytes")
        project = driver.finished(video=path)
        unused = driver.slot()
        before = driver.state()
        driver.close()
    with Sandbox(FAST, state_dir=tmp_path) as sandbox:
        driver = Driver(sandbox)
        after = driver.state()
        for key in ("account", "granted", "projects", "uploads", "leaks"):
            assert after[key] == before[key]
        assert driver.storage.get(project["downloads"][0]["url"]).content == b"kept bytes"  # the same port, too
        assert driver.storage.put(unused["upload_url"], content=b"x").status_code == 200
        assert driver.submit(video=path).status_code == 200
        driver.close()


def test_another_port_is_found_where_the_old_one_is_taken(tmp_path: Path) -> None:
    with Sandbox(FAST, state_dir=tmp_path) as sandbox:
        port = int(sandbox.upload_url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), Sandbox(FAST, state_dir=tmp_path) as again:
        assert again.upload_url != sandbox.upload_url
        assert again.api_url == sandbox.api_url


def test_a_killed_sandbox_has_lost_nothing_it_answered(tmp_path: Path) -> None:
    made: list[str] = []

    def submit_until_it_is_gone(driver: Driver) -> None:
        try:
            while True:
                made.append(driver.submit().json()["id"])
        except httpx.TransportError:
            driver.close()

    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", SERVE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        api_url = process.stdout.readline().strip()
        remote = type("Remote", (), {"api_url": api_url})()
        count = len(made)
        thread = threading.Thread(target=submit_until_it_is_gone, args=(Driver(remote),))
        thread.start()
        eventually(lambda count=count: len(made) >= count + 5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        thread.join()
    with Sandbox(FAST, state_dir=tmp_path) as sandbox:
        state = sandbox.state()
        kept = [project["id"] for project in state["projects"]]
        assert set(made) <= set(kept)
        assert len(kept) <= len(made) + 3  # at most one unanswered for each kill
        spent = sum(project["credits_charged"] for project in state["projects"])
        assert state["account"]["credits"] == state["granted"] - spent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_in_the_foreground_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVE, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert httpx.get(url + "/_sandbox/state").status_code == 200
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_closing_waits_for_nobody(tmp_path: Path) -> None:
    sandbox = Sandbox(FAST, faults=[Fault.parse("any:stall:times=2"), Fault.parse("any:slow:60")])
    errors: list[Exception] = []

    def ask() -> None:
        try:
            httpx.get(sandbox.api_url + "/v1/account", headers={"authorization": "Bearer k"}, timeout=30)
        except httpx.TransportError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: sandbox.state()["faults"][0]["seen"] == 4)
    started = time.monotonic()
    sandbox.close()
    sandbox.close()
    assert time.monotonic() - started < 10, "it would be a minute"
    for thread in threads:
        thread.join()
    assert len(errors) == 4
    with pytest.raises(httpx.ConnectError):
        httpx.get(sandbox.api_url)
    assert not sandbox.world.directory.exists()


def test_a_half_received_upload_is_swept_at_the_next_start_but_not_by_a_second_sandbox(tmp_path: Path) -> None:
    with Sandbox(FAST, state_dir=tmp_path) as sandbox:
        incoming = sandbox.world.store.receive()
        incoming.write(b"half of it")
        with pytest.raises(SettingError, match="another sandbox"):
            Sandbox(FAST, state_dir=tmp_path)
        assert len(files_in(tmp_path / "assets")) == 1
        incoming._file.close()  # as a kill would
    with Sandbox(FAST, state_dir=tmp_path):
        assert files_in(tmp_path / "assets") == []


def test_a_state_directory_stays(tmp_path: Path) -> None:
    Sandbox(FAST, state_dir=tmp_path / "new" / "one").close()
    assert files_in(tmp_path / "new" / "one") == ["assets", "journal.jsonl", "ports.json"]


def test_what_cant_be_used_is_said_and_given_back(tmp_path: Path) -> None:
    with Sandbox(FAST, state_dir=tmp_path) as first:
        with pytest.raises(SettingError, match="another sandbox"):
            Sandbox(FAST, state_dir=tmp_path)
        with pytest.raises(SettingError, match="can't use port"):
            Sandbox(FAST, state_dir=tmp_path / "b", port=int(first.api_url.rpartition(":")[2]))
    Sandbox(FAST, state_dir=tmp_path / "b").close()


def test_origins_are_separate_and_on_loopback(driver: Driver) -> None:
    sandbox = driver.sandbox
    urls = {sandbox.api_url, sandbox.upload_url, sandbox.download_url}
    assert len(urls) == 3
    assert all(url.startswith("http://127.0.0.1:") for url in urls)


def test_the_callers_signals_are_left_alone(sandbox: Sandbox) -> None:
    assert httpx.get(sandbox.api_url + "/_sandbox/state").status_code == 200
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_it_is_quick(driver: Driver) -> None:
    """Also where thousands of projects have ended; without TCP_NODELAY each request would take 40 ms."""
    ids = [driver.submit(end_seconds=0.1).json()["id"] for _ in range(400)]
    times = []
    for project_id in ids:
        started = time.monotonic()
        driver.look(project_id)
        times.append(time.monotonic() - started)
    assert min(times) < 0.02


def test_no_descriptor_is_left_open() -> None:
    count = Path("/proc/self/fd")
    if not count.exists():
        pytest.skip("this system doesn't list open files")
    Sandbox(FAST).close()
    before = len(os.listdir(count))
    for _ in range(5):
        with Sandbox(FAST) as sandbox:
            httpx.get(sandbox.api_url + "/_sandbox/state")
    assert len(os.listdir(count)) <= before
