"""What a shell can complete from a ledger: jobs, tags, runs. Few, quick, and silent where there is no ledger."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from click import Context, Parameter
from click.shell_completion import CompletionItem

from batchsync.errors import BatchsyncError
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.listing import JobFilter
from batchsync.ledger.views import Views
from batchsync.model.states import Shown

MOST = 50
T = TypeVar("T")
Complete = Callable[[Context, Parameter, str], list[CompletionItem]]


def jobs(*states: Shown) -> Complete:
    """Completes ids of jobs, or only of those in `states`."""

    def complete(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:
        wanted = JobFilter(
            tuple(state.value for state in states), patterns=(f"{incomplete}*",), limit=MOST, sort="id"
        )
        # The pattern doesn't look at case, and a shell does.
        found = ask(ctx, lambda v: [job for job in v.jobs(wanted) if job.id.startswith(incomplete)])
        return [CompletionItem(job.id, help=job.state.value) for job in found]

    return complete


def tags(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes KEY=VALUE as the jobs have it."""
    return [CompletionItem(f"{key}={value}") for key, value in ask(ctx, lambda v: v.tags(incomplete, MOST))]


def runs(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes runs, the newest first."""
    names = ["last", *ask(ctx, lambda v: v.run_ids(MOST))]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def ask(ctx: Context, question: Callable[[Views], Sequence[T]]) -> Sequence[T]:
    """The ledger's answer; nothing where there is no ledger or none that can be read: a shell shows no errors."""
    location = ctx.params.get("ledger") or os.environ.get("BATCHSYNC_LEDGER") or "batchsync.db"
    try:
        with Ledger(location) as ledger:
            return ledger.read(question)
    except BatchsyncError:
        return []
