"""Which job an entry is: one that the ledger knows, one that stands in the manifest already, or a new one. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from batchsync.model.credits import estimate, worst
from batchsync.model.job import KnownJob, Mode, PlannedJob
from batchsync.model.problem import Place, Problem
from batchsync.model.states import State
from batchsync.planning.asks import Ask
from batchsync.planning.naming import auto_id, free_token, output_path
from batchsync.planning.repeats import few


def unique(asks: Sequence[Ask], problems: list[Problem]) -> list[Ask]:
    """Each job's first entry. The same job again is a warning, an id again with other contents a fault."""
    first: dict[tuple[str, str], Ask] = {}
    again: dict[tuple[str, str], list[Place]] = {}
    for ask in asks:
        key = ("id", ask.spec.id) if ask.spec.id is not None else ("ask", ask.digest)
        kept = first.setdefault(key, ask)
        if kept is ask:
            continue
        if kept.digest != ask.digest:
            problems.append(_other_contents(ask, kept))
        elif kept.spec.output != ask.spec.output:
            problems.append(_other_output(ask, kept))
        else:
            again.setdefault(key, []).append(ask.spec.place)
    problems += few([_repeated(first[key], places) for key, places in again.items()], "jobs that come again")
    return list(first.values())


def _other_contents(ask: Ask, kept: Ask) -> Problem:
    message = f"has other contents than the same id at {kept.spec.place}"
    return Problem(ask.spec.place, message, column="id", value=ask.spec.id, hint="give one of them another id")


def _other_output(ask: Ask, kept: Ask) -> Problem:
    message = f"is the same job as {kept.spec.place}, but with another output"
    hint = "for two outputs, give them different ids: both are then rendered and paid"
    return Problem(ask.spec.place, message, column="output", value=ask.spec.output, hint=hint)


def _repeated(kept: Ask, places: Sequence[Place]) -> Problem:
    shown = ", ".join(str(place.line or place.entry) for place in places[:10])
    more = f" and {len(places) - 10} more" if len(places) > 10 else ""
    unit = "line" if kept.spec.place.line else "entry"
    what = "comes again" if kept.spec.id is not None else "comes again, without an id"
    message = f"the same job {what} ({unit} {shown}{more}): it is rendered once, as it stands here"
    return Problem(kept.spec.place, message, column="id", value=kept.spec.id, severity="warning")


def recognise(
    asks: Sequence[Ask],
    manifest: str,
    by_id: Mapping[str, KnownJob],
    by_ask: Mapping[str, Sequence[KnownJob]],
    problems: list[Problem],
) -> list[tuple[Ask, KnownJob | None]]:
    """Each entry with the ledger's job that it is; those that clash with it are left out, with a fault."""
    found: list[tuple[Ask, KnownJob | None]] = []
    for ask in asks:
        if ask.spec.id is None:
            own = [job for job in by_ask.get(ask.digest, ()) if job.auto_id]
            found.append((ask, own[0] if own else None))
            continue
        job = by_id.get(ask.spec.id)
        if job is None or job.ask == ask.digest or (job.not_submitted and job.manifest == manifest):
            found.append((ask, job))
        else:
            problems.append(_known_otherwise(ask, job, manifest))
    return _once(found, problems)


def _once(found: Sequence[tuple[Ask, KnownJob | None]], problems: list[Problem]) -> list[tuple[Ask, KnownJob | None]]:
    """Two entries may be one job of the ledger: one by its id, the other, without an id, by its contents."""
    kept: list[tuple[Ask, KnownJob | None]] = []
    first: dict[str, Ask] = {}
    for ask, job in sorted(found, key=lambda pair: pair[0].spec.id is None):
        if job is None or job.id not in first:
            kept.append((ask, job))
            if job is not None:
                first[job.id] = ask
        else:
            problems.append(_repeated(first[job.id], [ask.spec.place]))
    order = {id(ask): number for number, (ask, _) in enumerate(found)}
    return sorted(kept, key=lambda pair: order[id(pair[0])])


def _known_otherwise(ask: Ask, job: KnownJob, manifest: str) -> Problem:
    other = "with other contents (its options, or what is in its files)"
    hint = "give it another id, or use another ledger (--ledger FILE), or put the entry back as it was"
    if job.manifest != manifest:
        where = f"the ledger knows this id {other}, from {job.manifest or 'another manifest'}"
    else:
        where = f"the ledger knows this id from this manifest, {other}, and it was submitted ({job.state})"
        if job.state in (State.FAILED, State.CANCELED):
            hint = (
                f"`batchsync retry {shlex.quote(job.id)}` puts it back, and then it goes as it stands here; or {hint}"
            )
    return Problem(ask.spec.place, where, column="id", value=ask.spec.id, hint=hint)


class Names:
    """Gives ids, tokens and outputs: known jobs keep theirs, new ones get such as nobody has."""

    def __init__(self, tokens: AbstractSet[str], ids: AbstractSet[str]) -> None:
        self._tokens = tokens
        self._ids = ids
        self._given: set[str] = set()

    def job(self, ask: Ask, known: KnownJob | None) -> PlannedJob:
        """The planned job of an entry."""
        if known is not None:
            job_id, automatic, token = known.id, known.auto_id, known.token
        elif ask.spec.id is not None:
            job_id, automatic = ask.spec.id, False
            token = free_token(f"id:{job_id}", self._taken)
        else:
            automatic = True
            token = free_token(
                f"ask:{ask.digest}", lambda token: self._taken(token) or auto_id(ask.spec, token) in self._ids
            )
            job_id = auto_id(ask.spec, token)
        self._given.add(token)
        fixed = known is not None and not known.not_submitted
        return _planned(ask, job_id, automatic, token, known.output if known and fixed else None)

    def _taken(self, token: str) -> bool:
        return token in self._tokens or token in self._given


@lru_cache(maxsize=4096)  # exact arithmetic is slow, and most jobs of a batch are alike
def _credits(start: float, end: float, mode: Mode, max_fps: float | None, fps: float | None) -> tuple[int, int]:
    return estimate(start, end, mode), worst(start, end, mode, max_fps, fps)


def _planned(ask: Ask, job_id: str, automatic: bool, token: str, output: str | None) -> PlannedJob:
    spec = ask.spec
    fps = ask.video.fps if ask.video is not None else None
    at_submission, at_most = _credits(spec.start_seconds, ask.end, spec.generation_mode, spec.max_fps_limit, fps)
    return PlannedJob(
        spec=spec,
        id=job_id,
        auto_id=automatic,
        token=token,
        ask=ask.digest,
        end_seconds=ask.end,
        estimate=at_submission,
        worst=at_most,
        output=output if output is not None else output_path(spec, job_id),
        video=ask.video,
        audio=ask.audio,
    )
