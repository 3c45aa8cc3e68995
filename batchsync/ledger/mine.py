"""A run's own jobs in some states, found at once however many jobs it has and however many others lie beside them.

Each query starts from the index on (state, not_before, seq) and asks of each job there whether it is the run's. Jobs
that were put off are as few as are being worked on. Of those that nothing has put off yet (`not_before` is 0) there
may be a great many, so only those between the run's first and last job are looked at.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, func, select

from batchsync.ledger.tables import Job, RunJob

RUN: BindParameter[str] = bindparam("of_run")
STATES: BindParameter[list[str]] = bindparam("in_states", expanding=True)

_END = select(RunJob.job_seq).where(RunJob.run_id == RUN)
_FIRST = _END.with_only_columns(func.min(RunJob.job_seq)).scalar_subquery()
_LAST = _END.with_only_columns(func.max(RunJob.job_seq)).scalar_subquery()

# Not a join: SQLite would start from the jobs of the run, and most of a large run's are complete.
IS_MINE: ColumnElement[bool] = _END.where(RunJob.job_seq == Job.seq).exists()
_BETWEEN = Job.seq.between(_FIRST, _LAST)

NEVER_PUT_OFF = and_(Job.not_before == 0.0, _BETWEEN, IS_MINE)
PUT_OFF = and_(Job.not_before > 0.0, _BETWEEN, IS_MINE)


def in_order(query: Select[Any]) -> tuple[Select[Any], Select[Any]]:
    """`query` for the run's jobs, as two: those that come first, and those that come after them."""
    ordered = query.order_by(Job.not_before, Job.seq)
    return ordered.where(NEVER_PUT_OFF), ordered.where(PUT_OFF)
