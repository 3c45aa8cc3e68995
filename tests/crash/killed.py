"""Lives of the program that end with SIGKILL at a named point: the product as it is, wrapped from outside.

    python tests/crash/killed.py POINT[:N] run jobs.csv …    one life, killed at its N-th passing of POINT
    python tests/crash/killed.py                             a nursery: forks the lives that its input asks for

The points are derived from the product's own classes, so that a new write or request is one by itself. A nursery has
everything imported: its lives are real processes, and begin within milliseconds. For each line of JSON on its input,
`{"folder", "words", "point", "out", "err"}`, it writes two lines: the life's pid, and at its end its exit code.
"""

from __future__ import annotations

import functools
import gc
import importlib
import inspect
import json
import os
import signal
import ssl
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any, NoReturn

import httpx
from sqlalchemy import Engine, event

from batchsync.cli.main import COMMANDS, main
from batchsync.ledger import schema
from batchsync.ledger.ledger import GroupCommit, Ledger, Writes
from batchsync.model import backoff
from batchsync.runner import pace, run, saving
from batchsync.vendor.magichour import MagicHour
from batchsync.vendor.transfer import Receiving

# A life here lasts a second: what the product does every few seconds has to fit into it.
HURRY: dict[tuple[Any, str], float] = {
    (run, "HEARTBEAT_SECONDS"): 0.2,
    (pace, "START_RATE"): 100.0,
    (backoff, "FIRST_SECONDS"): 0.1,
}

# What a life would import only when it comes to use it.
LATE = (
    "alembic.command",
    "alembic.config",
    "anyio._backends._asyncio",
    "anyio._core._signals",
    "av",
    "certifi",
    "httpcore",
    "sqlalchemy.dialects.sqlite",
)


# --- The points ---------------------------------------------------------------------------------------------


def _public(owner: type) -> tuple[str, ...]:
    return tuple(name for name, _ in inspect.getmembers(owner, inspect.isfunction) if not name.startswith("_"))


def _files() -> tuple[str, ...]:
    functions = inspect.getmembers(saving, inspect.isfunction)
    mine = [name for name, one in functions if one.__module__ == saving.__name__ and not name.startswith("_")]
    return (*(name for name in mine if name not in NO_STEPS), "open", *_public(saving.Part), "link", "unlink")


NO_WRITES = frozenset({"exposure"})  # public among the writes, as they need its answer, but it only reads
NO_REQUESTS = frozenset({"aclose"})
NO_STEPS = frozenset({"numbered", "part_of", "digest_of"})  # names of files and a look at one: nothing is changed
WRITES = tuple(name for name in _public(Writes) if name not in NO_WRITES)
REQUESTS = tuple(name for name in _public(MagicHour) if name not in NO_REQUESTS)
TRANSFERS = ("put", "download")
FILES = _files()

POINTS = (
    "ledger.create:before",
    "ledger.create:after",
    "ledger.statement",  # after any statement of any transaction
    *(f"ledger.{name}:{when}" for name in WRITES for when in ("uncommitted", "committed")),
    *(f"vendor.{name}:{when}" for name in REQUESTS for when in ("before", "sent", "answered", "after")),
    *(f"vendor.{name}:partly" for name in TRANSFERS),
    *(f"file.{name}:{when}" for name in FILES for when in ("before", "after")),
)


class Trap:
    """Kills this process when it passes `point` for the N-th time, given as `point:N` (or for the first time)."""

    def __init__(self, text: str) -> None:
        point, _, number = text.rpartition(":")
        self.point, self.left = (point, int(number)) if number.isdigit() else (text, 1)
        assert self.point in POINTS, f"there is no point {self.point}"

    def __call__(self, passed: str) -> None:
        if passed == self.point:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)


def arm(trap: Trap) -> None:
    """Have every point of the product lead through `trap`."""
    _arm_ledger(trap)
    _arm_vendor(trap)
    _arm_files(trap)


def _around(trap: Trap, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **options: Any) -> Any:
        trap(f"{name}:before")
        result = function(*args, **options)
        trap(f"{name}:after")
        return result

    return wrapped


# --- The ledger ---------------------------------------------------------------------------------------------


class _Written(threading.local):
    """The writes of this thread's transaction."""

    def __init__(self) -> None:
        self.names: list[str] = []


def _arm_ledger(trap: Trap) -> None:
    schema.create = _around(trap, "ledger.create", schema.create)
    event.listen(Engine, "after_cursor_execute", lambda *_: trap("ledger.statement"))
    written = _Written()
    for name in WRITES:
        setattr(Writes, name, _uncommitted(trap, name, getattr(Writes, name), written))
    for name in ("write", "write_all"):
        setattr(Ledger, name, _committed(trap, getattr(Ledger, name), written))
    here = GroupCommit._write_here

    async def write_here(self: GroupCommit, works: list[Callable[[Writes], Any]]) -> list[Any] | None:
        written.names.clear()
        results = await here(self, works)
        if results is not None:
            _tell(trap, written)
        return results

    GroupCommit._write_here = write_here  # type: ignore[method-assign]


def _uncommitted(trap: Trap, name: str, write: Callable[..., Any], written: _Written) -> Callable[..., Any]:
    def wrapped(self: Writes, *args: Any, **options: Any) -> Any:
        before = _changes(self)
        result = write(self, *args, **options)
        if _changes(self) != before:  # a claim that got nothing has written nothing, and is no point
            trap(f"ledger.{name}:uncommitted")
            written.names.append(name)
        return result

    return wrapped


def _changes(writes: Writes) -> int:
    return int(writes.connection.connection.driver_connection.total_changes)  # type: ignore[union-attr]


def _committed(trap: Trap, transaction: Callable[..., Any], written: _Written) -> Callable[..., Any]:
    def wrapped(*args: Any, **options: Any) -> Any:
        written.names.clear()
        result = transaction(*args, **options)
        _tell(trap, written)
        return result

    return wrapped


def _tell(trap: Trap, written: _Written) -> None:
    for name in written.names:
        trap(f"ledger.{name}:committed")


# --- The vendor ---------------------------------------------------------------------------------------------

_request: ContextVar[str] = ContextVar("request")
_ON_THE_WIRE = {
    "http11.send_request_body.complete": "sent",  # it has left; nobody knows whether it came
    "http11.receive_response_headers.complete": "answered",  # it has been done; nobody here knows
}


def _arm_vendor(trap: Trap) -> None:
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def traced(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        name = _request.get()

        async def trace(moment: str, _info: object) -> None:
            if moment in _ON_THE_WIRE:
                trap(f"vendor.{name}:{_ON_THE_WIRE[moment]}")

        request.extensions["trace"] = trace
        return await send(self, request)

    httpx.AsyncHTTPTransport.handle_async_request = traced  # type: ignore[method-assign]
    for name in REQUESTS:
        if name != "download":
            setattr(MagicHour, name, _asked(trap, name, getattr(MagicHour, name)))
    _arm_download(trap)


def _asked(trap: Trap, name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapped(self: MagicHour, *args: Any) -> Any:
        trap(f"vendor.{name}:before")
        if name == "put":
            slot, chunks, size = args
            args = (slot, _partly(trap, name, chunks), size)
        _request.set(name)
        result = await ask(self, *args)
        trap(f"vendor.{name}:after")
        return result

    return wrapped


def _arm_download(trap: Trap) -> None:
    enter, chunks = Receiving.__aenter__, Receiving.chunks

    async def entered(self: Receiving) -> Receiving:
        trap("vendor.download:before")
        _request.set("download")
        return await enter(self)

    async def received(self: Receiving) -> AsyncGenerator[bytes, None]:
        async for chunk in _partly(trap, "download", chunks(self)):
            yield chunk
        trap("vendor.download:after")

    Receiving.__aenter__ = entered  # type: ignore[method-assign]
    Receiving.chunks = received  # type: ignore[method-assign]


async def _partly(trap: Trap, name: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
        trap(f"vendor.{name}:partly")  # it asks for more: this chunk is on its way, or kept


# --- The files ----------------------------------------------------------------------------------------------


def _arm_files(trap: Trap) -> None:
    for name in FILES:
        if name in ("link", "unlink"):
            setattr(os, name, _on_a_part(trap, name, getattr(os, name)))
            continue
        owner = saving if hasattr(saving, name) else saving.Part
        attribute = "__init__" if name == "open" else name
        setattr(owner, attribute, _around(trap, f"file.{name}", getattr(owner, attribute)))


def _on_a_part(trap: Trap, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The system's own call, a point only where there is a part to move or remove."""
    around = _around(trap, f"file.{name}", call)

    def wrapped(path: Any, *args: Any, **options: Any) -> Any:
        is_part = str(path).endswith(".part") and os.path.lexists(path)
        return (around if is_part else call)(path, *args, **options)

    return wrapped


# --- Lives --------------------------------------------------------------------------------------------------


def live(point: str | None, words: list[str]) -> NoReturn:
    """Run a command line to its end, or to `point`."""
    for (module, name), value in HURRY.items():
        setattr(module, name, value)
    if point is not None:
        arm(Trap(point))
    sys.argv = ["batchsync", *words]
    main(words)


def nurse() -> None:
    """Fork the lives that the input asks for, one after the other."""
    _warm_up()
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            _move_out(asked)
            _die(asked["point"], asked["words"])
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _warm_up() -> None:
    for name in (*(f"batchsync.cli.commands.{name}" for name in COMMANDS), *LATE):
        importlib.import_module(name)
    # No life talks to the world: the certificates of its authorities are read once, for all of them.
    ssl.create_default_context = functools.cache(ssl.create_default_context)
    httpx.create_ssl_context()
    gc.freeze()  # or each life would go through all of it, and copy its pages


def _move_out(asked: dict[str, Any]) -> None:
    os.chdir(asked["folder"])
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, asked["out"], os.O_WRONLY | os.O_CREAT),
        (2, asked["err"], os.O_WRONLY | os.O_CREAT),
    ):
        handle = os.open(path, flags, 0o644)
        os.dup2(handle, number)
        os.close(handle)


def _die(point: str | None, words: list[str]) -> NoReturn:
    """Live, and skip the interpreter's own end: to take down all that was imported lasts longer than the life."""
    try:
        live(point, words)
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code or 0))


if __name__ == "__main__":
    if sys.argv[1:]:
        live(sys.argv[1], sys.argv[2:])
    nurse()
