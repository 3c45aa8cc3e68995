"""From options to a vendor and a ledger: the key, the embedded sandbox, and who may meet whom."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchsync.errors import KeyMissing, LedgerError, SettingError
from batchsync.ledger.engine import ledger_url, sqlite_path
from batchsync.ledger.ledger import Ledger
from batchsync.vendor.http import check_api_url, check_key
from batchsync.vendor.magichour import MagicHour

log = logging.getLogger("batchsync")

SANDBOX_KEY = "sandbox"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API is and the key for it; `sandbox` if it is the embedded one."""

    api_url: str
    key: str
    sandbox: bool

    def vendor(self) -> MagicHour:
        """A client; close it with `aclose`."""
        return MagicHour(self.api_url, self.key)

    def bind(self, ledger: Ledger) -> None:
        """Keep simulated and real jobs apart: a ledger belongs to the first vendor it met. Raises LedgerError."""
        mine = "sandbox" if self.sandbox else "live"
        found = ledger.write(lambda w: w.bind(mine))
        if found == mine:
            return
        if found == "sandbox":
            raise LedgerError(
                f"{ledger.location} was made with --sandbox: its jobs, files and credits are simulated",
                hint="use another --ledger, or add --sandbox",
            )
        raise LedgerError(
            f"{ledger.location} holds real jobs, and --sandbox would mix them with simulated ones",
            hint="use another --ledger with --sandbox",
        )


def api_key(key_file: Path | None) -> str:
    """The API key, from a file or from MAGIC_HOUR_API_KEY. Raises SettingError; never quotes it."""
    if key_file is not None:
        try:
            key = key_file.read_text(encoding="utf-8").strip()
            if key_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) and not _is_credential(key_file):
                log.warning("%s can be read by others than its owner: chmod 600 %s", key_file, key_file)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SettingError(f"the key file {key_file} can't be read: {reason}") from None
    else:
        key = os.environ.get("MAGIC_HOUR_API_KEY", "").strip()
        if not key:
            raise KeyMissing(
                "there is no API key",
                hint="set MAGIC_HOUR_API_KEY or use --api-key-file; to try it out without one, add --sandbox",
            )
    return check_key(key)


def _is_credential(path: Path) -> bool:
    """Whether systemd keeps the file for this service: by an ACL, whose mask looks like a group's rights."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and path.resolve().is_relative_to(Path(folder).resolve())


@contextmanager
def connection(api_url: str, key_file: Path | None, sandbox: bool, ledger: str | None = None) -> Iterator[Connection]:
    """The vendor that the options ask for; an embedded sandbox lives as long as this does.

    The sandbox keeps its state beside the ledger, so that a run that was interrupted finds its projects again.
    """
    if not sandbox:
        yield Connection(check_api_url(api_url), api_key(key_file), sandbox=False)
        return
    from batchsync.sandbox.serve import Sandbox

    path = sqlite_path(ledger_url(ledger)) if ledger else None
    state = path.with_name(path.name + ".sandbox") if path else None
    with Sandbox(state_dir=state) as world:
        yield Connection(world.api_url, SANDBOX_KEY, sandbox=True)
