"""Large ledgers: what is asked again and again finds its rows by an index, and takes no longer where there are more.

The statements are those that are really sent, and the plans those of a ledger as users have it: nobody has told the
database how many rows there are. Time isn't measured here but work: the steps of the database's machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from bigledger import GONE, make
from sqlalchemy import Connection, event

from batchsync.ledger.ledger import Ledger, Writes
from batchsync.ledger.rows import JobFilter
from batchsync.ledger.views import Views
from batchsync.model.states import UNFINISHED, State
from batchsync.runner.books import IN_FLIGHT

BIG = (
    "jobs",
    "events",
    "credit_entries",
    "submissions",
    "manifest_entries",
    "run_jobs",
    "outputs",
    "job_tags",
    "media",
    "uploads",
)
FEW, MANY = 1000, 6000
TICK = 20  # steps of the machine
SLACK, SOME = 1.5, 5
RUN = "mine"

Work = Callable[[Any], object]


def _submit(w: Writes, **more: Any) -> None:
    w.claim_submissions(RUN, 4, 60.0, max_in_flight=10**6, name=lambda job: job.id, **more)


# What a run does for each job, or every few seconds.
WRITES: Mapping[str, Work] = {
    "claim an upload": lambda w: w.claim_uploads(RUN, 4, 60.0, ahead=30, scope="scope", until=0.0),
    "claim a submission": _submit,
    "claim a look": lambda w: w.claim(RUN, State.RENDERING, 4, 60.0),
    "claim a download": lambda w: w.claim(RUN, State.RENDERED, 4, 60.0),
    "renew": lambda w: w.renew(range(1, 20), RUN, 60.0),
    "reap": lambda w: w.reap(lambda *_: False),
    "release": lambda w: w.release(RUN),
}
READS: Mapping[str, Work] = {
    "any_in, there": lambda v: v.any_in(RUN, UNFINISHED),
    "any_in, not there": lambda v: v.any_in(RUN, [State.RENDERED]),
    "cheapest_waiting": lambda v: v.cheapest_waiting(RUN),
    "accounts_in": lambda v: v.accounts_in(RUN, IN_FLIGHT),
    "standing": lambda v: v.standing(),
    "holds_lease": lambda v: v.holds_lease(1, RUN),
    "upload": lambda v: v.upload("account", "digest", "video", 0.0),
    "output": lambda v: v.output(1, 0),
}
# What people ask: it may take longer where there is more to show, but looks for nothing row by row.
LOOKS: Mapping[str, Work] = {
    "status: held": lambda v: v.jobs(JobFilter(("held",))),
    "status: held of a manifest": lambda v: v.jobs(JobFilter(("held",), 1)),
    "status: stalled": lambda v: v.stalled(),
    "status: counts of a manifest": lambda v: v.counts(1),
    "status: credits of a manifest": lambda v: v.credits(1),
    "jobs --state failed": lambda v: v.jobs(JobFilter(("failed",))),
    "jobs --tag": lambda v: v.jobs(JobFilter(tags={"lang": "es"})),
    "jobs --manifest": lambda v: v.jobs(JobFilter(manifest_id=1)),
    "jobs --run": lambda v: v.jobs(JobFilter(run_id=RUN)),
    "jobs ID": lambda v: v.jobs(JobFilter(patterns=("job-000001", "job-000002"))),
    "jobs --stalled": lambda v: v.jobs(JobFilter(stalled=True)),
    "columns of a manifest": lambda v: v.own_columns(JobFilter(manifest_id=1)),
    "show": lambda v: v.history(v.job("job-000001").seq),
    "show, by token": lambda v: v.history(v.job(v.job("job-000001").token).seq),
    "troubles": lambda v: v.troubles(1),
    "unfinished": lambda v: v.unfinished(),
    "sealed": lambda v: v.sealed("/nowhere.csv", "seal"),
}


class _Undo(Exception):
    """Takes a write back."""


@contextmanager
def ledger_of(folder: Path, jobs: int, *, others: int = 0) -> Iterator[Ledger]:
    """A ledger in which the run `mine` has the unfinished half of `jobs` jobs, after `others` planned ones."""
    folder.mkdir()
    if others:
        make(folder, others, "planned", "other")
    big = make(folder, jobs, "half")
    with Ledger(str(big.ledger)) as ledger:
        manifest = ledger.read(lambda v: v.manifest_number(str(big.manifest)))

        def begin(w: Writes) -> None:
            w.start_run(GONE, manifest_id=manifest, version="0", api_url="http://vendor.invalid", options={})
            w.take_on(RUN, manifest)
            for claimed in w.claim(RUN, State.PLANNED, 20, 60.0):
                w.assets_ready(claimed.seq, RUN, "api-assets/v", "api-assets/a", None)

        ledger.write(begin, RUN)
        yield ledger


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with ledger_of(tmp_path_factory.mktemp("few") / "ledger", FEW) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with ledger_of(tmp_path_factory.mktemp("many") / "ledger", MANY) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """As `few`, beside many planned jobs that are others'."""
    with ledger_of(tmp_path_factory.mktemp("crowded") / "ledger", FEW, others=MANY) as ledger:
        yield ledger


def done(ledger: Ledger, work: Work, *, write: bool, look: Callable[[Connection], None] | None = None) -> None:
    """Do a read, or a write that is then undone; `look` sees its connection first."""

    def run(on: Any) -> None:
        if look is not None:
            look(on.connection)
        work(on)
        raise _Undo

    with pytest.raises(_Undo):
        ledger.write(run, RUN) if write else ledger.read(run)


def capped(ledger: Ledger) -> Work:
    """A claim for submissions under a cap, as all but the first of a run: the first sums up all of a manifest."""
    known = ledger.write(lambda w: w.exposure(1))
    return lambda w: _submit(w, cap=10**9, cap_manifest=1, exposure=known)


# --- plans ---


def plans(ledger: Ledger, work: Work, *, write: bool) -> list[tuple[str, str]]:
    """The lines of the plans of all statements that `work` sends, each with its statement."""
    sent: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        sent.append((statement, parameters[0] if many else parameters))

    engines = (ledger._reader, ledger._writer)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        done(ledger, work, write=write)
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
    # Not those that insert: plans tell of looks for rows that point to a new one, which are never taken.
    asked = [(text, values) for text, values in sent if text.split()[0] in ("SELECT", "UPDATE", "DELETE")]
    with closing(ledger._writer.raw_connection()) as raw:
        cursor = raw.cursor()
        return [
            (row[3], text)
            for text, values in asked
            for row in cursor.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
        ]


def scans(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What reads a big table from end to end, or makes an index of its own for one question."""
    return [
        (line, text)
        for line, text in found
        if (line.startswith("SCAN ") or "AUTOMATIC" in line) and line.split()[1].rstrip("_0123456789") in BIG
    ]


# A partial index that holds nothing but the leases there are: all of it is what is asked for.
ON_PURPOSE = "SCAN jobs USING INDEX ix_jobs_lease_owner"


@pytest.mark.parametrize("name", [*WRITES, *READS, *LOOKS])
def test_a_statement_finds_its_rows_by_an_index(many: Ledger, name: str) -> None:
    work = {**WRITES, **READS, **LOOKS}[name]
    found = plans(many, work, write=name in WRITES)
    assert found
    assert [scan for scan in scans(found) if scan[0] != ON_PURPOSE] == []


def test_a_submission_under_a_cap_finds_its_rows_by_an_index(many: Ledger) -> None:
    assert scans(plans(many, capped(many), write=True)) == []


def test_a_scan_would_be_seen(many: Ledger) -> None:
    found = plans(
        many, lambda v: v.connection.exec_driver_sql("SELECT 1 FROM jobs WHERE name = 'x'").all(), write=False
    )
    assert [line for line, _ in scans(found)] == ["SCAN jobs"]


# --- work ---


def steps(ledger: Ledger, work: Work, *, write: bool) -> int:
    """How often the database's machine ticks for `work`."""
    ticks = 0
    raw: Any = None

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return 0

    def count(connection: Connection) -> None:
        nonlocal raw
        raw = connection.connection.driver_connection
        raw.set_progress_handler(tick, TICK)

    try:
        done(ledger, work, write=write, look=count)
    finally:
        raw.set_progress_handler(None, TICK)
    return ticks


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_it_is_no_more_work_where_there_are_more_jobs(few: Ledger, many: Ledger, name: str) -> None:
    work, write = {**WRITES, **READS}[name], name in WRITES
    assert steps(many, work, write=write) <= SLACK * steps(few, work, write=write) + SOME


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_it_is_no_more_work_beside_the_jobs_of_others(few: Ledger, crowded: Ledger, name: str) -> None:
    work, write = {**WRITES, **READS}[name], name in WRITES
    assert steps(crowded, work, write=write) <= SLACK * steps(few, work, write=write) + SOME


def test_a_submission_under_a_cap_is_no_more_work_where_there_are_more_jobs(few: Ledger, many: Ledger) -> None:
    assert steps(many, capped(many), write=True) <= SLACK * steps(few, capped(few), write=True) + SOME


def test_more_work_would_be_seen(few: Ledger, many: Ledger) -> None:
    def count(v: Views) -> object:
        return v.counts(1)

    assert steps(many, count, write=False) > 3 * steps(few, count, write=False)


# --- what they are made of ---


def test_a_large_ledger_is_one_that_could_be(many: Ledger) -> None:
    assert many.read(lambda v: list(v.check())) == []
