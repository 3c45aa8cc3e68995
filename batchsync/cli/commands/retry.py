"""`batchsync retry JOB… | --failed`: put failed or canceled jobs back."""

from __future__ import annotations

import click

from batchsync.cli import options as o
from batchsync.cli.completing import jobs as complete_jobs
from batchsync.cli.output import clean, counted, say
from batchsync.errors import IllegalTransition, SettingError
from batchsync.ledger.ledger import Ledger, Writes
from batchsync.ledger.rows import JobFilter
from batchsync.model.states import Event, Shown

HINT = "a held job is settled with `batchsync resolve`; nothing was changed"


@click.command("retry", short_help="put failed or canceled jobs back")
@click.argument("jobs", nargs=-1, shell_complete=complete_jobs(Shown.FAILED, Shown.CANCELED))
@o.ledger_option
@o.option("--failed", is_flag=True, help="All failed and canceled jobs, but abandoned ones.")
def command(jobs: tuple[str, ...], ledger: str, failed: bool) -> int:
    """Put failed or canceled JOBs back, for the next `run` or `resume`.

    A job whose project is still there is only followed and downloaded again; any other is submitted anew, and paid
    for anew.

    \b
    batchsync retry intro-es
    batchsync retry --failed
    """
    if failed == bool(jobs):
        raise SettingError("name the jobs to retry, or use --failed for all of them")
    with Ledger(ledger) as book:
        if failed:
            wanted = JobFilter(states=(Shown.FAILED.value, Shown.CANCELED.value))
            # What an abandoned job may have cost is unknown: it is sent again only if it is named.
            found = [job for job in book.read(lambda v: v.jobs(wanted)) if job.error_code != "abandoned"]
        else:
            named = book.read(lambda v: [v.job(job) for job in jobs])
            found = list({job.seq: job for job in named}.values())

        for job in found:
            if job.state not in (Shown.FAILED, Shown.CANCELED):
                raise SettingError(
                    f"job {job.id} is {job.state.value}: only failed and canceled jobs can be retried", hint=HINT
                )

        def write(w: Writes) -> list[Event]:
            return [w.retried(job.seq) for job in found]

        try:
            events = book.write(write)
        except IllegalTransition as error:
            raise SettingError(error.message, hint=HINT) from None  # another process was at it in this very moment
    for job, event in zip(found, events, strict=True):
        how = "followed: it costs nothing new" if event is Event.RETRY_FOLLOW else "submitted and paid again"
        say(f"{clean(job.id)} will be {how}")
    if not found:
        say("Nothing to put back (an abandoned job is put back only where it is named).")
        return 0
    say(f"{counted(len(found), 'job')} put back. Go on with `batchsync resume` or `batchsync run MANIFEST`.")
    return 0
