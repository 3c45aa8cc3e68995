"""Reading the ledger: counts, sums, rows and histories. Nothing here writes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import and_, bindparam, func, select

from batchsync.errors import UnknownManifest
from batchsync.ledger.check import Broken, check
from batchsync.ledger.evidence import Standing, doubts, known_credits, loose, readings, standing
from batchsync.ledger.flight import Flight, ended_since, flight
from batchsync.ledger.known import LedgerJobs
from batchsync.ledger.listing import scoped
from batchsync.ledger.mine import IS_MINE, NEVER_PUT_OFF, PUT_OFF, STATES
from batchsync.ledger.moves import chunks
from batchsync.ledger.paces import read_pace
from batchsync.ledger.rows import Rows
from batchsync.ledger.seals import Sealed, sealed
from batchsync.ledger.seen import seen
from batchsync.ledger.statement import Statement, statement
from batchsync.ledger.tables import (
    Balance,
    CreditEntry,
    Info,
    Job,
    JobEvent,
    Manifest,
    MediaFile,
    Output,
    Run,
    Submission,
    Upload,
)
from batchsync.ledger.usage import (
    FailureSum,
    Period,
    Shifts,
    Sums,
    Tariff,
    entry_sums,
    failure_sums,
    job_sums,
    moved_between,
    tag_keys,
    weighted_credits,
)
from batchsync.model.credits import Totals, clip_seconds, totals
from batchsync.model.evidence import Doubt, Evidence, Reading
from batchsync.model.job import MediaFacts
from batchsync.model.renders import RenderKind
from batchsync.model.seen import Seen
from batchsync.model.states import UNFINISHED, Shown, State, shown

_IN = select(Job.seq).where(Job.state.in_(STATES)).limit(1)
# Built once: building a statement costs several times as much as running it.
_MEDIA = select(MediaFile.__table__).where(MediaFile.path.in_(bindparam("at_paths", expanding=True)))
_UPLOAD = (
    select(Upload.vendor_path, Upload.expires_at)
    .where(Upload.scope == bindparam("at_scope"), Upload.digest == bindparam("at_digest"))
    .where(Upload.kind == bindparam("at_kind"), Upload.expires_at > bindparam("until"))
    .order_by(Upload.expires_at.desc())
    .limit(1)
)
_OUTPUT = select(Output.project_id, Output.path, Output.validator, Output.digest).where(
    Output.job_seq == bindparam("at_seq"), Output.ordinal == bindparam("at_ordinal")
)
_ANY = (_IN.where(NEVER_PUT_OFF), _IN.where(PUT_OFF))


@dataclass(frozen=True, slots=True)
class TroubleView:
    """Jobs that ended badly in the same way: how many, and the first of them with its message."""

    state: str
    code: str
    jobs: int
    first_id: str
    message: str


@dataclass(frozen=True, slots=True)
class SavedOutput:
    """What is known of a file that is here or on its way: `digest` (SHA-256 in hex) once all of it has arrived."""

    project_id: str
    path: str
    validator: str | None
    digest: str | None


class Views(Rows):
    """Reads on one connection, that is one snapshot."""

    # --- what the planner asks (planning's KnownJobs, for outputs under `output_dir`) ---

    def media(self, paths: Iterable[str]) -> dict[str, MediaFacts]:
        """What is remembered of local files, by absolute path."""
        found: dict[str, MediaFacts] = {}
        for batch in chunks(paths):
            rows = self.connection.execute(_MEDIA, {"at_paths": batch})
            found.update((row.path, MediaFacts(**row._mapping)) for row in rows)
        return found

    def known_jobs(self, output_dir: str) -> LedgerJobs:
        """The jobs of this ledger as the planner wants to know them."""
        return LedgerJobs(self.connection, output_dir)

    def sealed(self, path: str, seal: str) -> Sealed | None:
        """The manifest at `path` if it needs no plan any more; see `ledger.seals`."""
        return sealed(self.connection, path, seal)

    def seen(self, scope: str | None, until: float, month: float) -> Seen:
        """What helps to foresee the next run; see `ledger.seen`."""
        return seen(self.connection, scope, until, month)

    # --- what the runner asks ---

    def manifest_number(self, path: str) -> int:
        """The number of a manifest that was run from `path`. Raises UnknownManifest."""
        absolute = path if path == "-" else os.path.abspath(path)
        number = self.connection.execute(select(Manifest.id).where(Manifest.path == absolute)).scalar()
        if number is None:
            raise UnknownManifest(
                f"no manifest was run from {absolute} with this ledger",
                hint="`batchsync report --by manifest` lists those that were",
            )
        return number

    def any_in(self, run_id: str, states: Collection[State]) -> bool:
        """Whether the run has a job in one of `states`."""
        values = {"of_run": run_id, "in_states": [state.value for state in states]}
        return any(self.connection.execute(statement, values).first() is not None for statement in _ANY)

    def others(self, run_id: str) -> tuple[float, float]:
        """When the last of the other runs ended, and until when one has a lease: epoch seconds, 0 for never."""
        leases = select(func.max(Job.lease_until)).where(
            Job.state.in_([state.value for state in UNFINISHED]),
            Job.lease_owner.is_not(None),
            Job.lease_owner != run_id,
        )
        ends = select(func.max(Run.ended_at)).where(Run.id != run_id)
        ended, leased = (self.connection.execute(query).scalar() or 0.0 for query in (ends, leases))
        return ended, leased

    def cheapest_waiting(self, run_id: str) -> int | None:
        """The least that the vendor takes for one of the run's jobs that wait for their submission, in credits."""
        query = select(func.min(Job.estimate)).where(Job.state == State.UPLOADED.value, IS_MINE)
        return self.connection.execute(query, {"of_run": run_id}).scalar()

    def render_times(self, limit: int) -> list[tuple[RenderKind, float]]:
        """The newest jobs whose render is finished, the oldest of them first: seconds until that was noticed."""
        seconds = (Job.rendered_at - Job.submitted_at).label("seconds")
        newest = self.connection.execute(
            select(Job.generation_mode, Job.start_seconds, Job.end_seconds, seconds)
            .where(Job.rendered_at > Job.submitted_at)
            .order_by(Job.seq.desc())
            .limit(limit)
        ).all()
        return [
            (RenderKind(row.generation_mode, clip_seconds(row.start_seconds, row.end_seconds)), row.seconds)
            for row in reversed(newest)
        ]

    def upload(self, scope: str, digest: str, kind: str, until: float) -> tuple[str, float] | None:
        """The vendor's path of a file that stays there beyond `until`, and when it goes."""
        values = {"at_scope": scope, "at_digest": digest, "at_kind": kind, "until": until}
        row = self.connection.execute(_UPLOAD, values).first()
        return None if row is None else (row.vendor_path, row.expires_at)

    def holds_lease(self, seq: int, owner: str) -> bool:
        """Whether `owner` is the run that works on a job."""
        return self.connection.execute(select(Job.lease_owner).where(Job.seq == seq)).scalar() == owner

    def output(self, seq: int, ordinal: int) -> SavedOutput | None:
        """The row of an output, if any of its bytes were ever asked for."""
        row = self.connection.execute(_OUTPUT, {"at_seq": seq, "at_ordinal": ordinal}).first()
        return None if row is None else SavedOutput(**row._mapping)

    def owners(self, paths: Iterable[str]) -> dict[str, str]:
        """The jobs (ids) that wrote those of these absolute paths that this ledger wrote, or was about to write."""
        found: dict[str, str] = {}
        for batch in chunks(paths):
            query = select(Output.path, Job.id).join(Job, Job.seq == Output.job_seq).where(Output.path.in_(batch))
            found.update((row.path, row.id) for row in self.connection.execute(query))
        return found

    # --- what a credit report asks; see `ledger.usage` and `ledger.statement` ---

    def job_sums(self, groupings: Sequence[str], period: Period, shifts: Shifts) -> Iterator[Sums]:
        """The jobs that were last submitted in a period, by group and state, some rows at a time."""
        return job_sums(self.connection, groupings, period, shifts)

    def entry_sums(
        self, groupings: Sequence[str], period: Period, shifts: Shifts, tariff: Tariff | None = None
    ) -> Iterator[Sums]:
        """The credits that moved in a period, by group and state of their jobs; weighed, with a tariff. As above."""
        return entry_sums(self.connection, groupings, period, shifts, tariff)

    def moved_between(self, period: Period) -> tuple[float, float] | None:
        """When credits first and last moved in a period; None where none did."""
        return moved_between(self.connection, period)

    def weighted_credits(self, period: Period, tariff: Tariff, manifest_id: int | None = None) -> int:
        """What the credits of a manifest's jobs (of all jobs, if None) weigh that moved in a period."""
        return weighted_credits(self.connection, period, tariff, manifest_id)

    def failure_sums(self, period: Period) -> list[FailureSum]:
        """The jobs of a period that failed, were canceled or are held, by code, the commonest first."""
        return failure_sums(self.connection, period)

    def tag_keys(self) -> list[str]:
        """The keys of tags that jobs have."""
        return tag_keys(self.connection)

    def statement(self, period: Period) -> Statement:
        """What the account held at both ends of a period, and what the ledger knows of between."""
        return statement(self.connection, period)

    # --- counts and sums ---

    def counts(self, manifest_id: int | None = None) -> dict[Shown, int]:
        """Jobs by shown state, of a manifest as it stands now, or of the whole ledger."""
        leased = Job.lease_owner.is_not(None).label("leased")
        rows = self.connection.execute(
            scoped(select(Job.state, Job.vendor_status, leased, func.count().label("n")), manifest_id).group_by(
                Job.state, Job.vendor_status, leased
            )
        )
        found = dict.fromkeys(Shown, 0)
        for row in rows:
            found[shown(State(row.state), row.vendor_status, row.leased)] += row.n
        return found

    def credits(self, manifest_id: int | None = None) -> Totals:
        """Credits of a manifest's jobs as it stands now, or of the whole ledger."""
        estimated = self.connection.execute(
            scoped(select(func.coalesce(func.sum(Job.estimate), 0)).select_from(Job), manifest_id)
        ).scalar_one()
        sums = scoped(select(CreditEntry.kind, func.sum(CreditEntry.amount)), manifest_id, CreditEntry.job_seq)
        rows = self.connection.execute(sums.group_by(CreditEntry.kind)).all()
        return totals([(kind, int(amount)) for kind, amount in rows], int(estimated))

    def flight(self, manifest_id: int | None = None) -> Flight:
        """What is at the vendor now."""
        return flight(self.connection, manifest_id)

    def ended_since(self, since: float, manifest_id: int | None = None) -> int:
        """How many jobs have come to their end since then (epoch seconds)."""
        return ended_since(self.connection, since, manifest_id)

    def unfinished(self, manifest_id: int | None = None) -> int:
        """How many jobs are not at their end."""
        query = select(func.count()).select_from(Job).where(Job.state.in_([state.value for state in UNFINISHED]))
        return int(self.connection.execute(scoped(query, manifest_id)).scalar_one())

    def output_dirs(self, manifest_id: int | None = None) -> list[str]:
        """Where the jobs' files go."""
        query = scoped(select(Job.output_dir).select_from(Job).distinct(), manifest_id)
        return sorted(self.connection.execute(query).scalars())

    def troubles(self, manifest_id: int | None = None) -> list[TroubleView]:
        """The jobs that ended badly, by state and code, the commonest first."""
        bad = [State.FAILED.value, State.CANCELED.value, State.HELD.value]
        first = func.min(Job.seq).label("first")
        groups = scoped(select(Job.state, Job.error_code, func.count().label("n"), first), manifest_id)
        found = []
        for group in self.connection.execute(
            groups.where(Job.state.in_(bad)).group_by(Job.state, Job.error_code).order_by(func.count().desc())
        ).all():
            job = self.connection.execute(select(Job.id, Job.error_message).where(Job.seq == group.first)).one()
            code, message = group.error_code or "unknown", job.error_message or ""
            found.append(TroubleView(group.state, code, group.n, job.id, message))
        return found

    def accounts_in(self, run_id: str, states: Collection[State]) -> set[str]:
        """The accounts that those of the run's jobs were submitted with that are in one of `states`."""
        query = (
            select(Balance.account_id)
            .distinct()
            .join(Submission, Submission.run_id == Balance.run_id)
            .join(Job, and_(Job.seq == Submission.job_seq, Job.submissions == Submission.number))
            .where(Job.state.in_([state.value for state in states]), IS_MINE, Balance.account_id.is_not(None))
        )
        accounts = self.connection.execute(query, {"of_run": run_id}).scalars()
        return {account for account in accounts if account is not None}

    def check(self) -> Iterator[Broken]:
        """Everything that should hold in a ledger and doesn't in this one."""
        return check(self.connection)

    def sizes(self) -> dict[str, int]:
        """How many jobs, events and credit entries there are."""
        tables = {"jobs": Job, "events": JobEvent, "credit_entries": CreditEntry}
        return {
            name: int(self.connection.execute(select(func.count()).select_from(entity)).scalar_one())
            for name, entity in tables.items()
        }

    def token_owner(self, token: str) -> str | None:
        """The id of the job that has a token."""
        return self.connection.execute(select(Job.id).where(Job.token == token)).scalar()

    def sent_to(self, seq: int) -> str | None:
        """The address of the API that a job's last submission went to."""
        query = select(Run.api_url).join(Submission, Submission.run_id == Run.id).where(Submission.job_seq == seq)
        return self.connection.execute(query.order_by(Submission.id.desc()).limit(1)).scalar()

    def standing(self) -> Standing:
        """How the ledger stands beside the account."""
        return standing(self.connection)

    def readings(self) -> list[Reading]:
        """The balances that were recorded and can be compared, in their order."""
        return readings(self.connection)

    def doubts(self) -> list[Doubt]:
        """The submissions whose outcome nobody knows, in their order."""
        return doubts(self.connection)

    def evidence(self, now: Reading) -> Evidence:
        """All that there is to judge held jobs by, with the balance that was read just now."""
        connection, line = self.connection, [*readings(self.connection), now]
        return Evidence(doubts(connection), line, partial(known_credits, connection), loose(connection))

    def last_run(self) -> dict[str, Any] | None:
        """The newest run, as its row."""
        row = self.connection.execute(select(Run.__table__).order_by(Run.started_at.desc()).limit(1)).first()
        return None if row is None else dict(row._mapping)

    def pace(self, scope: str) -> float | None:
        """The limit in requests per second that a run may begin with; None: no earlier one has found any out."""
        return read_pace(self.connection, scope, self.now).share

    def vendor(self) -> str | None:
        """Which vendor the ledger belongs to: `live`, `sandbox`, or None while nobody has said."""
        return self.connection.execute(select(Info.value).where(Info.name == "vendor")).scalar()
