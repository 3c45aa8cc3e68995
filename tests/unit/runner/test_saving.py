"""Finished files: inside the output directory, whole, never over somebody else's, and gone on with after a cut."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from pathlib import Path

import pytest

from batchsync.errors import OutputError
from batchsync.runner import saving

# --- where they go ---


OUT = ["../a.mp4", "x/../../a.mp4", "/etc/a.mp4", "/a.mp4", "x/../a.mp4"]


@pytest.mark.parametrize("output", [*OUT, "x/..", "..", *(saving.numbered(output, 1) for output in OUT)])
def test_an_output_that_leads_out_is_refused_and_nothing_is_made(tmp_path: Path, output: str) -> None:
    base = tmp_path / "outputs"
    with pytest.raises(OutputError, match="leads out of the output directory"):
        saving.target(str(base), output)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", ["es/a.mp4", "es/deep/er/a.mp4"])
def test_a_link_leads_nowhere(tmp_path: Path, output: str) -> None:
    elsewhere, base = tmp_path / "elsewhere", tmp_path / "outputs"
    elsewhere.mkdir()
    base.mkdir()
    (base / "es").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="through a link"):
        saving.target(str(base), output)
    assert list(elsewhere.iterdir()) == []


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "es").symlink_to("real")
    assert saving.target(str(tmp_path), "es/a.mp4").parent.resolve() == (tmp_path / "real").resolve()


def test_the_output_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "outputs").symlink_to("disk")
    assert saving.target(str(tmp_path / "outputs"), "x/a.mp4") == (tmp_path / "disk/x/a.mp4").resolve()


def test_further_files_of_a_job_are_numbered_before_the_suffix(tmp_path: Path) -> None:
    names = [saving.numbered("es/a.b.mp4", ordinal) for ordinal in range(3)]
    assert names == ["es/a.b.mp4", "es/a.b-2.mp4", "es/a.b-3.mp4"]
    assert [saving.target(str(tmp_path), name) for name in names] == [tmp_path.resolve() / name for name in names]
    assert (tmp_path / "es").is_dir()


def test_a_file_where_a_folder_should_be_says_so(tmp_path: Path) -> None:
    (tmp_path / "es").write_text("mine")
    with pytest.raises(OutputError, match="can't be made"):
        saving.target(str(tmp_path), "es/a.mp4")
    assert (tmp_path / "es").read_text() == "mine"


@pytest.mark.parametrize("name", ["a.mp4", "ü" * 98 + ".mp4", "a" * 196 + ".mp4", "語" * 65 + ".mp4"])
def test_a_temporary_name_is_hidden_beside_the_final_one_and_short_enough(tmp_path: Path, name: str) -> None:
    part = saving.part_of(saving.target(str(tmp_path), saving.numbered(name, 1)), "k7f3a2")
    assert part.parent == tmp_path
    assert part.name.startswith(".")
    assert part.name.endswith(".part")
    assert "k7f3a2" in part.name
    part.touch()


def test_temporary_names_of_two_jobs_differ(tmp_path: Path) -> None:
    final = tmp_path / ("x" * 199 + ".mp4")
    assert saving.part_of(final, "aaaaaa") != saving.part_of(final, "bbbbbb")


# --- how they come ---

WHOLE = random.Random(2).randbytes(3_000_001)
DIGEST = hashlib.sha256(WHOLE).hexdigest()


def receive(path: Path, data: bytes, offset: int) -> str:
    part = saving.Part(path, offset)
    try:
        for start in range(0, len(data), 700_000):
            part.append(data[start : start + 700_000])
            part.digest(data[start : start + 700_000])
        return part.sync()
    finally:
        part.close()


def test_a_whole_file_has_its_digest(tmp_path: Path) -> None:
    path = tmp_path / ".a.part"
    assert receive(path, WHOLE, 0) == DIGEST
    assert path.read_bytes() == WHOLE


@pytest.mark.parametrize("cut", [1, 1 << 20, (1 << 20) + 1, 3_000_000, 3_000_001])
def test_a_cut_file_goes_on_and_has_the_digest_of_the_whole(tmp_path: Path, cut: int) -> None:
    path = tmp_path / ".a.part"
    first = saving.Part(path, 0)
    first.append(WHOLE[:cut])
    first.close()
    assert path.read_bytes() == WHOLE[:cut], "what has arrived is kept"
    again = saving.Part(path, cut)
    assert again.size == cut
    again.close()
    assert receive(path, WHOLE[cut:], cut) == DIGEST
    assert path.read_bytes() == WHOLE


def test_starting_anew_throws_away_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / ".a.part"
    path.write_bytes(b"x" * 5_000_000)
    assert receive(path, WHOLE, 0) == DIGEST
    assert path.read_bytes() == WHOLE


def test_going_on_in_the_middle_cuts_off_what_came_after(tmp_path: Path) -> None:
    path = tmp_path / ".a.part"
    path.write_bytes(WHOLE[:1000] + b"x" * 5_000_000)
    assert receive(path, WHOLE[1000:], 1000) == DIGEST
    assert path.read_bytes() == WHOLE


def test_a_temporary_file_that_is_a_link_is_never_written_through(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    link = tmp_path / ".a.part"
    link.symlink_to(theirs)
    for offset in (0, 3):
        with pytest.raises(OSError, match=r"(?i)symbolic links"):
            saving.Part(link, offset)
    assert theirs.read_text() == "theirs"


def test_a_new_file_can_be_run_by_nobody(tmp_path: Path) -> None:
    path = tmp_path / ".a.part"
    receive(path, b"x", 0)
    assert not stat.S_IMODE(path.stat().st_mode) & 0o133


def test_the_digest_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(WHOLE)
    assert saving.digest_of(path) == DIGEST


# --- how they get their name ---


def test_a_whole_file_gets_its_final_name(tmp_path: Path) -> None:
    part, final = tmp_path / ".a.part", tmp_path / "a.mp4"
    part.write_bytes(b"new")
    saving.put_in_place(part, final, part.stat().st_size)
    assert final.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("linkable", [True, False], ids=["hard links", "no hard links"])
@pytest.mark.parametrize("what", ["file", "folder", "link", "dangling link"])
def test_nothing_that_stands_there_is_ever_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, linkable: bool
) -> None:
    part, final, other = tmp_path / ".a.part", tmp_path / "a.mp4", tmp_path / "other"
    part.write_bytes(b"new")
    if what == "file":
        final.write_bytes(b"mine")
    elif what == "folder":
        final.mkdir()
    else:
        final.symlink_to(other)
        if what == "link":
            other.write_bytes(b"mine")
    if not linkable:

        def no_links(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(OutputError, match="is in the way"):
        saving.put_in_place(part, final, part.stat().st_size)
    assert part.read_bytes() == b"new"
    if what in ("file", "link"):
        assert final.read_bytes() == b"mine"
    else:
        assert not other.exists()


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    part, final = tmp_path / ".a.part", tmp_path / "a.mp4"
    part.write_bytes(b"new")
    saving.put_in_place(part, final, part.stat().st_size)
    assert final.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_links_that_lead_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "es").symlink_to("es")
    with pytest.raises(OutputError, match="es"):
        saving.target(str(tmp_path), "es/a.mp4")
