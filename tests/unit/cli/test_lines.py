"""What people and log systems read of a run that goes on."""

from __future__ import annotations

import json
import logging

import pytest

from batchsync.cli import logs
from batchsync.cli.progress import Progress, line, progress_fields
from batchsync.ledger.flight import Flight
from batchsync.model.credits import Totals
from batchsync.model.states import Shown
from batchsync.runner.snapshot import Snapshot

COUNTS = dict.fromkeys(Shown, 0) | {Shown.PENDING: 60, Shown.RENDERING: 30, Shown.COMPLETE: 9, Shown.HELD: 1}
SNAPSHOT = Snapshot(
    "run-1",
    COUNTS,
    Totals(estimated=6000, charged=2400, refunded=100, reserved=60),
    75.0,
    cap=5000,
    rate=0.5,
    left=180.0,
    flight=Flight(30, 1860, 1800, "a", 0.0),
    waiting="rate limited by the vendor, next try in 12 s",
)


def test_a_line_says_all_of_it() -> None:
    assert line(SNAPSHOT) == (
        "10 of 100 jobs ended · pending 60 · rendering 30 · held 1 · 500 credits settled · 1,860 in flight · "
        "of at most 5,000 · 30 jobs/min · about 3 min left · rate limited by the vendor, next try in 12 s"
    )


def test_what_is_not_known_is_not_said() -> None:
    bare = Snapshot("run-1", COUNTS, Totals(), 5.0)
    assert line(bare) == "10 of 100 jobs ended · pending 60 · rendering 30 · held 1 · 0 credits settled"
    assert progress_fields(bare)["jobs_per_minute"] is None


@pytest.fixture
def _as_it_was() -> None:
    yield  # type: ignore[misc]
    logs.set_up(quiet=False, verbose=0, log_file=None, log_format="text")


@pytest.mark.usefixtures("_as_it_was")
def test_a_log_system_gets_one_object_a_line_and_no_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.set_up(quiet=False, verbose=0, log_file=None, log_format="json")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress(enabled=True, quiet=False) as progress:
        progress.show(SNAPSHOT)
    logging.getLogger("batchsync.run").info(
        "job %s failed", "a", extra={"fields": {"event": "failed", "job": "a", "code": "no_source_face"}}
    )
    first, second = (json.loads(text) for text in capsys.readouterr().err.splitlines())
    assert (first["event"], first["jobs"]["rendering"], first["seconds_left"]) == ("progress", 30, 180)
    assert first["waiting"].startswith("rate limited")
    assert (second["event"], second["job"], second["code"]) == ("failed", "a", "no_source_face")
    assert second["message"] == "job a failed"


@pytest.mark.usefixtures("_as_it_was")
def test_people_are_told_of_warnings_only_and_no_record_is_made_of_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up(quiet=False, verbose=0, log_file=None, log_format="text")
    assert not logging.getLogger("batchsync.run").isEnabledFor(logging.INFO)
    logging.getLogger("batchsync.run").warning("the vendor is out of reach")
    assert "the vendor is out of reach" in capsys.readouterr().err
