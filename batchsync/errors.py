"""Every error a user can meet, as one tree: a code for scripts, a text for people, a hint what to do next.

BatchsyncError                exit 2 unless a subclass says otherwise
├── SettingError              an option, environment variable or key that can't be used
│   └── KeyMissing            there is no API key
├── ManifestError             the manifest has faults; carries all of them
├── OutputError               the output directory or a file in it can't be used
├── LedgerError               the ledger can't be used
│   ├── LedgerBusy            locked by another program for too long
│   ├── LedgerMissing         no ledger at that path
│   ├── LedgerTooNew          written by a newer batchsync
│   ├── LedgerTooOld          needs `batchsync ledger upgrade`
│   ├── UnknownJob            no such job in this ledger
│   ├── UnknownManifest       no such manifest in this ledger
│   └── UnknownRun            no such run in this ledger
├── IllegalTransition         the ledger refused an event in that state; nothing was written
├── LeaseLost                 another process has taken the job over; nothing was written
└── DiskFull                  exit 3: no room for the ledger or an output; resumable
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from batchsync.model.problem import Problem


# What a command ends with. `batchsync --help` and the README print this table.
EXIT_CODES = {
    0: "every job is complete; for all but `run` and `resume`: done",
    1: "the run came to its end, and some jobs are failed, canceled or held",
    2: "bad manifest, option, key, ledger or output directory: nothing was sent that costs anything",
    3: "stopped early and resumable, with unfinished jobs left",
}


class BatchsyncError(Exception):
    """An error with a stable `code`, an `exit_code`, and a `hint` that says what to do next."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingError(BatchsyncError):
    """An option, an environment variable or the API key can't be used."""

    code = "bad_setting"


class KeyMissing(SettingError):
    """There is no API key."""

    code = "key_missing"


class ManifestError(BatchsyncError):
    """The manifest has faults. `problems` holds every one of them, in the order of the file."""

    code = "bad_manifest"

    def __init__(self, message: str, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class OutputError(BatchsyncError):
    """The output directory, or a file in it, can't be used."""

    code = "bad_output"


class LedgerError(BatchsyncError):
    """The ledger can't be used as it is."""

    code = "bad_ledger"


class LedgerBusy(LedgerError):
    """Another program has locked the ledger for too long."""

    code = "ledger_busy"


class LedgerMissing(LedgerError):
    """There is no ledger at that path."""

    code = "ledger_missing"


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer batchsync."""

    code = "ledger_too_new"


class LedgerTooOld(LedgerError):
    """The ledger needs `batchsync ledger upgrade` first."""

    code = "ledger_too_old"


class UnknownJob(LedgerError):
    """The ledger has no such job."""

    code = "unknown_job"


class UnknownManifest(LedgerError):
    """The ledger has no such manifest."""

    code = "unknown_manifest"


class UnknownRun(LedgerError):
    """The ledger has no such run."""

    code = "unknown_run"


class IllegalTransition(BatchsyncError):
    """The ledger refused an event in that state. Nothing was written."""

    code = "illegal_transition"
    exit_code = 1


class LeaseLost(BatchsyncError):
    """Another process has taken the job over. Nothing was written."""

    code = "lease_lost"
    exit_code = 1


class DiskFull(BatchsyncError):
    """There is no room left for the ledger or an output. What was done is kept; the run can be resumed."""

    code = "disk_full"
    exit_code = 3


@contextmanager
def one_error() -> Iterator[None]:
    """Raise the error itself where a task group has wrapped it; one that a user can act on goes first."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = _leaves(group)
        raise next((leaf for leaf in leaves if isinstance(leaf, BatchsyncError)), leaves[0]) from None


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]
