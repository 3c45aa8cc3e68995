"""Manifests that need no plan any more: only where planning them again could neither find nor change anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledger.book import blank, dump

from batchsync.ledger.ledger import Ledger
from batchsync.media.probe import Probed
from batchsync.model.states import NOT_SUBMITTED, State
from batchsync.runner import known_again as module
from batchsync.runner.intake import prepare_at, take_in
from batchsync.runner.known_again import known_again

HEADER = "id,video,audio,end_seconds,tag.lang\n"


class Desk:
    """A folder with a manifest of two jobs, one of local files without an id, that was run to its end."""

    def __init__(self, folder: Path) -> None:
        self.manifest = folder / "jobs.csv"
        self.outputs = folder / "outputs"
        self.ledger = folder / "batchsync.db"
        self.video = folder / "a.mp4"
        self.ledger.write_bytes(blank())
        self.video.write_bytes(b"\0\0\0\x18ftypmp42 first")
        (folder / "a.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt ")
        self.manifest.write_text(f"{HEADER},a.mp4,a.wav,2,es\nb,https://x.example/b.mp4,a.wav,2,fr\n")

    def run(self, manifest: Path | None = None) -> None:
        prepared = prepare_at(str(manifest or self.manifest), self.outputs, str(self.ledger))
        with Ledger(str(self.ledger)) as ledger:
            take_in(ledger, prepared)

    def all_are(self, state: State, where: str = "true") -> None:
        with Ledger(str(self.ledger)) as ledger:
            sql = f"UPDATE jobs SET state = '{state.value}' WHERE {where}"
            ledger.write(lambda w: w.connection.exec_driver_sql(sql))

    def known(self, **how: Any) -> int | None:
        return known_again(str(self.manifest), self.outputs, str(self.ledger), **how)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(sys.modules["batchsync.media.facts"], "probe", lambda path: Probed())
    desk = Desk(tmp_path)
    desk.run()
    desk.all_are(State.COMPLETE)
    return desk


def test_a_manifest_whose_jobs_are_done_is_known_again(desk: Desk) -> None:
    assert desk.known() == 1


@pytest.mark.parametrize("state", State)
def test_wherever_its_jobs_stand_and_on_demand_only_if_none_waits(desk: Desk, state: State) -> None:
    desk.all_are(state, "id = 'b'")
    assert desk.known() == 1
    assert (desk.known(only_ended=True) is None) == (state in NOT_SUBMITTED)


def _ask_for(desk: Desk, mode: str) -> None:
    with Ledger(str(desk.ledger)) as ledger:
        sql = f"UPDATE jobs SET generation_mode = '{mode}' WHERE id = 'b'"
        ledger.write(lambda w: w.connection.exec_driver_sql(sql))


def test_what_waits_has_to_be_allowed_by_the_tier(desk: Desk) -> None:
    _ask_for(desk, "pro")
    assert desk.known() == 1  # it was paid already
    desk.all_are(State.UPLOADED)
    assert desk.known() is None
    assert desk.known(ask_tier=lambda: None) is None
    assert desk.known(ask_tier=lambda: "free") is None
    assert desk.known(ask_tier=lambda: "creator") == 1


def test_nobody_is_asked_for_the_tier_where_it_cant_matter(desk: Desk) -> None:
    def never() -> str:
        raise AssertionError("asked")

    desk.all_are(State.PLANNED)
    assert desk.known(ask_tier=never) == 1


def test_the_size_of_what_waits_has_to_be_allowed_too(desk: Desk) -> None:
    with desk.video.open("r+b") as video:
        video.truncate(200_000_001)
    desk.run()
    assert desk.known() is None
    assert desk.known(ask_tier=lambda: "creator") == 1


def _edited(desk: Desk) -> None:
    desk.manifest.write_text(desk.manifest.read_text().replace(",fr", ",de"))


def _with_other_ends_of_lines(desk: Desk) -> None:
    desk.manifest.write_bytes(desk.manifest.read_bytes().replace(b"\n", b"\r\n"))


def _gone(desk: Desk) -> None:
    desk.manifest.unlink()


def _elsewhere(desk: Desk) -> None:
    desk.outputs = desk.outputs.with_name("others")


def _media_edited(desk: Desk) -> None:
    desk.video.write_bytes(b"\0\0\0\x18ftypmp42 secnd")
    os.utime(desk.video, ns=(0, 0))


def _media_grown(desk: Desk) -> None:
    before = desk.video.stat()
    desk.video.write_bytes(desk.video.read_bytes() + b"more")
    os.utime(desk.video, ns=(before.st_atime_ns, before.st_mtime_ns))


def _media_gone(desk: Desk) -> None:
    desk.video.unlink()


def _media_known_otherwise(desk: Desk) -> None:
    """Edited, and looked at since by another manifest: what stands there now is remembered, and isn't the job's."""
    _media_edited(desk)
    other = desk.manifest.with_name("other.csv")
    other.write_text(f"{HEADER}c,a.mp4,a.wav,2,es\n")
    desk.run(other)


def _in_another_manifest(desk: Desk) -> None:
    other = desk.manifest.with_name("other.csv")
    other.write_text(f"{HEADER}b,https://x.example/b.mp4,a.wav,2,it\n")
    desk.run(other)


def test_the_last_manifest_of_those_that_share_a_job_is_known_again(desk: Desk) -> None:
    _in_another_manifest(desk)
    assert desk.known() is None
    desk.run()
    assert desk.known() == 1


def _without_a_ledger(desk: Desk) -> None:
    desk.ledger.unlink()


@pytest.mark.parametrize(
    "change",
    [
        _edited,
        _with_other_ends_of_lines,
        _gone,
        _elsewhere,
        _media_edited,
        _media_grown,
        _media_gone,
        _media_known_otherwise,
        _in_another_manifest,
        _without_a_ledger,
    ],
)
def test_whatever_may_make_a_difference_has_it_planned_again(desk: Desk, change: Callable[[Desk], None]) -> None:
    assert desk.known() is not None
    change(desk)
    assert desk.known() is None


def test_another_version_of_this_program_plans_it_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__version__", "another")
    assert desk.known() is None


def test_warnings_are_said_every_time(desk: Desk) -> None:
    desk.manifest.write_text(desk.manifest.read_text() + "b,https://x.example/b.mp4,a.wav,2,fr\n")
    desk.run()
    assert desk.known() is None


def test_a_job_that_went_on_as_it_was_while_the_manifest_changed_is_looked_at_again(desk: Desk) -> None:
    desk.all_are(State.PLANNED)
    desk.manifest.write_text(desk.manifest.read_text().replace("a.wav,2,fr", "a.wav,3,fr"))
    prepared = prepare_at(str(desk.manifest), desk.outputs, str(desk.ledger))
    desk.all_are(State.COMPLETE)  # another process was quicker
    with Ledger(str(desk.ledger)) as ledger:
        take_in(ledger, prepared)
    assert desk.known() is None


def test_a_pipe_and_the_standard_input_are_left_alone(desk: Desk) -> None:
    pipe = desk.manifest.with_name("pipe")
    os.mkfifo(pipe)
    assert known_again(str(pipe), desk.outputs, str(desk.ledger)) is None
    assert known_again("-", desk.outputs, str(desk.ledger)) is None


def test_planned_again_it_would_change_nothing(desk: Desk) -> None:
    before = dump(desk.ledger)
    desk.run()
    after = dump(desk.ledger)
    assert {name for name in before if before[name] != after[name]} == {"manifests"}  # when it was last added


def test_new_contents_of_a_file_make_a_job_of_their_own_though_the_manifest_is_the_same(desk: Desk) -> None:
    _media_edited(desk)
    desk.run()
    with Ledger(str(desk.ledger)) as ledger:
        assert sum(ledger.read(lambda v: v.counts(1)).values()) == 2
        assert sum(ledger.read(lambda v: v.counts()).values()) == 3
    assert desk.known(only_ended=True) is None
    desk.all_are(State.COMPLETE)
    assert desk.known(only_ended=True) == 1
