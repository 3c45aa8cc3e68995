"""The database's dialect: how an engine is made, locked and upserted. All that is SQLite's own stands here."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Executable, Select, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry

from batchsync.errors import DiskFull, LedgerBusy, LedgerError

T = TypeVar("T")

PATIENCE_SECONDS = 30.0  # how long another program's lock is waited for
BUSY_TIMEOUT_MS = 250  # of that in one call, in which no signal is heard


def ledger_url(location: str) -> URL:
    """A database URL from a path or a URL, as `--ledger` takes it."""
    if "://" not in location:
        return URL.create("sqlite", database=str(Path(location).absolute()))
    try:
        return make_url(location)
    except ArgumentError:
        raise LedgerError("--ledger is neither a path nor a database URL", hint="for example batchsync.db") from None


def sqlite_path(url: URL) -> Path | None:
    """The file of a SQLite ledger, None for any other database."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database)


def create_private(path: Path) -> None:
    """Create the ledger's file for its owner only, before SQLite would create it for everybody."""
    if not path.parent.is_dir():
        raise LedgerError(f"the folder of the ledger doesn't exist: {path.parent}", hint="create it, or use --ledger")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, stat.S_IRUSR | stat.S_IWUSR))
    except FileExistsError:
        return
    except OSError as error:
        raise LedgerError(f"the ledger can't be created: {path}: {error.strerror}") from None


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database as of one moment, even while it is in use; `target` appears whole or not at all.

    For its owner only. Raises FileExistsError if something stands there, OSError if nothing can be written there.
    """
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    part, wait = Path(name), PATIENCE_SECONDS
    try:
        with closing(sqlite3.connect(source, timeout=wait)) as old, closing(sqlite3.connect(part)) as new:
            old.backup(new)
        try:
            os.link(part, target)  # unlike a rename, never over what stands there
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links, such as a memory stick's
            if os.path.lexists(target):
                raise FileExistsError(target) from None
            part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def make_engine(url: URL, *, write: bool, patience_ms: int = BUSY_TIMEOUT_MS) -> Engine:
    """An engine whose transactions lock from their first moment (`write`) or only read a snapshot.

    `patience_ms` is how long SQLite waits for a lock that somebody else holds.
    """
    # What a user types may hold a password, and what stands in a row may be private: neither belongs in an error.
    try:
        engine = create_engine(url, hide_parameters=True)
    except (ArgumentError, NoSuchModuleError, ImportError):
        shown = url.render_as_string(hide_password=True)
        raise LedgerError(
            f"nothing here can open a ledger at {shown}", hint="use a path, such as batchsync.db"
        ) from None
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, write, patience_ms)
    return engine


def _prepare_sqlite(engine: Engine, write: bool, patience_ms: int) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={patience_ms}")
        cursor.execute("PRAGMA foreign_keys=ON")
        if write:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")  # a commit is on the disk before a paid request leaves
        else:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def locked_rows(statement: Select[Any]) -> Select[Any]:
    """Lock what a claim reads, passing over what others have locked; SQLite's write lock does it already."""
    return statement.with_for_update(skip_locked=True)


def upsert(
    connection: Connection, table: type[DeclarativeBase], rows: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> None:
    """Insert `rows`; where the `keys` are taken, replace all other columns."""
    if rows:
        statement = _upsert(connection.dialect.name, table, tuple(rows[0]), tuple(keys))
        connection.execute(statement, list(rows))


@cache
def _upsert(
    dialect: str, table: type[DeclarativeBase], columns: tuple[str, ...], keys: tuple[str, ...]
) -> Executable:
    """The statement of an upsert: built once, as building one costs several times as much as running it."""
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    statement = insert(table)
    others = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=others)


def integrity_faults(connection: Connection) -> list[str]:
    """What the database finds wrong with itself: damaged pages, indexes that don't fit, rows that point nowhere."""
    if connection.dialect.name != "sqlite":
        return []  # a database server looks after its own files
    damaged = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)") if row[0] != "ok"]
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return damaged + [f"row {row[1]} of {row[0]} points to a row of {row[2]} that isn't there" for row in lost[:20]]


@contextmanager
def database_errors(url: URL) -> Iterator[None]:
    """Turn the driver's errors into the ones that a user can act on."""
    where = sqlite_path(url) or url.render_as_string(hide_password=True)
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        text = _story(error)
        if "is full" in text or "No space left" in text:
            raise DiskFull(
                f"the disk of the ledger is full: {where}", hint="make room, then run the same command again"
            ) from None
        if "locked" in text:
            raise LedgerBusy(
                f"the ledger is locked by another program: {where}", hint="close it, then run the same command again"
            ) from None
        if any(words in text for words in ("not a database", "malformed", "no such table", "no such column")):
            raise LedgerError(f"this file is no ledger, or it is damaged: {where}", hint="use --ledger") from None
        if "readonly" in text or "unable to open" in text or "read-only" in text:
            raise LedgerError(f"the ledger can't be written: {where}", hint="check its permissions") from None
        raise


def patiently(attempt: Callable[[], T]) -> T:
    """`attempt` until nobody else's lock is in its way, for a while: in short steps, so that signals are heard."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return attempt()
        except LedgerBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _story(error: BaseException | None) -> str:
    """An error's words and those of what led to it: a full disk may show as a savepoint that is no more."""
    words = []
    while error is not None:
        words.append(str(error))
        error = error.__context__
    return "; ".join(words)
