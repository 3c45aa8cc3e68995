"""`batchsync resolve JOB`: settle a held job by what a person found out."""

from __future__ import annotations

import click

from batchsync.cli import options as o
from batchsync.cli.output import clean, say
from batchsync.errors import IllegalTransition, SettingError
from batchsync.ledger.ledger import Ledger, Writes
from batchsync.vendor.wire import is_project_id


@click.command("resolve", short_help="settle a held job")
@click.argument("job")
@o.ledger_option
@o.option("--project", metavar="ID", help="It was created, as this project.")
@o.option("--not-created", is_flag=True, help="It was not created, and may be sent again.")
@o.option("--abandon", is_flag=True, help="Give it up; what it may have cost stays unknown.")
def command(job: str, ledger: str, project: str | None, not_created: bool, abandon: bool) -> int:
    """Settle a held JOB: nobody could know whether its last submission created a project.

    Look for the job's token in the vendor's library, then say what you found.

    \b
    batchsync resolve intro-es --project clx1abc…
    batchsync resolve intro-es --not-created
    """
    if [project is not None, not_created, abandon].count(True) != 1:
        raise SettingError("say exactly one of --project ID, --not-created and --abandon")
    if project is not None and not is_project_id(project):
        raise SettingError("that is no project id", hint="letters, digits, - and _, as the vendor shows it")
    with Ledger(ledger) as book:
        found = book.read(lambda v: v.job(job))

        def write(w: Writes) -> None:
            if abandon:
                w.abandoned(found.seq)
            else:
                w.resolved(found.seq, project_id=project)

        try:
            book.write(write)
        except IllegalTransition as error:
            raise SettingError(f"{error.message}; only held jobs are resolved", hint="nothing was changed") from None
    if abandon:
        say(f"{clean(found.id)} is given up. What it may have cost is not known.")
    elif project is not None:
        say(f"{clean(found.id)} is followed as project {project}. Go on with `batchsync resume`.")
    else:
        say(f"{clean(found.id)} may be submitted again. Go on with `batchsync resume`.")
    return 0
