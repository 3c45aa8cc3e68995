"""Looks at renders that take too long: told of once, followed slowly, never given up and never sent again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ledger.book import ESTIMATE, Hands, add, columns, dump, jobs, make_ready, open_blank, start_run
from unit.runner.test_floor import RUN, Straight

from batchsync.ledger.claims import ClaimedJob
from batchsync.ledger.ledger import Ledger
from batchsync.model.renders import stalled_after
from batchsync.model.states import Event, State
from batchsync.runner.floor import Floor
from batchsync.runner.follow import MISSING_SECONDS, Looks
from batchsync.runner.options import RunOptions
from batchsync.runner.render_times import LONGEST_GAP_SECONDS
from batchsync.runner.schedule import LONGEST_STALLED_GAP_SECONDS, SCOUTS, kind_of
from batchsync.runner.stage import Stage
from batchsync.vendor.port import Next, Project, Trouble, VendorTrouble


class Rendering:
    """A vendor whose project renders for ever."""

    async def project(self, project_id: str) -> Project:
        return Project(project_id, "rendering", ESTIMATE)


@pytest.fixture
def ledger(path: Path, clock: Hands) -> Iterator[Ledger]:
    """One job that renders since now."""
    with open_blank(path, clock) as opened:
        add(opened, jobs(1))
        start_run(opened, RUN)
        make_ready(opened, RUN, 1)
        claim = opened.write(lambda w: w.claim_submissions(RUN, 1, 60.0, max_in_flight=1, name=lambda j: j.id), RUN)
        (intent,) = claim.intents
        opened.write(lambda w: w.accepted(1, intent.submission_id, "p1", ESTIMATE, clock.at, 200), RUN)
        yield opened


class Done:
    """A vendor whose project is complete, and whose file is yet to come."""

    async def project(self, project_id: str) -> Project:
        return Project(project_id, "complete", ESTIMATE)


class Unknowing:
    """A vendor that knows no project at all."""

    async def project(self, project_id: str) -> Project:
        raise VendorTrouble(Trouble(Next.GONE, "not_found", "no such project", status=404))


async def look(looks: Looks, stage: Stage[ClaimedJob], ledger: Ledger) -> None:
    """Look at the job, which the stage has in hand after its first look."""
    if stage.handed:
        job = stage.handed.pop()[2]
    else:
        (job,) = ledger.write(lambda w: w.claim(RUN, State.RENDERING, 1, 60.0), RUN)
    await looks.work(job)


async def test_a_stalled_render_is_told_of_once_followed_slowly_and_never_sent_again(
    ledger: Ledger, path: Path, clock: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    floor = Floor(Straight(ledger, RUN), Rendering(), RunOptions(), clock, "scope")  # type: ignore[arg-type]
    looks = Looks(floor)
    stage = looks.stage()
    limit = stalled_after(2.0)
    with caplog.at_level(logging.WARNING, "batchsync.run"):
        clock.at += limit - 1
        await look(looks, stage, ledger)
        assert caplog.text == ""
        assert stage.handed[0][0] == columns(path, 1, "not_before")[0]
        assert clock.at < stage.handed[0][0] < clock.at + LONGEST_GAP_SECONDS
        assert ledger.read(lambda v: v.stalled()) == []

        for _ in range(3):
            clock.at += LONGEST_STALLED_GAP_SECONDS
            await look(looks, stage, ledger)
    assert caplog.text.count("is stalled") == 1
    gap = stage.handed[0][0] - clock.at
    assert LONGEST_GAP_SECONDS < gap <= LONGEST_STALLED_GAP_SECONDS
    assert columns(path, 1, "state, submissions") == ("rendering", 1)
    (stalled,) = ledger.read(lambda v: v.stalled())
    assert (stalled.id, stalled.stalled) == ("job-000", True)
    assert ledger.read(lambda v: v.jobs())[0].stalled


class Asked(Rendering):
    """One that counts how often it is asked, and refuses the first time."""

    asked = 0

    async def project(self, project_id: str) -> Project:
        self.asked += 1
        if self.asked == 1:
            raise VendorTrouble(Trouble(Next.AGAIN, "unavailable", "not now", status=503))
        return await super().project(project_id)


async def test_whatever_a_look_is_for_it_is_never_closer_than_the_poll_interval(ledger: Ledger, clock: Hands) -> None:
    vendor = Asked()
    floor = Floor(Straight(ledger, RUN), vendor, RunOptions(poll_interval=20.0), clock, "scope")  # type: ignore[arg-type]
    looks = Looks(floor)
    stage = looks.stage()
    await look(looks, stage, ledger)
    clock.at += 10  # of 20, and later than a try after a failure would be
    await look(looks, stage, ledger)
    assert vendor.asked == 1
    assert stage.handed[0][0] == clock.at + 10
    clock.at += 10
    await look(looks, stage, ledger)
    assert vendor.asked == 2
    assert looks._too_soon(1) == 20
    looks._looked[1] = clock.at + 3600  # the clock was set back: no reason to wait for an hour
    assert looks._too_soon(1) == 0


async def test_a_job_that_another_run_may_have_looked_at_waits_as_long(ledger: Ledger, clock: Hands) -> None:
    vendor = Asked()
    floor = Floor(Straight(ledger, RUN), vendor, RunOptions(poll_interval=20.0), clock, "scope")  # type: ignore[arg-type]
    looks = Looks(floor)
    stage = looks.stage()
    floor.others_at = clock.at - 5
    await look(looks, stage, ledger)
    assert (vendor.asked, stage.handed[0][0]) == (0, clock.at + 15)
    clock.at += 15
    await look(looks, stage, ledger)
    assert vendor.asked == 1


async def test_a_look_that_changes_nothing_writes_nothing(ledger: Ledger, path: Path, clock: Hands) -> None:
    floor = Floor(Straight(ledger, RUN), Rendering(), RunOptions(), clock, "scope")  # type: ignore[arg-type]
    looks = Looks(floor)
    stage = looks.stage()
    await look(looks, stage, ledger)
    assert columns(path, 1, "vendor_status, lease_owner") == ("rendering", RUN)
    before = dump(path)
    for _ in range(5):
        clock.at = stage.handed[0][0]
        await look(looks, stage, ledger)
    assert dump(path) == before
    assert stage.seqs == [1], "its lease is kept up with those of all that is in hand"


async def test_a_render_that_is_believed_to_go_on_is_looked_at_sooner_when_others_have_ended(
    ledger: Ledger, clock: Hands
) -> None:
    floor = Floor(Straight(ledger, RUN), Done(), RunOptions(), clock, "scope")  # type: ignore[arg-type]
    looks, began = Looks(floor), clock.at
    stage = looks.stage()
    (job,) = ledger.write(lambda w: w.claim(RUN, State.RENDERING, 1, 60.0), RUN)
    other = replace(job, seq=99)
    for scout in range(1, 1 + SCOUTS):
        floor.schedule.first_look(scout, kind_of(job), began)
    due = floor.schedule.next_look(99, kind_of(other), began, began + 30.0)
    stage.hand(other, due)
    floor.schedule.remember([(kind_of(job), 40.0)] * 7)  # the next end makes eight
    clock.at += 5.0
    await looks.work(job)
    assert stage.handed == [(pytest.approx(began + 38.0, rel=0.0, abs=3.0), 99, other)]
    assert due > began + 60.0


async def missing_for_good(ledger: Ledger, path: Path, clock: Hands) -> float:
    """Look at a project that isn't there until the job is given up; how long that took, in seconds."""
    floor = Floor(Straight(ledger, RUN), Unknowing(), RunOptions(), clock, "scope")  # type: ignore[arg-type]
    looks, since = Looks(floor), clock.at
    stage = looks.stage()
    while columns(path, 1, "state")[0] == "rendering":
        handed = (at for at, _, _ in stage.handed)
        clock.at = max(clock.at, *handed, columns(path, 1, "not_before")[0])
        await look(looks, stage, ledger)
    return clock.at - since


async def test_a_project_that_is_missing_is_paid_for_again_only_when_it_is_missing_twice(
    ledger: Ledger, path: Path, clock: Hands
) -> None:
    lasted = await missing_for_good(ledger, path, clock)
    assert MISSING_SECONDS <= lasted < 3 * MISSING_SECONDS
    assert columns(path, 1, "state, error_code, net") == ("failed", "deleted", ESTIMATE)
    assert ledger.write(lambda w: w.retried(1)) is Event.RETRY_FOLLOW  # once more, for nothing

    await missing_for_good(ledger, path, clock)
    assert columns(path, 1, "state, error_code, submissions") == ("failed", "deleted", 1)
    assert ledger.write(lambda w: w.retried(1)) is Event.RETRY_RENDER
    assert ledger.read(lambda v: list(v.check())) == []


def test_a_long_clip_may_take_longer() -> None:
    assert stalled_after(600.0) > stalled_after(2.0) + 3600.0
