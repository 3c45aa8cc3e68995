"""What an account's tier doesn't allow: files too large for it, modes that it doesn't have. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from batchsync.model.job import JobSpec, MediaFacts, Mode
from batchsync.model.problem import Problem
from batchsync.planning.contents import written
from batchsync.planning.plan import Plan
from batchsync.planning.repeats import few

# The largest upload in bytes, as the vendor documents it, from the lowest tier to the highest.
LARGEST = {"free": 200_000_000, "creator": 2_000_000_000, "pro": 5_000_000_000, "business": 10_000_000_000}


def to_be_sent(specs: Sequence[JobSpec], planned: Plan) -> list[JobSpec]:
    """The entries that may still be uploaded and paid: jobs not submitted yet, and entries that have a fault now."""
    faulty = {problem.place for problem in planned.problems if problem.severity == "error"}
    return [job.spec for job in planned.waiting] + [spec for spec in specs if spec.place in faulty]


def tier_matters(specs: Sequence[JobSpec], facts: Mapping[str, MediaFacts]) -> bool:
    """Whether there is a tier on which these entries can't be done. Where there is none, nobody needs to be asked."""
    sources = (source.value for spec in specs for source in (spec.video, spec.audio))
    largest = max((facts[source].size for source in sources if source in facts), default=0)
    return not surely_allowed({spec.generation_mode for spec in specs}, largest, None)


def surely_allowed(modes: Set[Mode], largest: int, tier: str | None) -> bool:
    """Whether `tier` allows these modes, and files of `largest` bytes; if it isn't known, whether all tiers do."""
    name = (tier or "").strip().lower()
    known = name if name in LARGEST else "free"
    return largest <= LARGEST[known] and (known != "free" or modes <= {Mode.LITE})


def beyond_tier(specs: Sequence[JobSpec], facts: Mapping[str, MediaFacts], tier: str | None) -> list[Problem]:
    """Faults and warnings of entries that `tier` doesn't allow; without a tier, of those that none allows."""
    name = (tier or "").strip().lower()
    found = [problem for spec in specs for problem in _too_large(spec, facts, name)]
    if name == "free":
        found += [_paid_mode(spec, "error") for spec in specs if spec.generation_mode is Mode.PRO]
        doubts = [_paid_mode(spec, "warning") for spec in specs if spec.generation_mode is Mode.STANDARD]
        found += few(doubts, "standard on a free tier")
    return found


def _too_large(spec: JobSpec, facts: Mapping[str, MediaFacts], tier: str) -> list[Problem]:
    most = LARGEST.get(tier, max(LARGEST.values()))
    where = f"the tier of this account ({tier})" if tier in LARGEST else "any tier"
    found = []
    for role, source in (("video", spec.video), ("audio", spec.audio)):
        size = facts[source.value].size if source.is_local and source.value in facts else 0
        if size > most:
            column, value = written(spec, role, source)
            message = f"has {size:,} bytes, and {where} takes at most {most:,}"
            fits = next((name for name, largest in LARGEST.items() if largest >= size), None)
            hint = "make it smaller" + (f", or use the tier {fits}" if fits else "")
            found.append(Problem(spec.place, message, column=column, value=value, hint=hint))
    return found


def _paid_mode(spec: JobSpec, severity: str) -> Problem:
    mode = str(spec.generation_mode)
    column = "style.generation_mode" if "style.generation_mode" in spec.row else "generation_mode"
    if severity == "error":
        return Problem(spec.place, "needs a paid tier, and this account is on the free one", column, mode, "use lite")
    message = "needs a paid tier by some of the vendor's pages, and this account is on the free one"
    return Problem(spec.place, message, column, mode, severity="warning")
