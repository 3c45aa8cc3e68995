"""Whether another process still lives: only a surely dead one may lose what it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import wait_until

from batchsync.runner import process

LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="start times are read from /proc")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits until its standard input is closed."""
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield started
    started.kill()
    started.communicate()


def born(pid: int) -> str | None:
    return process._born(pid)[1]


def not_mine(pid: int, number: int) -> None:
    """`os.kill` for a process of another user."""
    raise PermissionError


def test_this_process_is_itself() -> None:
    me = process.me()
    assert (me.host, me.pid) == (process.host(), os.getpid())
    assert process.me() == me


@LINUX
def test_this_process_lives() -> None:
    me = process.me()
    assert process.is_dead(me.host, me.pid, me.born) is False


@LINUX
def test_a_living_process_lives(child: subprocess.Popen[bytes]) -> None:
    assert process.is_dead(process.host(), child.pid, born(child.pid)) is False


@pytest.mark.parametrize("mine", [True, False], ids=["mine", "another user's"])
def test_without_the_birth_that_was_written_down_nobody_can_tell(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, mine: bool
) -> None:
    """Its number may have been given to a later process."""
    with monkeypatch.context() as patch:  # the child itself is ended with `os.kill`
        if not mine:
            patch.setattr(os, "kill", not_mine)
        assert process.is_dead(process.host(), child.pid, None) is None


@pytest.mark.parametrize("mine", [True, False], ids=["mine", "another user's"])
def test_without_the_birth_as_it_is_now_nobody_can_tell(monkeypatch: pytest.MonkeyPatch, mine: bool) -> None:
    if not mine:
        monkeypatch.setattr(os, "kill", not_mine)
    monkeypatch.setattr(process, "_born", lambda _: (None, None))
    assert process.is_dead(process.host(), os.getpid(), "12345") is None


def test_an_ended_process_is_dead(child: subprocess.Popen[bytes]) -> None:
    was_born = born(child.pid)
    child.kill()
    child.communicate()
    assert process.is_dead(process.host(), child.pid, was_born) is True


@LINUX
def test_a_zombie_is_dead(child: subprocess.Popen[bytes]) -> None:
    was_born = born(child.pid)
    child.kill()
    wait_until(lambda: process._born(child.pid)[0] == "Z", 10)
    assert process.is_dead(process.host(), child.pid, was_born) is True
    assert process.is_dead(process.host(), child.pid, None) is True, "whoever it was"


@LINUX
def test_a_later_process_with_the_same_number_is_another(child: subprocess.Popen[bytes]) -> None:
    assert process.is_dead(process.host(), child.pid, "12345") is True


@LINUX
def test_a_later_process_of_another_user_with_the_same_number_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", not_mine)
    assert process.is_dead(process.host(), os.getpid(), "12345") is True


@LINUX
def test_another_users_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", not_mine)
    assert process.is_dead(process.host(), os.getpid(), born(os.getpid())) is False


def test_nobody_can_tell_from_here_about_another_machine() -> None:
    for pid in (1, os.getpid(), 2**22 + 1):
        assert process.is_dead("somewhere else", pid, "1") is None
    assert process.host() == process.host() != "somewhere else"


@LINUX
def test_a_name_with_brackets_and_spaces_is_no_trouble(tmp_path: Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to(sys.executable)
    started = subprocess.Popen([odd, "-S", "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        state, when = process._born(started.pid)
        assert state in set("RSD")
        assert when is not None
        assert abs(int(when) - int(born(os.getpid()) or 0)) < 10**8
        assert int(when) >= int(born(os.getpid()) or 0)
    finally:
        started.kill()
        started.communicate()


def test_a_number_that_no_process_has() -> None:
    assert process._born(2**30) == (None, None)
    assert process.is_dead(process.host(), 2**22 + 1, None) is True
