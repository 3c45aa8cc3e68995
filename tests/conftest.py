"""What every test may use: a sandbox over real sockets, and the program as a real process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger.book import Hands
from program import KILLS, Program

from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.faults import Fault
from batchsync.sandbox.serve import Sandbox

# Not tests by their names, but full of their asserts, which then say what they saw.
pytest.register_assert_rewrite("crash.judge", "crash.lives")

FAST = {"queue_seconds": 0.05, "render_seconds": 0.2}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of tests/crash; they stand here because pytest asks only the outermost folders for options."""
    group = parser.getgroup("crashes")
    group.addoption("--kills", type=int, default=30, help="random kills to survive, at least (default: %(default)s)")
    group.addoption("--kill-seed", type=int, default=1, help="of the random kills (default: %(default)s)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many kills were survived: in a line of its own, also where other processes ran the tests."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    properties = [one for report in reports for one in getattr(report, "user_properties", ())]
    kills = [int(value) for name, value in properties if name == KILLS]
    if kills:
        terminalreporter.write_line(f"{sum(kills)} kills survived (SIGKILL, in {len(kills)} batches)")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """The program's entry point takes over signals: a test that calls it must not change the next one's."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def clock() -> Hands:
    """A clock that moves when it is told to."""
    return Hands()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A place for a ledger."""
    return tmp_path / "batchsync.db"


@pytest.fixture
def start_sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes with quick renders: `start_sandbox("submit:cut_after:times=1", fps=25)`."""
    running: list[Sandbox] = []

    def start(*faults: str, **settings: object) -> Sandbox:
        config = SandboxConfig(**{**FAST, **settings})  # type: ignore[arg-type]
        sandbox = Sandbox(config, faults=[Fault.parse(text) for text in faults])
        running.append(sandbox)
        return sandbox

    yield start
    for sandbox in running:
        sandbox.close()


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return start_sandbox()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program in an empty folder of its own; what it has started is ended with the test."""
    started = Program(tmp_path)
    yield started
    started.end()
