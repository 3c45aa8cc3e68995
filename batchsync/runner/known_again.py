"""A manifest that needs no plan any more: the same file as before, and the same media."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from batchsync import __version__
from batchsync.errors import LedgerMissing
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.seals import Sealed, SeenFile
from batchsync.manifest.load import STDIN
from batchsync.manifest.text import absolute
from batchsync.planning.tiers import surely_allowed

AskTier = Callable[[], str | None]


def seal_of(digest: str, output_dir: str) -> str:
    """What a plan follows from, as a SHA-256 in hex, beside local files and the ledger's jobs: the manifest's bytes
    (`digest`), where outputs go, and this program.
    """
    return hashlib.sha256("\0".join((__version__, output_dir, digest)).encode()).hexdigest()


def known_again(
    source: str, output_dir: Path, location: str, *, ask_tier: AskTier | None = None, only_ended: bool = False
) -> int | None:
    """The ledger's number of the manifest at `source`, if planning it again could neither find nor change anything.

    It takes seconds to plan a hundred thousand rows, and a run that goes on where it was has no use for it.
    None where that isn't certain, whatever the reason: then the plan will tell. None as well with `only_ended`
    where jobs are left to be submitted. `ask_tier` is called only if there may be a tier that doesn't allow them.
    """
    digest = None if source == STDIN else _digest(source)
    if digest is None:
        return None
    seal = seal_of(digest, str(output_dir.absolute()))
    try:
        with Ledger(location) as ledger:
            found = ledger.read(lambda v: v.sealed(absolute(source), seal))
    except LedgerMissing:
        return None
    if found is None or (only_ended and found.waiting) or not all(_is_as_it_was(file) for file in found.files):
        return None
    return found.manifest_id if not found.waiting or _is_allowed(found, ask_tier) else None


def _is_allowed(found: Sealed, ask_tier: AskTier | None) -> bool:
    largest = max((file.size for file in found.files), default=0)
    return surely_allowed(found.waiting, largest, None) or (
        ask_tier is not None and surely_allowed(found.waiting, largest, ask_tier())
    )


def _digest(source: str) -> str | None:
    try:
        if not stat.S_ISREG(os.stat(source).st_mode):
            return None  # a pipe can be read but once
        with open(source, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def _is_as_it_was(file: SeenFile) -> bool:
    try:
        found = os.stat(file.path)
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (file.size, file.mtime_ns)
