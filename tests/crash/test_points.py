"""Killed at every point there is: within and after every write, around and within every request and file step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from crash.judge import judge
from crash.killed import POINTS
from crash.lives import KILLED, Batch

StartBatch = Callable[..., Batch]
Words = tuple[str, ...]

RUN = ("run", "jobs.csv")
RESUBMIT = (*RUN, "--on-ambiguous", "resubmit")


@dataclass(frozen=True)
class Case:
    """How a life comes to its point: the fault it meets, what went before it, and the command that dies there.

    `before` are commands and the points at which they died, if they did; the `number`-th passing is the one that
    kills; `size` is that of the videos in bytes. With one job alone, to send what may exist never makes it twice.
    """

    fault: str | None = None
    before: tuple[tuple[Words, str | None], ...] = ()
    words: Words = RUN
    number: int = 1
    jobs: int = 2
    size: int | None = None


HELD = Case("submit:cut_before:times=1:match=Clip 0", before=((RUN, None),))
BIG = 3_000_000
# A plain run comes to most points; these are brought about. By the point, or by what stands before its last colon.
CASES = {
    "ledger.statement": Case(number=150),
    "ledger.claim": Case(before=((RUN, "ledger.render_done:committed"),)),
    "ledger.renew": Case("put:slow:0.6:times=1"),
    "ledger.reap": Case(before=((RUN, "vendor.submit:answered"),)),
    "ledger.release": Case(before=((RUN, "vendor.put:before"),)),
    "ledger.deferred": Case("submit:rate_limit(retry_after=0):times=1"),
    "ledger.note_pace": Case("submit:rate_limit(retry_after=0):times=1", jobs=40),
    "ledger.leave_pace": Case("submit:rate_limit(retry_after=0):times=1"),
    "ledger.refused": Case("submit:status:422:times=1"),
    "ledger.input_gone": Case("submit:status(404, message=no such file):times=1"),
    "ledger.lost": Case("submit:cut_after:times=1"),
    "ledger.still_rendering": Case("render:slow:1.5:times=1"),
    "ledger.render_failed": Case("render:error:times=1"),
    "ledger.vendor_canceled": Case("render:cancel:times=1"),
    "ledger.output_started": Case(size=BIG),
    "ledger.look_again": Case(before=((RUN, "ledger.render_done:committed"),)),
    "ledger.attempt_failed": Case("put:status:500:times=1"),
    "ledger.gave_up": Case("put:status:411:times=1"),
    "ledger.resolved": Case(HELD.fault, HELD.before, ("resolve", "job-0", "--not-created")),
    "ledger.claim_refuted": Case(
        HELD.fault, (*HELD.before, (("resolve", "job-0", "--project", "cmistyped"), None)), RUN
    ),
    "ledger.abandoned": Case(HELD.fault, HELD.before, ("resolve", "job-0", "--abandon")),
    "ledger.retried": Case("render:error:times=1:match=Clip 0", ((RUN, None),), ("retry", "job-0")),
    "ledger.resubmitted": Case("submit:cut_before:times=1", words=RESUBMIT, jobs=1),
    "ledger.resubmit_held": Case(before=((RUN, "vendor.submit:before"),), words=RESUBMIT, jobs=1),
    "vendor.put:partly": Case(size=BIG),
    "vendor.download:partly": Case(size=BIG, number=8),
    "file.append": Case(size=BIG, number=2),
}


def _case(point: str) -> Case:
    return CASES.get(point) or CASES.get(point.rpartition(":")[0], Case())


def _batch(start_batch: StartBatch, case: Case) -> Batch:
    batch = start_batch(*([case.fault] if case.fault else []), queue_seconds=0.02, render_seconds=0.1)
    batch.manifest(case.jobs, size=case.size)
    return batch


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_this_point_it_loses_nothing_and_pays_once(point: str, start_batch: StartBatch) -> None:
    case = _case(point)
    batch = _batch(start_batch, case)
    for words, death in case.before:
        done = batch.live(*words, point=death)
        assert (done.code == KILLED) == (death is not None), f"{words} ended with {done.code}: {done.err}"
    done = batch.live(*case.words, point=f"{point}:{case.number}")
    assert done.code == KILLED, f"it never came to {point}, and ended with {done.code}: {done.err}"

    if case.words[0] != "run":
        # What a person decided may have been written down just before: to decide it again is a fault that says so.
        again = batch.live(*case.words)
        assert again.code in (0, 2), again.err
    batch.finish(*RUN)
    judge(batch)


@pytest.mark.parametrize("number", [1, 5, 20, 40, 80, 200])
def test_killed_after_any_statement(number: int, start_batch: StartBatch) -> None:
    """Half a transaction is none; the first ones make the tables."""
    batch = _batch(start_batch, Case())
    assert batch.live(*RUN, point=f"ledger.statement:{number}").code == KILLED
    batch.finish(*RUN)
    judge(batch)


def test_every_case_is_one_of_a_point_that_exists() -> None:
    assert set(CASES) <= {*POINTS, *(point.rpartition(":")[0] for point in POINTS)}


def test_killed_at_the_same_point_again_and_again(start_batch: StartBatch) -> None:
    """A machine that dies whenever an answer comes: every job is held once, and none is paid twice."""
    batch = _batch(start_batch, Case())
    for _ in batch.videos:
        words = (*RUN, "--max-in-flight", "1")
        assert batch.live(*words, point="vendor.submit:answered").code == KILLED
    assert batch.live(*RUN).code == 1
    assert {job.state for job in batch.jobs()} == {"held"}
    batch.finish("resume")
    judge(batch)
