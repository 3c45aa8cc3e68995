"""From a manifest to jobs: load, look at the files, plan against the ledger, check the outputs. Spends nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from batchsync.errors import LedgerMissing, ManifestError, OutputError
from batchsync.ledger.intake import Added
from batchsync.ledger.ledger import Ledger, Writes
from batchsync.manifest.load import Manifest, load
from batchsync.media.facts import gather
from batchsync.model.collector import collector_paused
from batchsync.model.job import JobSpec, MediaFacts, PlannedJob
from batchsync.model.problem import Problem
from batchsync.planning.plan import NothingKnown, Plan, plan
from batchsync.planning.tiers import beyond_tier, tier_matters, to_be_sent
from batchsync.runner.known_again import AskTier, seal_of

log = logging.getLogger("batchsync.run")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A manifest that can be run: no faults, every job planned."""

    manifest: Manifest
    plan: Plan
    facts: tuple[MediaFacts, ...]
    output_dir: str

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(p for p in self.plan.problems if p.severity == "warning")

    @property
    def seal(self) -> str | None:
        """What it may be known again by; None where there are warnings, which are worth saying again."""
        return None if self.plan.problems else seal_of(self.manifest.digest, self.output_dir)


def prepare(
    source: str,
    output_dir: Path,
    ledger: Ledger | None,
    *,
    on_progress: Progress | None = None,
    ask_tier: AskTier | None = None,
) -> Prepared:
    """Read and check a manifest. Raises ManifestError with all faults, OutputError for the output directory.

    `ledger` is None where none exists yet. `on_progress(done, all)` is told of files as they are read.
    `ask_tier` returns the account's tier, None where nobody can say; it is called only if the tier can matter.
    """
    outputs = str(output_dir.absolute())
    manifest = load(source)
    paths = local_paths(manifest.specs)
    known = ledger.read(lambda v: v.media(paths)) if ledger else {}

    def remembered(path: str, size: int, mtime_ns: int) -> MediaFacts | None:
        found = known.get(path)
        return found if found and (found.size, found.mtime_ns) == (size, mtime_ns) else None

    facts, errors = gather(paths, remembered, on_progress)
    fresh = tuple(fact for path, fact in facts.items() if known.get(path) != fact)
    if ledger:
        ledger.remember(fresh)  # at once: a manifest with a fault is read again when the fault is mended
    planned = _planned(manifest, facts, dict(errors), ledger, outputs)
    problems = (*manifest.problems, *planned.problems)
    problems += tuple(in_the_way(planned, outputs, ledger))
    problems += tuple(led_away(planned, outputs))
    problems += tuple(not_allowed(manifest, planned, facts, ask_tier))
    problems = tuple(sorted(problems, key=lambda problem: problem.place.order))
    planned = replace(planned, problems=problems)
    faults = [problem for problem in problems if problem.severity == "error"]
    if faults:
        raise ManifestError(f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in {manifest.path}", problems)
    return Prepared(manifest, planned, fresh, outputs)


def _planned(
    manifest: Manifest,
    facts: Mapping[str, MediaFacts],
    errors: Mapping[str, str],
    ledger: Ledger | None,
    outputs: str,
) -> Plan:
    if ledger is None:
        return plan(manifest.specs, facts, errors, NothingKnown(), manifest=manifest.path)
    return ledger.read(lambda v: plan(manifest.specs, facts, errors, v.known_jobs(outputs), manifest=manifest.path))


def prepare_at(
    source: str,
    output_dir: Path,
    location: str,
    *,
    on_progress: Progress | None = None,
    ask_tier: AskTier | None = None,
) -> Prepared:
    """`prepare` against the ledger at `location`, whether there is one yet or not."""
    with collector_paused():
        try:
            with Ledger(location) as ledger:
                return prepare(source, output_dir, ledger, on_progress=on_progress, ask_tier=ask_tier)
        except LedgerMissing:
            return prepare(source, output_dir, None, on_progress=on_progress, ask_tier=ask_tier)


def not_allowed(
    manifest: Manifest, planned: Plan, facts: Mapping[str, MediaFacts], ask_tier: AskTier | None
) -> list[Problem]:
    """What the account's tier doesn't allow of what is still to be sent."""
    specs = to_be_sent(manifest.specs, planned)
    tier = ask_tier() if ask_tier is not None and tier_matters(specs, facts) else None
    return beyond_tier(specs, facts, tier)


def local_paths(specs: tuple[JobSpec, ...]) -> list[str]:
    """The local files that jobs name, each once, in order."""
    sources = (source for spec in specs for source in (spec.video, spec.audio))
    return list(dict.fromkeys(source.value for source in sources if source.is_local))


def in_the_way(planned: Plan, output_dir: str, ledger: Ledger | None) -> list[Problem]:
    """Files that stand where an output would go and that the same job did not write."""
    # Strings, not Paths: a hundred thousand of these take as long as all the rest of a plan.
    paths = ((os.path.join(output_dir, job.output), job) for job in (*planned.new, *planned.changed))
    waiting = {path: job for path, job in paths if os.path.lexists(path)}
    resolved = {path: str(Path(path).parent.resolve() / Path(path).name) for path in waiting}
    owners = ledger.read(lambda v: v.owners(resolved.values())) if ledger and waiting else {}
    return [
        _in_the_way(job, path, owners.get(resolved[path]))
        for path, job in waiting.items()
        if owners.get(resolved[path]) != job.id
    ]


def _in_the_way(job: PlannedJob, path: str, owner: str | None) -> Problem:
    whose = "this ledger did not write it" if owner is None else f"it is a file of job {owner!r}"
    return Problem(
        job.spec.place,
        f"{path} exists already, and {whose}",
        column="output",
        value=job.output,
        hint="move that file, or use another --output-dir or output",
    )


def led_away(planned: Plan, output_dir: str) -> list[Problem]:
    """Outputs that a link in the output directory would lead out of it."""
    base = Path(output_dir).resolve()
    written = (*planned.new, *planned.changed)
    folders = {os.path.dirname(job.output) for job in written}
    astray = {folder for folder in folders if not _is_inside(Path(output_dir, folder), base)}
    return [
        Problem(
            job.spec.place,
            "leads out of the output directory, through a link",
            column="output",
            value=job.output,
            hint="outputs stay under the output directory",
        )
        for job in written
        if os.path.dirname(job.output) in astray
    ]


def _is_inside(folder: Path, base: Path) -> bool:
    try:
        return folder.resolve().is_relative_to(base)
    except RuntimeError:  # links that lead in a circle, before Python 3.13
        return False


def require_output_dir(output_dir: Path) -> None:
    """Make the output directory if it isn't there. Raises OutputError if nothing can be written in it."""
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the output directory {output_dir} can't be made: {error.strerror}", hint="use --output-dir"
        ) from None
    if not os.access(output_dir, os.W_OK | os.X_OK):
        raise OutputError(f"the output directory {output_dir} can't be written", hint="use --output-dir")


def take_in(ledger: Ledger, prepared: Prepared) -> Added:
    """Add a prepared manifest to the ledger. Adding it again changes nothing."""

    def write(w: Writes) -> Added:
        w.remember_media(prepared.facts)
        manifest = prepared.manifest
        return w.add(manifest.path, manifest.columns, prepared.plan.jobs, prepared.output_dir, prepared.seal)

    added = ledger.write(write)
    kept = len(prepared.plan.changed) - added.changed
    if kept > 0:
        log.warning("%d of the changed jobs go as they were: another process has them in its hands right now", kept)
    return added
