"""Who this process is, and whether another one that wrote to the ledger still lives."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

from batchsync.ledger.intake import Process

_BORN_FIELD = 19  # of /proc/PID/stat, counted after the command's closing bracket: the start time in clock ticks
_DEAD = frozenset("ZXx")


@cache
def host() -> str:
    """A name for the set of processes that can see each other: this machine since it started, this container."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def me() -> Process:
    """This process."""
    return Process(host(), os.getpid(), _born(os.getpid())[1])


def is_dead(where: str, pid: int, born: str | None) -> bool | None:
    """Whether process `pid` has ended: True or False if that can be known here, else None."""
    if where != host():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody's process has that number; whether it is the same one, its birth tells
    state, now_born = _born(pid)
    if state in _DEAD:
        return True
    if born is None or now_born is None:
        return None
    # A later process may have been given the same number.
    return born != now_born


def _born(pid: int) -> tuple[str | None, str | None]:
    """A process's state letter and start time, where the system tells them."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None, None
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[_BORN_FIELD]
