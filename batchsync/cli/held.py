"""Held jobs in words: what to look for at the vendor, where, and what to do then."""

from __future__ import annotations

from collections.abc import Sequence

from batchsync.cli.options import local
from batchsync.cli.output import counted, number, table
from batchsync.ledger.rows import JobView

LIBRARY = "https://magichour.ai/my-library"
MOST = 10


def held_lines(jobs: Sequence[JobView], most: int | None = MOST) -> list[str]:
    """What a person needs to settle `jobs`, which are all held; the first `most` of them in full."""
    if not jobs:
        return []
    rows: list[list[object]] = [
        [job.id, job.sent_as or job.token, local(job.submitted_at), job.estimate, job.error_code or ""]
        for job in jobs[:most]
    ]
    lines = [
        f"Held: {counted(len(jobs), 'job')} may or may not exist at the vendor; never sent again by itself.",
        f"Look in {LIBRARY} for these names, made at these times:",
        *(f"  {line}" for line in table(["job", "name at the vendor", "sent", "credits", "why"], rows).split("\n")),
    ]
    if len(jobs) > len(rows):
        lines.append(f"  … and {number(len(jobs) - len(rows))} more: `batchsync jobs --state held`")
    return [
        *lines,
        "  There:         batchsync resolve JOB --project ID",
        "  Not there:     batchsync resolve JOB --not-created",
        "  Hard to tell:  batchsync resolve --suggest    (weighs the account's balance)",
    ]
