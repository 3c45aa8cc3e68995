"""The sandbox's memory across restarts: a file of JSON lines, each written before the answer that it stands for.

A line reaches the operating system before `append` returns, so that a killed process loses none.
It isn't synced to the disk: a simulated vendor need not outlive a power cut.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from batchsync.errors import SettingError


class Journal:
    """An append-only list of events, each a dict. One process at a time; a torn last line is dropped.

    Raises SettingError where another process has it open or a line in its middle can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.events = self._read(path)
        except OSError:
            os.close(self._file)
            raise SettingError(f"{path}: another sandbox is using it", hint="give each its own directory") from None
        except SettingError:
            os.close(self._file)
            raise
        self._closed = False

    def append(self, event: dict[str, Any]) -> None:
        """Write one event. Raises OSError, and then nothing of it is left in the file."""
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        before = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) != len(line):
                raise OSError("short write")
        except OSError:
            os.ftruncate(self._file, before)
            raise

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._file)

    def _read(self, path: Path) -> list[dict[str, Any]]:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(self._file, len(whole))
        events = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                events.append(json.loads(line))
            except ValueError:
                raise SettingError(f"{path}:{number}: not a line of a sandbox's journal") from None
        return events
