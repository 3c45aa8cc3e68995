"""Runs the sandbox: three origins on loopback, in one background thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from batchsync.clock import Clock
from batchsync.errors import SettingError
from batchsync.sandbox.api import api_app
from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.faults import Fault, Faults
from batchsync.sandbox.front import Front, Origins
from batchsync.sandbox.storage import downloads_app, uploads_app
from batchsync.sandbox.world import World

HOST = "127.0.0.1"  # it knows no passwords, so nobody else shall reach it
GOODBYE_SECONDS = 2.0


class Sandbox:
    """A running simulated vendor; it serves from the moment it is made until `close`, or as a context manager.

    `state_dir` keeps its state over restarts, `port` is the API's (0: any free one), `faults` are in force from
    the start. Raises SettingError where the port or the directory can't be used.
    The caller's event loop and signal handling are left alone. `api_url` is what clients need.
    """

    def __init__(
        self,
        config: SandboxConfig | None = None,
        *,
        state_dir: Path | None = None,
        port: int = 0,
        faults: Sequence[Fault] = (),
        clock: Clock | None = None,
    ) -> None:
        self.config = config or SandboxConfig()
        self.world = World(self.config, clock=clock, state_dir=state_dir)
        try:
            self._sockets = _listen(self.world.directory / "ports.json", port)
        except BaseException:
            self.world.close()
            raise
        self.api_url, self.upload_url, self.download_url = (
            f"http://{HOST}:{sock.getsockname()[1]}" for sock in self._sockets
        )
        self.faults = Faults(faults, seed=self.config.seed)
        origins = Origins(self.api_url, self.upload_url, self.download_url)
        self._front = Front(self.world, self.faults, origins)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="batchsync-sandbox", daemon=True)
        self._thread.start()

    def state(self) -> dict[str, Any]:
        """What `GET /_sandbox/state` answers."""
        return self._front.state()

    def close(self) -> None:
        """Cut every connection and stop, without waiting for anybody. Harmless when repeated."""
        with self._closing:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stop.set)
                self._thread.join()
            self.world.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        apps: list[ASGIApp] = [api_app(self._front), uploads_app(self._front), downloads_app(self._front)]
        servers = [_server(app, self.config) for app in apps]
        serving = [
            asyncio.create_task(server.serve(sockets=[sock]))
            for server, sock in zip(servers, self._sockets, strict=True)
        ]
        await self._stop.wait()
        self._front.closing.set()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await _cut_all(servers, self._sockets)


class _Protocol(H11Protocol):
    """Lets the app reach the connection, which is the only way to cut it for real."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


def _server(app: ASGIApp, config: SandboxConfig) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,  # the embedding program's logging is its own
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=config.keep_alive_seconds,
        )
    )


async def _cut_all(servers: Sequence[uvicorn.Server], sockets: Sequence[socket.socket]) -> None:
    """Stop listening, cut what is open, and let the requests in hand see it."""
    for server in servers:
        for listener in getattr(server, "servers", ()):
            listener.close()
    for sock in sockets:
        sock.close()
    states = [server.server_state for server in servers]
    deadline = asyncio.get_running_loop().time() + GOODBYE_SECONDS
    while any(state.connections or state.tasks for state in states):
        for state in states:
            for connection in list(state.connections):  # also those that were taken on in the last moment
                connection.transport.abort()
        if asyncio.get_running_loop().time() > deadline:
            return
        await asyncio.sleep(0.002)


def _listen(remembered: Path, api_port: int) -> list[socket.socket]:
    """Listening sockets for the API, uploads and downloads; after a restart the same ports, where they are free."""
    try:
        before = [int(port) for port in json.loads(remembered.read_text())]
    except (OSError, ValueError):
        before = []
    wanted = before if len(before) == 3 else [0, 0, 0]
    sockets: list[socket.socket] = []
    try:
        sockets.append(_bound(api_port) if api_port else _bound_if_free(wanted[0]))
        sockets.extend(_bound_if_free(port) for port in wanted[1:])
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise SettingError(
            f"the sandbox can't use port {api_port}: {error.strerror}", hint="choose another"
        ) from None
    remembered.write_text(json.dumps([sock.getsockname()[1] for sock in sockets]))
    return sockets


def _bound_if_free(port: int) -> socket.socket:
    try:
        return _bound(port)
    except OSError:
        return _bound(0)


def _bound(port: int) -> socket.socket:
    # Without the protocol's name asyncio sets no TCP_NODELAY, and each answer then waits 40 ms for an ACK.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
        sock.listen(2048)  # from here on clients may come, and wait for the loop to start
    except OSError:
        sock.close()
        raise
    return sock


def serve_forever(
    config: SandboxConfig | None = None,
    *,
    port: int = 0,
    state_dir: Path | None = None,
    faults: Sequence[Fault] = (),
    on_ready: Callable[[Sandbox], None] = lambda _sandbox: None,
) -> None:
    """Serve until SIGINT or SIGTERM; `on_ready` is told once requests can come. Raises as `Sandbox` does."""
    stop = threading.Event()
    with _on_signals(stop.set), Sandbox(config, state_dir=state_dir, port=port, faults=faults) as sandbox:
        on_ready(sandbox)
        stop.wait()


@contextmanager
def _on_signals(act: Callable[[], None]) -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: act()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
