"""Starting up stays quick because a command loads only what it uses: what none of them may drag in."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from batchsync.cli.main import COMMANDS

DATABASE = frozenset({"sqlalchemy", "sqlite3"})
VENDOR = frozenset({"httpx", "httpcore", "pydantic"})
SANDBOX = frozenset({"starlette", "uvicorn"})
MIGRATIONS = frozenset({"alembic"})  # only where a ledger is made or upgraded
MEDIA = frozenset({"av"})
MANIFEST = frozenset({"yaml"})
HEAVY = DATABASE | VENDOR | SANDBOX | MIGRATIONS | MEDIA | MANIFEST | {"anyio", "asyncio", "ssl", "tqdm"}

# What a command may load, once its help is shown: the rest of HEAVY it must not.
READS_THE_LEDGER = DATABASE | {"anyio", "asyncio", "ssl"}
TALKS = READS_THE_LEDGER | VENDOR
RUNS = TALKS | MANIFEST | {"tqdm"}
MAY = {
    "init": MANIFEST,
    "plan": RUNS,
    "run": RUNS,
    "resume": RUNS,
    "status": READS_THE_LEDGER,
    "jobs": READS_THE_LEDGER,
    "show": READS_THE_LEDGER,
    "retry": READS_THE_LEDGER,
    "resolve": TALKS,
    "report": READS_THE_LEDGER,
    "account": TALKS,
    "manifest": MANIFEST,
    "sandbox": SANDBOX | {"anyio", "asyncio", "ssl"},
    "ledger": READS_THE_LEDGER,
    "completion": frozenset(),
}

PROGRAM = """
import json, sys
sys.stdout, out = sys.stderr, sys.stdout
from batchsync.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    json.dump([end.code, sorted(sys.modules)], out)
"""


def heavy(*arguments: str) -> set[str]:
    """Those of HEAVY that a command line loads in a new process, where it ends well."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stdout)
    assert code == 0, done.stderr
    return HEAVY & set(modules)


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_the_program_itself_loads_nothing_heavy(word: str) -> None:
    assert heavy(word) == set()


def test_every_command_is_looked_at() -> None:
    assert MAY.keys() == COMMANDS.keys()


@pytest.mark.parametrize("command", MAY)
def test_a_command_loads_only_what_it_may(command: str) -> None:
    assert heavy(command, "--help") <= MAY[command]


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["jobs", "--limit", "1"]])
def test_looking_at_a_ledger_loads_neither_client_nor_server_nor_migrations(
    arguments: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    from ledger.book import blank

    path = tmp_path_factory.mktemp("look") / "batchsync.db"
    path.write_bytes(blank())
    assert heavy(*arguments, "--ledger", str(path)) <= READS_THE_LEDGER
