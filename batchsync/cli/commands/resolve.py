"""`batchsync resolve JOB`: settle a held job by what a person found out, or weigh what the balance says."""

from __future__ import annotations

from pathlib import Path

import click

from batchsync.cli import options as o
from batchsync.cli.claims import ask_about
from batchsync.cli.completing import jobs as complete_jobs
from batchsync.cli.connect import connection
from batchsync.cli.output import clean, print_json, say
from batchsync.cli.suggesting import print_weighed, weigh_held, weighed_json
from batchsync.errors import IllegalTransition, SettingError
from batchsync.ledger.ledger import Ledger, Writes
from batchsync.ledger.rows import JobView
from batchsync.model.states import Shown
from batchsync.vendor.wire import is_project_id

UNCHANGED = "nothing was changed"


@click.command("resolve", short_help="settle a held job")
@click.argument("job", required=False, shell_complete=complete_jobs(Shown.HELD))
@o.ledger_option
@o.option("--project", metavar="ID", help="It was created, as this project.")
@o.option("--not-created", is_flag=True, help="It was not created, and may be sent again.")
@o.option("--abandon", is_flag=True, help="Give it up; what it may have cost stays unknown.")
@o.option("--suggest", is_flag=True, help="Say what the account's balance tells of JOB, or of all held jobs.")
@o.sandbox_option
@o.vendor_options
@o.json_option
def command(
    job: str | None,
    ledger: str,
    project: str | None,
    not_created: bool,
    abandon: bool,
    suggest: bool,
    sandbox: bool,
    api_url: str,
    api_key_file: Path | None,
    as_json: bool,
) -> int:
    """Settle a held JOB: nobody could know whether its last submission created a project.

    Look for the job's name in the vendor's library, then say what you found. `--suggest` compares the balance with
    all known charges, and changes nothing.

    \b
    batchsync resolve intro-es --project clx1abc…
    batchsync resolve intro-es --not-created
    batchsync resolve --suggest
    """
    if [project is not None, not_created, abandon, suggest].count(True) != 1:
        raise SettingError("say exactly one of --project ID, --not-created, --abandon and --suggest")
    if job is None and not suggest:
        raise SettingError("name the job to resolve", hint="`batchsync jobs --state held` lists them")
    if project is not None and not is_project_id(project):
        raise SettingError("that is no project id", hint="letters, digits, - and _, as the vendor shows it")
    with Ledger(ledger) as book:
        if suggest:
            with connection(api_url, api_key_file, sandbox, ledger) as link:
                link.bind(book)
                found = weigh_held(book, link, job)
            if as_json:
                print_json([weighed_json(weighed) for weighed in found])
            else:
                print_weighed(found)
            return 0
        held = book.read(lambda v: v.job(job or ""))
        if held.state is not Shown.HELD:
            raise SettingError(f"job {held.id} is {held.state.value}: only held jobs are resolved", hint=UNCHANGED)
        credits = None
        if project is not None:
            credits = ask_about(book, held, project, lambda: connection(api_url, api_key_file, sandbox, ledger))
        _settle(book, held, project, abandon, credits)
    if as_json:
        print_json({"job": held.id, "project_id": project, "abandoned": abandon})
    else:
        _tell(held, project, abandon)
    return 0


def _settle(book: Ledger, job: JobView, project: str | None, abandon: bool, credits: int | None) -> None:
    def write(w: Writes) -> None:
        if abandon:
            w.abandoned(job.seq)
        else:
            w.resolved(job.seq, project_id=project, credits=credits)

    try:
        book.write(write)
    except IllegalTransition as error:
        raise SettingError(error.message, hint=UNCHANGED) from None  # another process was faster


def _tell(job: JobView, project: str | None, abandon: bool) -> None:
    if abandon:
        say(f"{clean(job.id)} is given up. What it may have cost is not known.")
    elif project is not None:
        say(f"{clean(job.id)} is followed as project {project}. Go on with `batchsync resume`.")
    else:
        say(f"{clean(job.id)} may be submitted again. Go on with `batchsync resume`.")
