"""From a manifest to jobs: load, look at the files, plan against the ledger, check the outputs. Spends nothing."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from batchsync.errors import LedgerMissing, ManifestError, OutputError
from batchsync.ledger.intake import Added
from batchsync.ledger.ledger import Ledger, Writes
from batchsync.manifest.load import Manifest, load
from batchsync.media.facts import gather
from batchsync.model.job import JobSpec, MediaFacts
from batchsync.model.problem import Problem
from batchsync.planning.plan import NothingKnown, Plan, plan

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


def prepare(
    source: str,
    output_dir: Path,
    ledger: Ledger | None,
    *,
    on_progress: Progress | None = None,
) -> Prepared:
    """Read and check a manifest. Raises ManifestError with all faults, OutputError for the output directory.

    `ledger` is None where none exists yet. `on_progress(done, all)` is told of files as they are read.
    """
    outputs = str(output_dir.absolute())
    manifest = load(source)
    paths = local_paths(manifest.specs)
    known = ledger.read(lambda v: v.media(paths)) if ledger else {}

    def remembered(path: str, size: int, mtime_ns: int) -> MediaFacts | None:
        found = known.get(path)
        return found if found and (found.size, found.mtime_ns) == (size, mtime_ns) else None

    facts, errors = gather(paths, remembered, on_progress)
    if ledger:
        planned = ledger.read(
            lambda v: plan(manifest.specs, facts, dict(errors), v.known_jobs(outputs), manifest=manifest.path)
        )
    else:
        planned = plan(manifest.specs, facts, dict(errors), NothingKnown(), manifest=manifest.path)
    problems = (*manifest.problems, *planned.problems)
    problems += tuple(in_the_way(planned, outputs, ledger))
    problems += tuple(led_away(planned, outputs))
    planned = replace(planned, problems=problems)
    faults = [problem for problem in problems if problem.severity == "error"]
    if faults:
        raise ManifestError(f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in {manifest.path}", problems)
    fresh = tuple(fact for path, fact in facts.items() if known.get(path) != fact)
    return Prepared(manifest, planned, fresh, outputs)


def prepare_at(source: str, output_dir: Path, location: str) -> Prepared:
    """`prepare` against the ledger at `location`, whether there is one yet or not."""
    with _many_objects():
        try:
            with Ledger(location) as ledger:
                return prepare(source, output_dir, ledger)
        except LedgerMissing:
            return prepare(source, output_dir, None)


@contextmanager
def _many_objects() -> Iterator[None]:
    """Let nobody look for garbage among objects that all stay: it takes a quarter of the time of a large plan."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def local_paths(specs: tuple[JobSpec, ...]) -> list[str]:
    """The local files that jobs name, each once, in order."""
    sources = (source for spec in specs for source in (spec.video, spec.audio))
    return list(dict.fromkeys(source.value for source in sources if source.is_local))


def in_the_way(planned: Plan, output_dir: str, ledger: Ledger | None) -> list[Problem]:
    """Files that stand where an output would go and that this ledger did not write."""
    # Strings, not Paths: a hundred thousand of these take as long as all the rest of a plan.
    paths = ((os.path.join(output_dir, job.output), job) for job in (*planned.new, *planned.changed))
    waiting = {path: job for path, job in paths if os.path.lexists(path)}
    resolved = {path: str(Path(path).parent.resolve() / Path(path).name) for path in waiting}
    ours = ledger.read(lambda v: v.owned(resolved.values())) if ledger and waiting else set()
    return [
        Problem(
            job.spec.place,
            f"{path} exists already, and this ledger did not write it",
            column="output",
            value=job.output,
            hint="move that file, or use another --output-dir or output",
        )
        for path, job in waiting.items()
        if resolved[path] not in ours
    ]


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
        return w.add(manifest.path, manifest.columns, prepared.plan.jobs, prepared.output_dir)

    added = ledger.write(write)
    kept = len(prepared.plan.changed) - added.changed
    if kept > 0:
        log.warning("%d of the changed jobs go as they were: another process has them in its hands right now", kept)
    return added
