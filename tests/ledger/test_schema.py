"""The tables: migrations make exactly them, and a file that is no ledger of ours is refused and left as it was."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.command import upgrade
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from ledger.book import Hands, add, blank, jobs, query
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from batchsync.errors import LedgerError, LedgerMissing, LedgerTooNew, LedgerTooOld
from batchsync.ledger import schema
from batchsync.ledger.engine import ledger_url, make_engine
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.tables import Base
from batchsync.model.credits import EntryKind
from batchsync.model.states import State

ROOT_ONLY = pytest.mark.skipif(os.geteuid() == 0, reason="permissions don't bind root")


@contextmanager
def engines_at(path: Path) -> Iterator[tuple[Engine, Engine]]:
    """One that reads and one that writes."""
    url = ledger_url(str(path))
    reader, writer = make_engine(url, write=False), make_engine(url, write=True)
    try:
        yield reader, writer
    finally:
        reader.dispose()
        writer.dispose()


@contextmanager
def connected(path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    path = tmp_path / "migrated.db"
    path.write_bytes(blank())
    return path


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """A database made from the declarations, without any migration."""
    path = tmp_path / "declared.db"
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()
    return path


# --- migrations ---


def test_autogenerate_finds_nothing_to_do_after_the_migrations(migrated: Path) -> None:
    with connected(migrated) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": Base.metadata}
        )
        assert compare_metadata(context, Base.metadata) == []


def structure(path: Path) -> dict[str, Any]:
    """All that the database itself says of its tables, whatever the order in which it was told."""

    def plain(items: Any) -> list[str]:
        return sorted(json.dumps(item, sort_keys=True, default=str) for item in items)

    with connected(path) as connection:
        inspector = inspect(connection)
        return {
            name: {
                "columns": [
                    (c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(name)
                ],
                "primary key": inspector.get_pk_constraint(name),
                "foreign keys": plain(inspector.get_foreign_keys(name)),
                "unique": plain(inspector.get_unique_constraints(name)),
                "checks": plain(inspector.get_check_constraints(name)),
                "indexes": plain(
                    # The condition of a partial index is an object, which is equal to no other.
                    index | {"dialect_options": {k: str(v) for k, v in index["dialect_options"].items()}}
                    for index in inspector.get_indexes(name)
                ),
            }
            for name in inspector.get_table_names()
            if name != "alembic_version"
        }


def test_a_migrated_ledger_is_what_the_tables_declare_down_to_checks_and_names(
    migrated: Path, declared: Path
) -> None:
    found, wanted = structure(migrated), structure(declared)
    assert found.keys() == wanted.keys() == Base.metadata.tables.keys()
    for name in wanted:
        assert found[name] == wanted[name], name


def test_a_new_ledger_is_what_all_migrations_would_have_made(migrated: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    with Ledger(str(new), create=True) as ledger:
        assert ledger.read(lambda v: v.sizes())["jobs"] == 0
    assert structure(new) == structure(migrated)
    with connected(new) as one, connected(migrated) as other:
        version = "SELECT sql FROM sqlite_master WHERE name = 'alembic_version'"
        found, wanted = (" ".join(c.exec_driver_sql(version).scalar_one().split()) for c in (one, other))
        assert found == wanted
        stamp = "SELECT version_num FROM alembic_version"
        assert one.exec_driver_sql(stamp).all() == other.exec_driver_sql(stamp).all() == [(schema.HEAD,)]


def test_the_checks_know_every_state_and_every_kind_of_entry(migrated: Path) -> None:
    with connected(migrated) as connection:
        inspector = inspect(connection)
        (state,) = inspector.get_check_constraints("jobs")
        (kind,) = inspector.get_check_constraints("credit_entries")
    for check, values in ((state, State), (kind, EntryKind)):
        inside = check["sqltext"].partition("(")[2].rstrip(")")
        assert {word.strip().strip("'") for word in inside.split(",")} == {value.value for value in values}


def test_the_checks_are_in_force(migrated: Path) -> None:
    with Ledger(str(migrated), clock=Hands()) as ledger:
        add(ledger, jobs(1))
    with closing(sqlite3.connect(migrated)) as database:
        with pytest.raises(sqlite3.IntegrityError, match="ck_jobs_state"):
            database.execute("UPDATE jobs SET state = 'lost in thought'")
        with pytest.raises(sqlite3.IntegrityError, match="ck_credit_entries_kind"):
            database.execute("INSERT INTO credit_entries (job_seq, kind, amount, at) VALUES (1, 'tip', 1, 0)")


def test_the_newest_migration_is_head_and_they_chain() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_folder()))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [schema.HEAD]
    chain = [script.revision for script in scripts.walk_revisions()][::-1]
    files = sorted((schema.migrations_folder() / "versions").glob("[0-9]*.py"))
    assert [path.name.split("_", 1)[0] for path in files] == chain
    assert chain[-1] == max(chain) == schema.HEAD
    assert len({len(revision) for revision in chain}) == 1, "they sort by name"
    for script, before in zip(reversed(list(scripts.walk_revisions())), [None, *chain], strict=False):
        assert script.down_revision == before


# --- opening ---


def test_a_new_ledger_is_for_its_owner_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with Ledger(str(tmp_path / "mine.db"), create=True) as ledger:
            add(ledger, jobs(1))
            files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert files == {"mine.db": 0o600, "mine.db-wal": 0o600, "mine.db-shm": 0o600}


def test_a_commit_is_on_the_disk_before_it_returns(migrated: Path) -> None:
    with Ledger(str(migrated)) as ledger:

        def pragma(name: str) -> Any:
            return ledger.write(lambda w: w.connection.execute(text(f"PRAGMA {name}")).scalar())

        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2, "FULL"
        assert pragma("foreign_keys") == 1
        assert 0 < pragma("busy_timeout") < 1000  # no signal is heard meanwhile: longer waits are made of such


def test_a_write_locks_from_its_first_moment(migrated: Path) -> None:
    with Ledger(str(migrated)) as ledger, closing(sqlite3.connect(migrated, timeout=0)) as other:

        def intrude(_: Any) -> None:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")

        ledger.write(intrude)
        other.execute("BEGIN IMMEDIATE")
        other.rollback()


def test_a_reader_can_write_nothing(ledger: Ledger) -> None:
    add(ledger, jobs(1))
    with pytest.raises(LedgerError, match="can't be written"):
        ledger.read(lambda v: v.connection.execute(text("UPDATE jobs SET net = 7")))


def test_a_missing_ledger_is_made_only_when_it_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match=r"there is no ledger at .*none\.db"):
        Ledger(str(tmp_path / "none.db"))
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="the folder of the ledger doesn't exist"):
        Ledger(str(tmp_path / "no/where.db"), create=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "a#b.db", "ü.db"])
def test_odd_file_names_are_file_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with Ledger(str(path), create=True) as ledger:
        add(ledger, jobs(1))
        assert ledger.path == path
    assert query(path, "SELECT id FROM jobs") == [("job-000",)]
    assert [found.name for found in tmp_path.iterdir()] == [name]


# --- files that are no ledger of this version ---


def from_the_future(path: Path) -> None:
    path.write_bytes(blank())
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE recipes (name TEXT)")
        database.execute("INSERT INTO recipes VALUES ('soup')")


def somebody_elses_migrations(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute(f"INSERT INTO alembic_version VALUES ('{schema.HEAD}')")


def garbage(path: Path) -> None:
    path.write_bytes(b"This is no database, but it is long enough to be one. " * 100)


def short_garbage(path: Path) -> None:
    path.write_bytes(b"id,video,audio\n")


FOREIGN = "no batchsync ledger"
GARBAGE = "no ledger, or it is damaged"
FUTURE = "newer batchsync"


KINDS = [
    (from_the_future, LedgerTooNew, FUTURE),
    (foreign, LedgerError, FOREIGN),
    (somebody_elses_migrations, LedgerError, FOREIGN),
    (garbage, LedgerError, GARBAGE),
    (short_garbage, LedgerError, GARBAGE),
]


@pytest.mark.parametrize("create", [False, True], ids=["open", "create"])
@pytest.mark.parametrize(("make", "kind", "words"), KINDS)
def test_what_is_no_ledger_of_ours_is_refused(
    tmp_path: Path, make: Callable[[Path], None], kind: type[LedgerError], words: str, create: bool
) -> None:
    path = tmp_path / "other.db"
    make(path)
    with pytest.raises(kind, match=words) as caught:
        Ledger(str(path), create=create)
    assert type(caught.value) is kind
    assert caught.value.exit_code == 2
    assert caught.value.hint


def opened(path: Path) -> None:
    Ledger(str(path))


def opened_to_run(path: Path) -> None:
    Ledger(str(path), create=True)


def upgraded(path: Path) -> None:
    with engines_at(path) as (reader, writer):
        schema.upgrade(reader, writer)


@pytest.mark.parametrize("touch", [opened, opened_to_run, upgraded])
@pytest.mark.parametrize("make", [kind[0] for kind in KINDS])
def test_what_is_no_ledger_of_ours_is_left_as_it_was(
    tmp_path: Path, make: Callable[[Path], None], touch: Callable[[Path], None]
) -> None:
    path = tmp_path / "other.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(LedgerError):
        touch(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["other.db"]


def test_an_empty_file_is_filled_only_when_a_ledger_is_to_be_made(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(LedgerError, match="this ledger is empty") as caught:
        Ledger(str(path))
    assert isinstance(caught.value, LedgerMissing)
    assert path.read_bytes() == b""
    with Ledger(str(path), create=True) as ledger:
        assert add(ledger, jobs(2)).new == 2


@pytest.mark.parametrize("create", [False, True], ids=["open", "create"])
def test_a_directory_is_no_ledger(tmp_path: Path, create: bool) -> None:
    with pytest.raises(LedgerError, match=str(tmp_path)):
        Ledger(str(tmp_path), create=create)
    assert list(tmp_path.iterdir()) == []


@ROOT_ONLY
def test_an_unreadable_ledger_says_so(migrated: Path) -> None:
    migrated.chmod(0)
    with pytest.raises(LedgerError, match=r"permissions|can't be"):
        Ledger(str(migrated))


@ROOT_ONLY
def test_a_read_only_ledger_says_so_when_it_is_written(migrated: Path) -> None:
    migrated.chmod(0o400)
    migrated.parent.chmod(0o500)
    try:
        with pytest.raises(LedgerError, match="can't be written"), Ledger(str(migrated), create=True) as ledger:
            add(ledger, jobs(1))
    finally:
        migrated.parent.chmod(0o700)


@pytest.mark.parametrize("location", ["nothing://here", "postgresql+none://user:secret@host/db"])
def test_a_url_that_names_no_database_says_so_without_its_password(location: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger(location)
    assert "secret" not in str(caught.value)


def test_a_location_that_is_neither_path_nor_url_says_so() -> None:
    with pytest.raises(LedgerError, match="neither a path nor a database URL"):
        Ledger("://")


def test_a_damaged_ledger_is_told_apart_from_a_bug(migrated: Path) -> None:
    whole = migrated.read_bytes()
    migrated.write_bytes(whole[:5000] + b"\xff" * (len(whole) - 5000))
    with pytest.raises(LedgerError, match="damaged"), Ledger(str(migrated)) as ledger:
        ledger.read(lambda v: v.jobs())


# --- upgrading ---


def test_upgrading_a_ledger_that_is_up_to_date_does_nothing(migrated: Path) -> None:
    before = migrated.read_bytes()
    with engines_at(migrated) as (reader, writer):
        assert schema.upgrade(reader, writer) == (schema.HEAD, schema.HEAD, None)
    assert migrated.read_bytes() == before
    assert [found.name for found in migrated.parent.iterdir()] == [migrated.name]


@pytest.mark.parametrize(
    ("make", "kind"), [(from_the_future, LedgerTooNew), (foreign, LedgerError), (Path.touch, LedgerMissing)]
)
def test_upgrading_refuses_what_it_does_not_know(
    tmp_path: Path, make: Callable[[Path], None], kind: type[LedgerError]
) -> None:
    path = tmp_path / "other.db"
    make(path)
    before = path.read_bytes()
    with engines_at(path) as (reader, writer), pytest.raises(kind) as caught:
        schema.upgrade(reader, writer)
    assert type(caught.value) is kind
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.before-*"))


def test_an_older_ledger_says_how_to_upgrade_it(migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = schema.HEAD
    monkeypatch.setattr(schema, "HEAD", "9998")
    with pytest.raises(LedgerTooOld, match=rf"of an older batchsync \(version {head}") as caught:
        Ledger(str(migrated))
    assert "batchsync ledger upgrade" in (caught.value.hint or "")


def test_an_upgrade_keeps_a_private_copy_of_the_old_ledger(migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(str(migrated)) as ledger:
        add(ledger, jobs(3))
    migrated.chmod(0o600)
    monkeypatch.setattr(schema, "HEAD", "9998")
    with engines_at(migrated) as (reader, writer):
        _, _, kept = schema.upgrade(reader, writer)
        assert kept is not None
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert query(kept, "SELECT count(*) FROM jobs") == [(3,)]
        with pytest.raises(LedgerError, match="a copy from an earlier upgrade is in the way"):
            schema.upgrade(reader, writer)
    assert query(kept, "SELECT count(*) FROM jobs") == [(3,)]


def test_the_first_ledger_opens_after_its_upgrade_with_all_that_was_in_it(tmp_path: Path) -> None:
    """Each version's ledger can be brought up to date: made by its migration, filled as it was, upgraded."""
    path = tmp_path / "old.db"
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_folder()))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        upgrade(config, "0001")
        insert_balance = "INSERT INTO balances (at, moment, account_id, credits) VALUES (1.0, 'start', 'acc', 500)"
        connection.execute(text(insert_balance))
        insert_media = "INSERT INTO media (path, size, mtime_ns, digest, duration) VALUES ('/a.mp4', 1, 2, 'd', 3.0)"
        connection.execute(text(insert_media))
    engine.dispose()
    with pytest.raises(LedgerTooOld):
        Ledger(str(path))
    with engines_at(path) as (reader, writer):
        before, after, kept = schema.upgrade(reader, writer)
    assert (before, after) == ("0001", schema.HEAD)
    assert kept is not None
    with Ledger(str(path)) as ledger:
        assert query(path, "SELECT account_id FROM balances") == [("acc",)]
        assert ledger.read(lambda v: v.readings()) == []  # nobody knows what stood in the ledger then
        (media,) = ledger.read(lambda v: v.media(["/a.mp4"])).values()
        assert (media.digest, media.duration, media.format, media.kind) == ("d", 3.0, None, None)
        add(ledger, jobs(2))
        assert ledger.read(lambda v: list(v.check())) == []


# --- copies ---


def test_a_copy_is_whole_private_and_never_over_another(migrated: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with Ledger(str(migrated), clock=Hands()) as ledger:
        add(ledger, jobs(3))
        with closing(sqlite3.connect(migrated, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE jobs SET state = 'failed'")
            ledger.backup(target)  # while somebody else is in the middle of a write
            other.execute("ROLLBACK")
        with pytest.raises(LedgerError, match="exists already"):
            ledger.backup(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert query(target, "SELECT state, count(*) FROM jobs GROUP BY 1") == [("planned", 3)]
    with Ledger(str(target)) as copy:
        assert copy.read(lambda v: list(v.check())) == []
    assert sorted(path.name for path in tmp_path.iterdir() if "part" in path.name) == []


def test_a_copy_touches_nothing_that_stands_beside_it(migrated: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.db"
    mine.write_text("mine")
    (tmp_path / "copy.db.part").symlink_to(mine)
    with Ledger(str(migrated)) as ledger:
        ledger.backup(tmp_path / "copy.db")
    assert mine.read_text() == "mine"
    assert (tmp_path / "copy.db.part").is_symlink()
    assert not list(tmp_path.glob(".*.part"))


def test_a_copy_to_where_there_is_no_folder_says_so(migrated: Path, tmp_path: Path) -> None:
    with Ledger(str(migrated)) as ledger, pytest.raises(LedgerError, match="doesn't exist"):
        ledger.backup(tmp_path / "nowhere" / "copy.db")
