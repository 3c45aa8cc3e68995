"""Several processes on one ledger: they share the work, and what a living one holds is never taken from it."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing

from program import Program, wait_until

from batchsync.sandbox.serve import Sandbox

Start = Callable[..., Sandbox]


def test_what_a_process_holds_that_is_alive_but_slow_is_never_taken_from_it(
    program: Program, start_sandbox: Start
) -> None:
    """It stands still in the middle of a submission, and its lease runs out: nobody judges that submission but it."""
    sandbox = start_sandbox("submit:slow:6:times=1")
    program.api_url = sandbox.api_url
    manifest = program.manifest(6)
    slow = program.start("run", manifest, "--json", "--max-in-flight", "1")
    wait_until(lambda: sandbox.state()["peak"]["submit"] == 1)
    wait_until(lambda: program.ask("SELECT count(*) FROM jobs WHERE state = 'uploaded'") == 5)
    wait_until(lambda: _stopped_with_its_leases_run_out(program, slow))
    wait_until(lambda: len(sandbox.state()["projects"]) == 1)

    quick = program.start("run", manifest, "--json")
    wait_until(lambda: len(sandbox.state()["projects"]) == 6)
    slow.send_signal(signal.SIGCONT)
    for done in (program.finish(slow), program.finish(quick)):
        assert done.code == 0, done.err
        assert (done.json["jobs"]["complete"], done.json["jobs"]["held"]) == (6, 0)
    state = sandbox.state()
    assert len({project["name"] for project in state["projects"]}) == len(state["projects"]) == 6
    assert done.json["credits"]["net"] == state["granted"] - state["account"]["credits"]
    assert program.ask("SELECT count(*) FROM events WHERE event = 'submit_lost'") == 0
    assert program("ledger", "check").code == 0


def _stopped_with_its_leases_run_out(program: Program, process: subprocess.Popen[str]) -> bool:
    """Stop a process while it writes nothing, so that the ledger is free; then its leases are long over."""
    process.send_signal(signal.SIGSTOP)
    try:
        with closing(sqlite3.connect(program.folder / "batchsync.db", timeout=0.2)) as ledger, ledger:
            return ledger.execute("UPDATE jobs SET lease_until = 1 WHERE lease_owner IS NOT NULL").rowcount > 0
    except sqlite3.OperationalError:
        process.send_signal(signal.SIGCONT)
        return False


def test_a_run_that_never_comes_back_leaves_its_work_to_the_others(program: Program, start_sandbox: Start) -> None:
    sandbox = start_sandbox("submit:stall(done=yes):times=1", render_seconds=0.5)
    program.api_url = sandbox.api_url
    manifest = program.manifest(5)
    dying = program.start("run", manifest, "--max-in-flight", "1")
    wait_until(lambda: len(sandbox.state()["projects"]) == 1)
    living = [program.start("run", manifest, "--json") for _ in range(2)]
    wait_until(lambda: len(sandbox.state()["projects"]) >= 3)
    dying.kill()
    dying.communicate()
    results = [program.finish(process) for process in living]

    # Whether the one that was under way exists only the vendor knows; all the others are done.
    assert {done.code for done in results} == {1}, [done.err for done in results]
    assert {(done.json["jobs"]["complete"], done.json["jobs"]["held"]) for done in results} == {(4, 1)}
    assert len(sandbox.state()["projects"]) == 5
    assert program("ledger", "check").code == 0
