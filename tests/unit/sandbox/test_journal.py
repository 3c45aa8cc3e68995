"""The sandbox's memory: what is left of it after it was cut at any byte, and who may open it."""

import json
from pathlib import Path

import pytest
from unit.sandbox.driver import FakeClock

from batchsync.errors import SettingError
from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.faults import Fault
from batchsync.sandbox.journal import Journal
from batchsync.sandbox.project import Ask
from batchsync.sandbox.world import World


def test_events_come_back_in_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append({"n": 1})
    journal.append({"n": 2, "text": "zwei\nZeilen"})
    journal.close()
    again = Journal(tmp_path / "j")
    assert again.events == [{"n": 1}, {"n": 2, "text": "zwei\nZeilen"}]
    again.close()


def test_an_event_is_in_the_file_before_append_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append({"n": 1})
    assert json.loads((tmp_path / "j").read_text()) == {"n": 1}
    journal.close()


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'{"n":1}\n{"n":2,"te')
    journal = Journal(tmp_path / "j")
    assert journal.events == [{"n": 1}]
    journal.append({"n": 3})
    journal.close()
    assert (tmp_path / "j").read_bytes() == b'{"n":1}\n{"n":3}\n'


def test_a_broken_line_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'{"n":1}\n{"n":\n{"n":3}\n')
    with pytest.raises(SettingError, match="j:2"):
        Journal(tmp_path / "j")


def test_only_one_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    with pytest.raises(SettingError, match="another sandbox"):
        Journal(tmp_path / "j")
    journal.close()
    Journal(tmp_path / "j").close()


def test_cut_at_any_byte_the_world_opens_and_its_credits_add_up(tmp_path: Path) -> None:
    clock, config = FakeClock(), SandboxConfig(credits=5000, render_seconds=5)
    world = World(config, clock=clock, state_dir=tmp_path / "whole")
    for seconds in (1, 2, 3):
        clock.time += 4
        project = world.create(
            Ask("n", "https://e.com/v.mp4", "https://e.com/a.wav", 0, seconds), Fault.parse("render:error")
        )
    world.cancel(project.id)
    world.set_balance(77)
    world.close()
    whole = (tmp_path / "whole" / "journal.jsonl").read_bytes()
    seen = set()
    for length in range(0, len(whole) + 1, 7):
        directory = tmp_path / str(length)
        directory.mkdir()
        (directory / "journal.jsonl").write_bytes(whole[:length])
        world = World(config, clock=clock, state_dir=directory)
        assert world.balance() == world.granted - sum(project.charged for project in world.projects())
        seen.add(len(world.projects()))
        world.close()
    assert seen == {0, 1, 2, 3}
