"""The ledger itself: opens the database, runs transactions, and lets many writes of a moment share one commit."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import anyio
from anyio import to_thread
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from batchsync.clock import Clock, SystemClock
from batchsync.errors import DiskFull, LedgerBusy, LedgerError, LedgerMissing
from batchsync.ledger import schema
from batchsync.ledger.decisions import Decisions
from batchsync.ledger.engine import (
    create_private,
    database_errors,
    ledger_url,
    make_engine,
    patiently,
    sqlite_path,
)
from batchsync.ledger.intake import Intake
from batchsync.ledger.outcomes import Outcomes
from batchsync.ledger.paces import Paces
from batchsync.ledger.submissions import Answers
from batchsync.ledger.uploads import Uploads
from batchsync.ledger.views import Views
from batchsync.model.job import MediaFacts

log = logging.getLogger("batchsync.ledger")

REMEMBER_MS = 500  # how long to wait for a lock when nothing but time is at stake

T = TypeVar("T")


class Writes(Intake, Uploads, Answers, Outcomes, Decisions, Paces):
    """Every write there is. All of one transaction, at one time, by one run."""


class Ledger:
    """A ledger on disk. `location` is a path (SQLite) or a database URL; `path` is the file, None of a server's.

    `write` and `read` run a function in one transaction and return its result; both block, and belong in a thread
    where an event loop runs (`GroupCommit`). Raises LedgerError and its kinds.
    """

    def __init__(self, location: str, *, create: bool = False, clock: Clock | None = None) -> None:
        self.url = ledger_url(location)
        self.path = sqlite_path(self.url)
        self.location = str(self.path or self.url.render_as_string(hide_password=True))
        self.clock = clock or SystemClock()
        if self.path is not None and not self.path.exists():
            if not create:
                raise LedgerMissing(
                    f"there is no ledger at {self.path}", hint="`batchsync run MANIFEST` makes one; or use --ledger"
                )
            create_private(self.path)
        self._writer = make_engine(self.url, write=True)
        self._prompt = make_engine(self.url, write=True, patience_ms=0)
        self._reader = make_engine(self.url, write=False)
        try:
            # Looked at before it is written to: somebody else's database stays as it is.
            if create and patiently(lambda: schema.revision(self._reader)) is None:
                patiently(lambda: schema.create(self._writer))
            patiently(lambda: schema.require_current(self._reader))
        except BaseException:
            self.close()
            raise

    def write(self, work: Callable[[Writes], T], run_id: str | None = None) -> T:
        """Run `work` in one transaction that is on the disk when this returns."""
        with self._begin(self._writer) as connection:
            return work(Writes(connection, self.clock.now(), run_id))

    @contextmanager
    def _begin(self, engine: Engine) -> Iterator[Connection]:
        """A transaction. A lock of somebody else's is waited for in short steps, so that signals are heard."""
        with ExitStack() as stack:

            def begin() -> Connection:
                with database_errors(self.url):
                    return stack.enter_context(engine.begin())

            connection = patiently(begin)
            with database_errors(self.url):
                yield connection
                stack.close()

    def write_all(self, works: Sequence[Callable[[Writes], Any]], run_id: str | None) -> list[Any]:
        """Run many writes in one transaction. One that fails is undone alone, and its exception is its result."""

        def one(connection: Connection, work: Callable[[Writes], Any]) -> Any:
            try:
                with connection.begin_nested():
                    return work(Writes(connection, self.clock.now(), run_id))
            except DBAPIError:
                raise  # the database itself is in trouble: none of it may count
            except Exception as error:
                return error

        with self._begin(self._writer) as connection:
            return [one(connection, work) for work in works]

    @contextmanager
    def at_once(self) -> Iterator[Connection]:
        """A transaction that is undone unless it is committed; raises LedgerBusy rather than wait for a lock."""
        with database_errors(self.url), self._prompt.connect() as connection:
            connection.begin()
            yield connection

    def read(self, work: Callable[[Views], T]) -> T:
        """Run `work` on one snapshot."""
        with self._begin(self._reader) as connection:
            return work(Views(connection, self.clock.now()))

    def remember(self, facts: Sequence[MediaFacts]) -> None:
        """Keep what was read of local files, so that it is read once. It only saves time: where the ledger can't be
        written, or is locked for more than a moment, it is forgotten."""
        if not facts:
            return
        hasty = make_engine(self.url, write=True, patience_ms=REMEMBER_MS)
        try:
            with database_errors(self.url), hasty.begin() as connection:
                Writes(connection, self.clock.now(), None).remember_media(facts)
        except (LedgerError, DiskFull) as error:
            log.debug("what was read of local files is not kept: %s", error)
        finally:
            hasty.dispose()

    def backup(self, target: Path) -> None:
        """Copy the ledger as of one moment into a new file; see `schema.backup`."""
        schema.backup(self._reader, target)

    def close(self) -> None:
        """Let go of the database."""
        for engine in (self._writer, self._prompt, self._reader):
            engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(slots=True)
class _Waiting(Generic[T]):
    work: Callable[[Writes], T]
    done: anyio.Event = field(default_factory=anyio.Event)
    result: Any = None


class GroupCommit:
    """Writes and reads of an event loop: all writes that wait share the next commit.

    A write returns only when it is on the disk. Cancelling the wait doesn't undo the write.

    What a run writes is done on the event loop itself, and only the commit, which waits for the disk, in a thread:
    the GIL would go back and forth at every step of every statement, and cost more than the statements do.
    """

    MOST = 256  # writes to a commit: nothing else goes on in the event loop meanwhile

    def __init__(self, ledger: Ledger, run_id: str) -> None:
        self.ledger = ledger
        self.run_id = run_id
        self._queue: deque[_Waiting[Any]] = deque()
        self._wake = anyio.Event()
        self._one_writer = anyio.CapacityLimiter(1)
        self._one_reader = anyio.CapacityLimiter(1)
        self._closed = False

    async def write(self, work: Callable[[Writes], T]) -> T:
        """Run `work` in the next transaction; raises what it raised."""
        waiting = _Waiting(work)
        self._queue.append(waiting)
        self._wake.set()
        await waiting.done.wait()
        if isinstance(waiting.result, BaseException):
            raise waiting.result
        return cast(T, waiting.result)

    async def read(self, work: Callable[[Views], T]) -> T:
        """Run `work` on a snapshot."""
        return await to_thread.run_sync(self.ledger.read, work, limiter=self._one_reader)

    async def serve(self) -> None:
        """Commit what waits, until `close`; then commit the rest and return."""
        with anyio.CancelScope(shield=True):
            while self._queue or not self._closed:
                if not self._queue:
                    self._wake = anyio.Event()
                    await self._wake.wait()
                    continue
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), self.MOST))]
                await self._commit(batch)

    async def _commit(self, batch: list[_Waiting[Any]]) -> None:
        works = [waiting.work for waiting in batch]
        try:
            results = await self._write_all(works)
        except Exception as error:
            results = [error] * len(batch)
        for waiting, result in zip(batch, results, strict=True):
            waiting.result = result
            waiting.done.set()

    async def _write_all(self, works: list[Callable[[Writes], Any]]) -> list[Any]:
        """What has happened must be written down: a lock that somebody else holds is waited out, however long."""
        if self.ledger.path is not None and (results := await self._write_here(works)) is not None:
            return results
        while True:
            try:
                return await to_thread.run_sync(self.ledger.write_all, works, self.run_id, limiter=self._one_writer)
            except LedgerBusy as error:
                log.warning("%s: waiting for it", error)
                await anyio.sleep(1.0)

    async def _write_here(self, works: list[Callable[[Writes], Any]]) -> list[Any] | None:
        """Without a wait for anybody; None if that can't be, or if one of the writes fails, and nothing is done.

        Savepoints cost more than many a write, and hardly ever one fails: only then it is all done again, with them.
        A write may therefore run twice, and must do nothing but write.
        """
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(self.ledger.at_once())
                results = [work(Writes(connection, self.ledger.clock.now(), self.run_id)) for work in works]
            except Exception:
                return None
            await to_thread.run_sync(connection.commit, limiter=self._one_writer)
            return results

    def close(self) -> None:
        """Let `serve` end once nothing waits any more."""
        self._closed = True
        self._wake.set()
