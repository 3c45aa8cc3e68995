"""The ledger's jobs as the planner asks for them (planning's KnownJobs)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from sqlalchemy import Connection, select

from batchsync.ledger.moves import chunks
from batchsync.ledger.tables import Job, Manifest
from batchsync.model.job import KnownJob
from batchsync.model.states import NOT_SUBMITTED, State


class LedgerJobs:
    """The ledger's jobs for the planner (its KnownJobs)."""

    def __init__(self, connection: Connection, output_dir: str) -> None:
        self._connection = connection
        self._output_dir = output_dir
        self._paths = {row.id: row.path for row in connection.execute(select(Manifest.id, Manifest.path))}
        self._jobs: dict[str, KnownJob] = {}  # each once, however often it is asked for: there may be many

    def by_id(self, ids: Collection[str]) -> Mapping[str, KnownJob]:
        """Known jobs by id."""
        return {job.id: job for batch in chunks(ids) for job in self._known(Job.id.in_(batch))}

    def by_ask(self, asks: Collection[str]) -> Mapping[str, Sequence[KnownJob]]:
        """Known jobs by what they ask for."""
        found: dict[str, list[KnownJob]] = {}
        for batch in chunks(asks):
            for job in self._known(Job.ask.in_(batch)):
                found.setdefault(job.ask, []).append(job)
        return found

    def tokens(self) -> AbstractSet[str]:
        """Every token that is taken."""
        return set(self._connection.execute(select(Job.token)).scalars())

    def outputs(self, paths: Collection[str]) -> Mapping[str, str]:
        """Which job owns an output path under the output directory."""
        # One pass over the table: nothing else looks for outputs, so there is no index to ask path by path.
        wanted = set(paths)
        rows = self._connection.execute(select(Job.output, Job.id).where(Job.output_dir == self._output_dir))
        return {output: job_id for output, job_id in rows if output in wanted}

    def _known(self, condition: Any) -> list[KnownJob]:
        columns = (Job.id, Job.auto_id, Job.ask, Job.token, Job.state, Job.output, Job.net, Job.manifest_id)
        rows = self._connection.execute(select(*columns).where(condition))
        return [self._jobs.get(row.id) or self._jobs.setdefault(row.id, self._job(row)) for row in rows]

    def _job(self, row: Any) -> KnownJob:
        return KnownJob(
            id=row.id,
            auto_id=row.auto_id,
            ask=row.ask,
            token=row.token,
            state=State(row.state),
            manifest=self._paths.get(row.manifest_id),
            output=row.output,
            net=row.net,
            not_submitted=row.state in NOT_SUBMITTED,
        )
