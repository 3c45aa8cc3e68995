"""No two jobs share an output, whatever the case of its letters. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from batchsync.model.job import KnownJob, PlannedJob
from batchsync.model.problem import Problem


def shared_outputs(
    jobs: Sequence[PlannedJob], old: Mapping[str, KnownJob], owners: Mapping[str, str]
) -> list[Problem]:
    """A fault for each job whose output is another's: of this manifest, or (`owners`: path → job id) of the ledger.

    `old` are the ledger's jobs that the manifest's jobs are, by id; those that may still change give theirs up.
    """
    first: dict[str, PlannedJob] = {}
    problems: list[Problem] = []
    for job in jobs:
        other = first.setdefault(_folded(job.output), job)
        owner = owners.get(job.output, job.id)
        if other is not job:
            problems.append(_fault(job, f"is also the output of job {other.id!r} at {other.spec.place}"))
        elif owner != job.id and owner not in old:
            problems.append(_fault(job, f"is the output of job {owner!r} in the ledger"))
    return problems


def _folded(path: str) -> str:
    # Some file systems take names for equal that differ in case, or in how an accent is encoded.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _fault(job: PlannedJob, message: str) -> Problem:
    if job.spec.output is None:
        return Problem(job.spec.place, f"its output {job.output!r} {message}", column="id", value=job.spec.id)
    said = message if job.spec.output == job.output else f"gives {job.output!r}, which {message}"
    hint = "an output with {id} in it is each job's own"
    return Problem(job.spec.place, said, column="output", value=job.spec.output, hint=hint)
