"""The ledger's tables. Times are seconds since the Unix epoch (UTC), credits are whole numbers, sizes are bytes."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from batchsync.model.credits import EntryKind
from batchsync.model.states import State

# A primary key that counts up: 64 bits everywhere, but SQLite only counts up in a plain INTEGER.
Serial = BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, values: type[State] | type[EntryKind]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


_LEASED = text("lease_owner IS NOT NULL")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        int: BigInteger(),
        float: Float(53),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }


class Info(Base):
    """Facts about the ledger as a whole, by name: `vendor` is `live` or `sandbox`, `pace:SCOPE` as in paces.py."""

    __tablename__ = "info"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Manifest(Base):
    """A manifest that was run; known by its absolute path. `entries` is how many jobs ever stood in it.

    `seal` says what it was when it was last planned, if there was nothing to say about it: see `ledger.seals`.
    """

    __tablename__ = "manifests"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    path: Mapped[str] = mapped_column(unique=True)
    columns: Mapped[list[str]]
    added_at: Mapped[float]
    entries: Mapped[int | None]
    seal: Mapped[str | None] = mapped_column(String(64))


class Job(Base):
    """A job: what it asks for, where it stands, and what is being done about it."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(_one_of("state", State), name="state"),
        Index(None, "state", "not_before", "seq"),
        # The few jobs that somebody has in hand.
        Index(None, "state", "lease_owner", sqlite_where=_LEASED),  # elsewhere of all jobs, which serves as well
    )
    seq: Mapped[int] = mapped_column(Serial, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    auto_id: Mapped[bool]
    token: Mapped[str] = mapped_column(String(32), unique=True)
    ask: Mapped[str] = mapped_column(String(64), index=True)
    manifest_id: Mapped[int | None] = mapped_column(ForeignKey("manifests.id"))
    added_at: Mapped[float]
    # What it asks for
    name: Mapped[str | None]
    video_kind: Mapped[str] = mapped_column(String(16))
    video: Mapped[str]
    video_digest: Mapped[str | None] = mapped_column(String(64))
    audio_kind: Mapped[str] = mapped_column(String(16))
    audio: Mapped[str]
    audio_digest: Mapped[str | None] = mapped_column(String(64))
    start_seconds: Mapped[float]
    end_seconds: Mapped[float]
    max_fps_limit: Mapped[float | None]
    generation_mode: Mapped[str] = mapped_column(String(16))
    output: Mapped[str]
    output_dir: Mapped[str]
    source_fps: Mapped[float | None]
    estimate: Mapped[int]
    worst: Mapped[int]
    # Where it stands
    state: Mapped[str] = mapped_column(String(16))
    vendor_status: Mapped[str | None] = mapped_column(String(16))
    project_id: Mapped[str | None] = mapped_column(index=True)
    project_credits: Mapped[int]
    reserved: Mapped[int]
    net: Mapped[int]
    video_asset: Mapped[str | None]
    audio_asset: Mapped[str | None]
    assets_expire_at: Mapped[float | None]
    submissions: Mapped[int]
    submitted_at: Mapped[float | None]
    rendered_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    # What is being done about it
    not_before: Mapped[float]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[float | None]
    tries: Mapped[int]
    strikes: Mapped[int]
    failing_since: Mapped[float | None]


class ManifestEntry(Base):
    """A job's place in a manifest. `row` is the entry as written; `current` is whether it still stands there."""

    __tablename__ = "manifest_entries"
    manifest_id: Mapped[int] = mapped_column(ForeignKey("manifests.id"), primary_key=True)
    job_seq: Mapped[int] = mapped_column(ForeignKey("jobs.seq"), primary_key=True, index=True)
    position: Mapped[int]
    line: Mapped[int | None]
    row: Mapped[dict[str, Any]]
    current: Mapped[bool]


class JobTag(Base):
    """A tag of a job."""

    __tablename__ = "job_tags"
    __table_args__ = (Index(None, "key", "value"),)
    job_seq: Mapped[int] = mapped_column(ForeignKey("jobs.seq"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Submission(Base):
    """One try to turn a job into a project: an intent until `outcome` is known."""

    __tablename__ = "submissions"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    job_seq: Mapped[int] = mapped_column(ForeignKey("jobs.seq"), index=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    number: Mapped[int]
    name: Mapped[str]
    started_at: Mapped[float]
    settled_at: Mapped[float | None]
    outcome: Mapped[str | None] = mapped_column(String(16), index=True)
    code: Mapped[str | None]
    message: Mapped[str | None]
    http_status: Mapped[int | None]
    project_id: Mapped[str | None] = mapped_column(index=True, unique=True)


class Upload(Base):
    """A file that is at the vendor, by content. `scope` is the account (or API) it belongs to."""

    __tablename__ = "uploads"
    __table_args__ = (Index(None, "scope", "digest", "kind"),)
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    scope: Mapped[str]
    digest: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(8))
    size: Mapped[int]
    vendor_path: Mapped[str]
    uploaded_at: Mapped[float]
    expires_at: Mapped[float]


class Output(Base):
    """A file of a finished job. `validator` lets a cut download go on; `saved_at`: it is whole and in place."""

    __tablename__ = "outputs"
    job_seq: Mapped[int] = mapped_column(ForeignKey("jobs.seq"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    project_id: Mapped[str]
    path: Mapped[str] = mapped_column(index=True)
    validator: Mapped[str | None]
    size: Mapped[int | None]
    digest: Mapped[str | None] = mapped_column(String(64))
    saved_at: Mapped[float | None]


class CreditEntry(Base):
    """Credits that moved, signed. Only ever added to. `project_id` is set on the kinds that are money."""

    __tablename__ = "credit_entries"
    __table_args__ = (CheckConstraint(_one_of("kind", EntryKind), name="kind"),)
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    job_seq: Mapped[int] = mapped_column(ForeignKey("jobs.seq"), index=True)
    submission_id: Mapped[int | None] = mapped_column(ForeignKey("submissions.id"))
    project_id: Mapped[str | None]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    kind: Mapped[str] = mapped_column(String(16))
    amount: Mapped[int]
    at: Mapped[float] = mapped_column(index=True)


class JobEvent(Base):
    """Every transition of every job, with its time. Only ever added to."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    job_seq: Mapped[int] = mapped_column(ForeignKey("jobs.seq"), index=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    at: Mapped[float]
    event: Mapped[str] = mapped_column(String(24))
    from_state: Mapped[str | None] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Run(Base):
    """One process that worked on the ledger. `host`, `pid` and `pid_born` tell whether it is still alive."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    manifest_id: Mapped[int | None] = mapped_column(ForeignKey("manifests.id"))
    started_at: Mapped[float]
    ended_at: Mapped[float | None]
    stopped: Mapped[str | None] = mapped_column(String(32))
    host: Mapped[str]
    pid: Mapped[int]
    pid_born: Mapped[str | None]
    version: Mapped[str]
    api_url: Mapped[str]
    options: Mapped[dict[str, Any]]


class RunJob(Base):
    """The jobs that a run has to take to their end: those that were unfinished when it started."""

    __tablename__ = "run_jobs"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    job_seq: Mapped[int] = mapped_column(ForeignKey("jobs.seq"), primary_key=True)


class Balance(Base):
    """What the account held at a moment, as the vendor said it.

    `last_entry` is the newest credit entry then. `quiet`: no project of this ledger was in flight, so that the
    difference of two such balances is what was really spent between them.
    """

    __tablename__ = "balances"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    at: Mapped[float]
    moment: Mapped[str] = mapped_column(String(16))
    account_id: Mapped[str | None]
    tier: Mapped[str | None]
    credits: Mapped[int]
    last_entry: Mapped[int | None]
    quiet: Mapped[bool | None]


class MediaFile(Base):
    """What is known of a local file, so that it is read once: valid while `size` and `mtime_ns` stay the same."""

    __tablename__ = "media"
    path: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int]
    mtime_ns: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    duration: Mapped[float | None]
    fps: Mapped[float | None]
    format: Mapped[str | None] = mapped_column(String(16))
    kind: Mapped[str | None] = mapped_column(String(16))


def table(entity: type[Base]) -> Table:
    """The plain table of an entity: statements on it skip the ORM, which costs more than the write itself."""
    return cast(Table, entity.__table__)
