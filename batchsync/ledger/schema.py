"""Which version of the tables a ledger has; how it is created and upgraded (alembic, imported when needed)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from batchsync.errors import LedgerError, LedgerMissing, LedgerTooNew, LedgerTooOld
from batchsync.ledger.engine import copy_sqlite, database_errors, sqlite_path
from batchsync.ledger.tables import Base

HEAD = "0004"
_VERSION_TABLE = """CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)"""  # as alembic writes it


def migrations_folder() -> Path:
    """Where the migrations are: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise LedgerError("this installation has no migrations", hint="install batchsync again")


def revision(engine: Engine) -> str | None:
    """The ledger's version; None for a database without any tables. Raises LedgerError for somebody else's."""
    with database_errors(engine.url), engine.connect() as connection:
        names = set(inspect(connection).get_table_names())
        if not names:
            return None
        if "alembic_version" not in names or "jobs" not in names:
            raise LedgerError(
                f"this database is no batchsync ledger: {_where(engine)}", hint="use --ledger with another path"
            )
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return found


def require_current(engine: Engine) -> None:
    """Raise unless the ledger has exactly the tables that this version works with."""
    found = revision(engine)
    if found == HEAD:
        return
    if found is None:
        raise LedgerMissing(f"this ledger is empty: {_where(engine)}", hint="`batchsync run MANIFEST` fills it")
    if found in _known_revisions():
        raise LedgerTooOld(
            f"the ledger is of an older batchsync (version {found} of its tables, this one works with {HEAD})",
            hint="`batchsync ledger upgrade` brings it up to date and keeps a copy of the old one",
        )
    raise LedgerTooNew(
        f"the ledger was written by a newer batchsync (version {found} of its tables, this one knows {HEAD})",
        hint="install the newer batchsync; nothing was changed",
    )


def upgrade(reader: Engine, writer: Engine) -> tuple[str, str, Path | None]:
    """Bring a ledger up to date. Returns its version before and after, and the copy kept of a SQLite file."""
    before = revision(reader)
    if before is None:
        raise LedgerMissing(f"this ledger is empty: {_where(reader)}", hint="`batchsync run MANIFEST` fills it")
    if before == HEAD:
        return before, HEAD, None
    if before not in _known_revisions():
        require_current(reader)
    kept = _keep_copy(reader)
    migrate(writer)
    return before, HEAD, kept


def create(engine: Engine) -> None:
    """Make the tables of a new ledger as they are now; what another process has made meanwhile is left alone.

    As all migrations would, which a test proves, but without alembic: it takes half a second to import.
    """
    with database_errors(engine.url), engine.begin() as connection:
        if not inspect(connection).get_table_names():
            Base.metadata.create_all(connection)
            connection.execute(text(_VERSION_TABLE))
            connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def migrate(engine: Engine) -> None:
    """Run every migration that is missing, in one transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    with database_errors(engine.url), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def backup(engine: Engine, target: Path) -> None:
    """Copy a ledger as of one moment, while it is in use, into a new file for its owner only. Raises LedgerError."""
    path = sqlite_path(engine.url)
    if path is None:
        raise LedgerError("only a ledger in a file can be copied", hint="use the backup tool of your database server")
    if not target.parent.is_dir():
        raise LedgerError(f"the folder of the copy doesn't exist: {target.parent}", hint="create it first")
    if target.exists():
        raise LedgerError(f"{target} exists already", hint="choose another name; nothing was changed")
    try:
        with database_errors(engine.url):
            copy_sqlite(path, target)
    except FileExistsError:
        raise LedgerError(f"{target} exists already", hint="choose another name; nothing was changed") from None
    except OSError as error:
        raise LedgerError(f"the copy can't be written: {target}: {error.strerror}") from None


def _known_revisions() -> set[str]:
    return {path.name.split("_", 1)[0] for path in (migrations_folder() / "versions").glob("[0-9]*.py")}


def _keep_copy(engine: Engine) -> Path | None:
    path = sqlite_path(engine.url)
    if path is None:
        return None
    kept = path.with_name(f"{path.name}.before-{HEAD}")
    if kept.exists():
        raise LedgerError(f"a copy from an earlier upgrade is in the way: {kept}", hint="move it, then try again")
    copy_sqlite(path, kept)
    return kept


def _where(engine: Engine) -> str:
    return str(sqlite_path(engine.url) or engine.url.render_as_string(hide_password=True))
