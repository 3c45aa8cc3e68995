"""Facts about real files: read once, remembered, and what is wrong with those that can't be used."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import wave
from pathlib import Path

import pytest

from batchsync.media import UnusableFile, facts, gather
from batchsync.media import probe as probe_module
from batchsync.media.probe import Probed, _from_ffprobe, probe
from batchsync.model.job import MediaFacts

MEDIA = Path(__file__).parents[3] / "manifests" / "media"


def nothing(path: str, size: int, mtime_ns: int) -> None:
    return None


@pytest.fixture
def no_av(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "one.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(2 * 12_000))
    return path


def test_the_facts_of_a_video_and_an_audio() -> None:
    path = MEDIA / "presenter.mp4"
    found = facts(str(path), nothing)
    stat = path.stat()
    assert (found.path, found.size, found.mtime_ns) == (str(path), stat.st_size, stat.st_mtime_ns)
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.duration == pytest.approx(3.0)
    assert found.fps == 25.0
    audio = facts(str(MEDIA / "voice-fr.wav"), nothing)
    assert audio.duration == pytest.approx(2.5936, abs=0.001)
    assert audio.fps is None


def test_what_is_remembered_is_not_read_again(sound: Path) -> None:
    stat = sound.stat()
    remembered = MediaFacts(str(sound), stat.st_size, stat.st_mtime_ns, "d" * 64, 9.0)
    asked: list[tuple[str, int, int]] = []

    def known(path: str, size: int, mtime_ns: int) -> MediaFacts:
        asked.append((path, size, mtime_ns))
        return remembered

    assert facts(str(sound), known) is remembered
    assert asked == [(str(sound), stat.st_size, stat.st_mtime_ns)]


def test_a_length_that_was_not_known_is_looked_for_again(sound: Path) -> None:
    stat = sound.stat()
    remembered = MediaFacts(str(sound), stat.st_size, stat.st_mtime_ns, "d" * 64)
    found = facts(str(sound), lambda *_: remembered)
    assert (found.digest, found.duration) == ("d" * 64, 1.5)


def test_files_that_can_t_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "gone.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    cases = {
        "nowhere.mp4": "there is no such file",
        "dangling.mp4": "there is no such file",
        "empty.mp4/x.mp4": "there is no such file",
        "empty.mp4": "is an empty file",
        "pipe.mp4": "is not a regular file",
        "loop.mp4": "can't be read",
        ".": "is a folder, not a file",
        "a\0b": "is not a path",
        "x" * 5000: "can't be read",
    }
    paths = [str(tmp_path / name) for name in cases]
    found, wrong = gather(paths, nothing)
    assert found == {}
    assert [path for path, _ in wrong] == paths
    for (_, message), said in zip(wrong, cases.values(), strict=True):
        assert said in message
    with pytest.raises(UnusableFile, match="empty"):
        facts(str(tmp_path / "empty.mp4"), nothing)


def test_a_file_that_may_not_be_read(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hashlib.file_digest", refuse)  # a mode of 000 doesn't stop root
    assert gather([str(sound)], nothing) == ({}, [(str(sound), "may not be read: permission denied")])


def test_a_file_that_changes_while_it_is_read(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = hashlib.file_digest

    def grow(stream: object, name: str) -> object:
        with sound.open("ab") as more:
            more.write(b"more")
        return real(stream, name)  # type: ignore[arg-type]

    monkeypatch.setattr("hashlib.file_digest", grow)
    with pytest.raises(UnusableFile, match="changed while"):
        facts(str(sound), nothing)


def test_many_files_at_once(tmp_path: Path) -> None:
    paths = []
    for number in range(40):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(bytes([number]) * (number + 1))
        paths.append(str(path))
    missing = str(tmp_path / "missing")
    threads: set[int] = set()
    steps: list[tuple[int, int]] = []

    def known(path: str, size: int, mtime_ns: int) -> None:
        threads.add(threading.get_ident())

    def on_progress(done: int, total: int) -> None:
        threads.add(threading.get_ident())
        steps.append((done, total))

    found, wrong = gather([*paths, missing, *paths], known, on_progress)
    assert list(found) == paths
    assert [found[path].size for path in paths] == list(range(1, 41))
    assert wrong == [(missing, "there is no such file")]
    assert steps == [(done, 41) for done in range(2, 42)]
    assert threads == {threading.get_ident()}


def test_relative_paths_are_found_by_the_path_given(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sound.parent)
    found, _ = gather(["one.wav"], nothing)
    assert found["one.wav"].path == str(sound)


# --- lengths ---


def test_what_can_t_be_probed_is_just_not_known(tmp_path: Path) -> None:
    whole = (MEDIA / "bars.mp4").read_bytes()
    for name, data in (("junk.mp4", b"junk" * 999), ("cut.mp4", whole[:300]), ("junk.wav", b"RIFF"), ("junk", b"x")):
        path = tmp_path / name
        path.write_bytes(data)
        found = facts(str(path), nothing)
        assert (found.duration, found.fps, len(found.digest)) == (None, None, 64)


@pytest.mark.usefixtures("no_av")
def test_wav_needs_nothing_installed(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert probe(str(sound)) == Probed(1.5)
    assert probe(str(MEDIA / "bars.mp4")) == Probed()


@pytest.mark.usefixtures("no_av")
def test_ffprobe_is_asked_where_there_is_no_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffprobe"
    program.write_text(
        "#!/bin/sh\n"
        'for last; do :; done; echo "$last" > "$0.log"\n'
        'echo \'{"streams": [{"codec_type": "audio", "duration": "9"},\'\n'
        'echo \' {"codec_type": "video", "avg_frame_rate": "30000/1001", "duration": "2.500000"}]}\'\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = probe(str(MEDIA / "bars.mp4"))
    assert found == Probed(2.5, 30000 / 1001)
    assert (tmp_path / "ffprobe.log").read_text().strip() == str(MEDIA / "bars.mp4")


@pytest.mark.usefixtures("no_av")
@pytest.mark.parametrize("script", ["exit 1", "echo not json", "exec sleep 30", "echo '{}'"])
def test_an_ffprobe_that_fails_is_no_fault(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "FFPROBE_SECONDS", 0.2)
    program = tmp_path / "ffprobe"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert probe(str(MEDIA / "bars.mp4")) == Probed()


def test_what_ffprobe_says_about_what_it_doesn_t_know() -> None:
    assert (
        _from_ffprobe({"streams": [{"codec_type": "video", "avg_frame_rate": "0/0", "duration": "N/A"}]}, True)
        == Probed()
    )
    said = {"streams": [{"codec_type": "video", "avg_frame_rate": "24/1"}], "format": {"duration": "1.25"}}
    assert _from_ffprobe(said, True) == Probed(1.25, 24.0)
    assert _from_ffprobe(said, False) == Probed(1.25, None)
