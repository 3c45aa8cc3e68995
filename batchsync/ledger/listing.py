"""Which jobs to list, and in which order: the database filters, sorts and limits, however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, or_, select

from batchsync.ledger.tables import Job, JobTag, ManifestEntry, RunJob
from batchsync.model.renders import STALLED_SECONDS_PER_SECOND, stalled_after
from batchsync.model.states import Shown, State, may_be_shown

# The key of each order; without one, jobs stand as they were added, or as in their manifest.
SORTS = ("id", "state", "credits", "submitted", "finished", "duration", "added")


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list: shown states, a manifest's number, tags, and more; each None or empty for all.

    `run_id`: those that this run took on. `codes`: of their last error. `patterns`: ids, with `*` and `?`.
    `stalled`: only renders far beyond the usual time. `sort` is one of SORTS; `limit` counts after sorting.
    """

    states: tuple[str, ...] = ()
    manifest_id: int | None = None
    tags: Mapping[str, str] | None = None
    limit: int | None = None
    run_id: str | None = None
    codes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    stalled: bool = False
    sort: str | None = None
    reverse: bool = False


def listing(wanted: JobFilter, now: float) -> Select[Any]:
    """The rows of the jobs that are `wanted`; `now` in epoch seconds."""
    query: Select[Any] = scoped(select(Job.__table__), wanted.manifest_id)
    if wanted.run_id is not None:
        query = query.where(Job.seq.in_(select(RunJob.job_seq).where(RunJob.run_id == wanted.run_id)))
    for key, value in (wanted.tags or {}).items():
        query = query.where(Job.seq.in_(select(JobTag.job_seq).where(JobTag.key == key, JobTag.value == value)))
    if wanted.states:
        # The states alone have an index.
        query = query.where(Job.state.in_([state for state in State if may_be_shown(state, wanted.states)]))
        query = query.where(or_(*(_SHOWN[Shown(name)] for name in wanted.states)))
    if wanted.codes:
        query = query.where(Job.error_code.in_(wanted.codes))
    if wanted.patterns:
        query = query.where(or_(*(_like(pattern) for pattern in wanted.patterns)))
    if wanted.stalled:
        query = query.where(overdue(now))
    return query.order_by(*_order(wanted)).limit(wanted.limit)


def scoped(query: Any, manifest_id: int | None, job_seq: Any = Job.seq) -> Any:
    """`query` for the jobs of a manifest as it stands now; `job_seq` is its column that tells the job."""
    if manifest_id is None:
        return query
    here = and_(ManifestEntry.job_seq == job_seq, ManifestEntry.manifest_id == manifest_id, ManifestEntry.current)
    return query.join(ManifestEntry, here)


def overdue(now: float) -> ColumnElement[bool]:
    """Whether a render takes far longer than usual."""
    clip = Job.end_seconds - Job.start_seconds
    due = Job.submitted_at + stalled_after(0.0) + STALLED_SECONDS_PER_SECOND * clip
    return and_(Job.state == State.RENDERING.value, due < now)


def _is(state: State) -> ColumnElement[bool]:
    return Job.state == state.value


# As `model.states.shown` has it.
_QUEUED = or_(Job.vendor_status.is_(None), Job.vendor_status.in_(("draft", "queued")))
_SHOWN: Mapping[Shown, ColumnElement[bool]] = {
    Shown.PENDING: or_(_is(State.UPLOADED), and_(_is(State.PLANNED), Job.lease_owner.is_(None))),
    Shown.UPLOADING: and_(_is(State.PLANNED), Job.lease_owner.is_not(None)),
    Shown.SUBMITTING: _is(State.SUBMITTING),
    Shown.QUEUED: and_(_is(State.RENDERING), _QUEUED),
    Shown.RENDERING: and_(_is(State.RENDERING), ~_QUEUED),
    Shown.DOWNLOADING: _is(State.RENDERED),
    Shown.COMPLETE: _is(State.COMPLETE),
    Shown.FAILED: _is(State.FAILED),
    Shown.CANCELED: _is(State.CANCELED),
    Shown.HELD: _is(State.HELD),
}


def _like(pattern: str) -> ColumnElement[bool]:
    """Whether an id fits a pattern of the shell's kind; one without wildcards is the id itself."""
    if not {"*", "?"} & set(pattern):
        return Job.id == pattern
    plain = "".join(f"\\{char}" if char in "\\%_" else char for char in pattern)
    return Job.id.ilike(plain.replace("*", "%").replace("?", "_"), escape="\\")


def _order(wanted: JobFilter) -> list[Any]:
    """What to sort by; jobs that have no such value come last, and equals stand as they were added."""
    keys: Mapping[str | None, Any] = {
        None: Job.seq if wanted.manifest_id is None else ManifestEntry.position,
        "id": Job.id,
        "state": case(*((condition, place) for place, condition in enumerate(_SHOWN.values()))),
        "credits": Job.net,
        "submitted": Job.submitted_at,
        "finished": Job.finished_at,
        "duration": Job.finished_at - Job.submitted_at,
        "added": Job.seq,
    }
    key = keys[wanted.sort]
    ordered = [key.desc() if wanted.reverse else key]
    if wanted.sort in ("submitted", "finished", "duration"):
        ordered.insert(0, key.is_(None))
    return [*ordered, Job.seq]
