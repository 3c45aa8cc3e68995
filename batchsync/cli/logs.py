"""Where log lines go: standard error for people, above the progress bar; a file, as text or JSON."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from batchsync.cli.output import clean, json_text
from batchsync.errors import SettingError

PROGRESS = "batchsync.progress"


class _AboveTheBar(logging.Handler):
    """Prints lines on standard error without tearing the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        # A terminal that has gone away must not take the night's run with it.
        with suppress(OSError, ValueError):
            tqdm.write(self.format(record), file=sys.stderr)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"{at} {level}{clean(record.getMessage())}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "at": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json_text(fields, indent=None)


def logs_are_json() -> bool:
    """Whether a log system reads standard error: then nothing but lines of JSON goes there."""
    return any(isinstance(handler.formatter, _Json) for handler in logging.getLogger("batchsync").handlers)


def set_up(*, quiet: bool, verbose: int, log_file: Path | None, log_format: str) -> None:
    """Send the program's log to standard error (warnings; `verbose` for more) and to `log_file` (all of it).

    As JSON it is for a log system, which wants every event.
    """
    formatter = _Json() if log_format == "json" else _Text()
    root = logging.getLogger("batchsync")
    root.handlers.clear()
    root.propagate = False
    screen = _AboveTheBar()
    verbose = max(verbose, int(log_format == "json"))
    screen.setLevel(logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    screen.setFormatter(formatter)
    root.addHandler(screen)
    if log_file is not None:
        try:
            # For its owner only, as the ledger is: it names inputs and jobs. A file that is there keeps its mode.
            os.close(os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            file = logging.FileHandler(log_file, encoding="utf-8")
        except OSError as error:
            raise SettingError(f"the log file {log_file} can't be written: {error.strerror}") from None
        file.setFormatter(formatter)
        root.addHandler(file)
    # Below what anybody reads no record is made.
    root.setLevel(min([screen.level, *([logging.DEBUG if verbose > 1 else logging.INFO] if log_file else [])]))
    # Progress lines are for everybody who has no bar, whatever the level of the rest.
    progress = logging.getLogger(PROGRESS)
    progress.handlers.clear()
    progress.setLevel(logging.INFO)
    if not quiet and screen.level > logging.INFO:
        line = _AboveTheBar()
        line.setFormatter(formatter)
        line.addFilter(lambda record: record.levelno == logging.INFO)
        progress.addHandler(line)
