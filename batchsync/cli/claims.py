"""Asks the vendor about a project that a person names for a held job, before the ledger believes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import anyio

from batchsync.cli.connect import Connection
from batchsync.cli.output import clean, say
from batchsync.errors import KeyMissing, SettingError
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.rows import JobView
from batchsync.vendor.port import Next, Project, VendorTrouble

_TOKEN_AT_END = re.compile(r".* · ([a-z2-7]{6,32})")


def ask_about(
    ledger: Ledger, job: JobView, project_id: str, connect: Callable[[], AbstractContextManager[Connection]]
) -> int | None:
    """The credits that the vendor has taken for a project that a person named; None where it doesn't say.

    A vendor that can't be asked is no reason to refuse: the next run finds out. Raises SettingError for a project
    that isn't there, or is another job's by its name.
    """
    try:
        with connect() as connection:
            sent_to = ledger.read(lambda v: v.sent_to(job.seq))
            if connection.sandbox or sent_to == connection.api_url:
                return _checked(ledger, job, anyio.run(_look, connection, project_id))
            why = f"the job was sent to {sent_to}, and --api-url is {connection.api_url}"
    except KeyMissing as error:
        why = error.message
    except VendorTrouble as failure:
        if failure.trouble.next is Next.GONE:
            raise SettingError(
                f"the vendor knows no project {project_id}", hint="look again at its id; nothing was changed"
            ) from None
        why = failure.trouble.message
    say(f"Project {project_id} could not be checked: {clean(why)}. The next run will see.", err=True)
    return None


def _checked(ledger: Ledger, job: JobView, project: Project) -> int | None:
    if not project.enabled:
        raise SettingError(f"project {project.id} was deleted at the vendor", hint="nothing was changed")
    named = _TOKEN_AT_END.fullmatch(project.name or "")
    if named is not None and named[1] != job.token:
        other = ledger.read(lambda v: v.token_owner(named[1]))
        if other is not None:
            raise SettingError(
                f"project {project.id} is named {clean(project.name)!r}, and that token is job {clean(other)}'s",
                hint="look for the name that ends with this job's own token; nothing was changed",
            )
    return project.credits


async def _look(connection: Connection, project_id: str) -> Project:
    vendor = connection.vendor()
    try:
        return await vendor.project(project_id)
    finally:
        await vendor.aclose()
