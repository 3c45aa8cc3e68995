"""The judge of a batch that is over: what the sandbox saw against what the ledger says and what lies on the disk."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync.ledger.ledger import Ledger

if TYPE_CHECKING:
    from crash.lives import Batch

CAME_TO_NOTHING = ("error", "canceled")


def rows(folder: Path, question: str) -> list[tuple[Any, ...]]:
    """An answer of the ledger's own tables."""
    with closing(sqlite3.connect(f"file:{folder}/batchsync.db?mode=ro", uri=True)) as ledger:
        return ledger.execute(question).fetchall()


def judge(batch: Batch) -> None:
    """Nothing twice, nothing lost, every credit known: of a batch whose every job should be complete by now."""
    state = batch.sandbox.state()
    _nothing_twice(batch, state)
    _nothing_lost(batch, state)
    _every_credit_known(batch, state)
    _files_whole(batch)
    assert state["leaks"] == 0, state["leaked"]


def _nothing_twice(batch: Batch, state: dict[str, Any]) -> None:
    made: dict[str, list[str]] = {}
    for project in state["projects"]:
        made.setdefault(project["name"].rpartition(" · ")[2], []).append(project["status"])
    again = Counter(
        token
        for (token,) in rows(
            batch.folder,
            "SELECT jobs.token FROM jobs JOIN events ON job_seq = seq WHERE event = 'retry_render'",
        )
    )
    for token, statuses in made.items():
        *earlier, last = statuses
        assert all(status in CAME_TO_NOTHING for status in earlier), f"job {token} was created twice: {statuses}"
        assert len(earlier) <= again[token], f"job {token} was created again, and nobody asked for it"
        assert last == "complete", f"job {token} was never taken to its end: {statuses}"
    # An intent for every request that left; some intents were never sent, as their process died before.
    intents = rows(batch.folder, "SELECT count(*) FROM submissions")[0][0]
    posts = sum(state["requests"]["submit"].values())
    assert len(state["projects"]) <= posts <= intents, f"{posts} requests with {intents} intents"


def _nothing_lost(batch: Batch, state: dict[str, Any]) -> None:
    jobs = batch.jobs()
    assert sorted(job.id for job in jobs) == sorted(batch.videos)
    assert {job.id: job.state for job in jobs if job.state != "complete"} == {}
    noted = [row[0] for row in rows(batch.folder, "SELECT project_id FROM submissions WHERE project_id NOT NULL")]
    assert sorted(noted) == sorted(project["id"] for project in state["projects"])
    names = {project["id"]: project["name"] for project in state["projects"]}
    for job in jobs:
        assert job.project_id is not None
        assert names[job.project_id].endswith(job.token)
    assert rows(batch.folder, "SELECT count(*) FROM submissions WHERE settled_at IS NULL") == [(0,)]
    assert rows(batch.folder, "SELECT count(*) FROM jobs WHERE lease_owner NOT NULL OR reserved") == [(0,)]


def _every_credit_known(batch: Batch, state: dict[str, Any]) -> None:
    sums = rows(
        batch.folder,
        "SELECT project_id, sum(amount) FROM credit_entries WHERE project_id NOT NULL GROUP BY project_id",
    )
    stated = {project["id"]: project["credits_charged"] for project in state["projects"]}
    assert {project: amount for project, amount in sums if amount} == {p: c for p, c in stated.items() if c}
    with Ledger(str(batch.folder / "batchsync.db")) as ledger:
        assert ledger.read(lambda v: list(v.check())) == []
        net = ledger.read(lambda v: v.credits()).net
    assert net == state["granted"] - state["account"]["credits"]


def _files_whole(batch: Batch) -> None:
    folder = batch.folder / "outputs"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{job}.mp4" for job in batch.videos)
    for job, video in batch.videos.items():
        assert (folder / f"{job}.mp4").read_bytes() == (batch.folder / video).read_bytes(), f"{job}.mp4 is not whole"
