"""The API key from a file: who else may read it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from batchsync.cli.connect import api_key


@pytest.mark.parametrize(("credentials", "warned"), [(None, True), ("elsewhere", True), (".", False)])
def test_a_key_that_others_can_read_is_warned_of_unless_systemd_keeps_it(
    credentials: str | None,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = tmp_path / "key"
    key.write_text("mhk_0123456789\n")
    key.chmod(0o440)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    if credentials is not None:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / credentials))
    monkeypatch.setattr(logging.getLogger("batchsync"), "propagate", True)
    assert api_key(key) == "mhk_0123456789"
    assert ("can be read by others" in caplog.text) is warned
