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
from batchsync.media.probe import BROKEN, _from_ffprobe, probe
from batchsync.media.probed import Probed
from batchsync.model.job import MediaFacts

MEDIA = Path(__file__).parents[3] / "manifests" / "media"
PIXEL = bytes.fromhex(
    "0000000d49484452000000010000000108060000001f15c4890000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)


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
    assert (found.format, found.kind) == ("mp4", "video")
    audio = facts(str(MEDIA / "voice-fr.wav"), nothing)
    assert audio.duration == pytest.approx(2.5936, abs=0.001)
    assert audio.fps is None
    assert (audio.format, audio.kind) == ("wav", "audio")


def test_what_is_remembered_is_not_read_again(sound: Path) -> None:
    stat = sound.stat()
    remembered = MediaFacts(str(sound), stat.st_size, stat.st_mtime_ns, "d" * 64, 9.0, None, "wav", "audio")
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


def test_a_file_whose_content_nobody_has_looked_at_is_looked_at_but_not_hashed_again(sound: Path) -> None:
    stat = sound.stat()
    remembered = MediaFacts(str(sound), stat.st_size, stat.st_mtime_ns, "d" * 64, 9.0)  # as older ledgers have it
    found = facts(str(sound), lambda *_: remembered)
    assert (found.digest, found.duration, found.format, found.kind) == ("d" * 64, 1.5, "wav", "audio")


def test_a_picture_is_not_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    monkeypatch.setattr(
        sys.modules["batchsync.media.facts"], "probe", lambda _: pytest.fail("a decoder takes it for a short video")
    )
    found = facts(str(path), nothing)
    assert (found.duration, found.format, found.kind) == (None, "png", "other")
    assert facts(str(path), lambda *_: found) is found


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


def test_what_a_decoder_refuses_is_broken_only_if_it_says_that_it_is_media(tmp_path: Path) -> None:
    whole = (MEDIA / "bars.mp4").read_bytes()
    lost = whole[:32] + b"\0\0\x40\0mdat" + bytes(200)  # a recording that was never finished: no tables
    cases = (("cut.mp4", whole[:100], "broken"), ("lost.mp4", lost, "broken"), ("text.mp4", b"words " * 99, None))
    for name, data, kind in cases:
        (tmp_path / name).write_bytes(data)
        assert facts(str(tmp_path / name), nothing).kind == kind


def test_a_sound_file_without_sound_has_no_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "silent.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
    assert facts(str(path), nothing).duration == 0
    monkeypatch.setitem(sys.modules, "av", None)
    assert facts(str(path), nothing).duration == 0


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    song, cover = (MEDIA / "voice-de.mp3").read_bytes(), b"\x89PNG\r\n\x1a\n" + PIXEL
    frame = b"\0image/png\0\x03\0" + cover
    tag = b"APIC" + len(frame).to_bytes(4, "big") + b"\0\0" + frame
    size = bytes((len(tag) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3\x03\0\0" + size + tag + song)
    found = facts(str(path), nothing)
    assert (found.format, found.kind, found.fps) == ("mp3", "audio", None)
    assert found.duration is not None
    assert found.duration > 1


@pytest.mark.parametrize(("said", "there"), [(0xFFFFFFFF, 24_000), (0, 24_000), (24_000, 8_000)])
def test_a_wav_is_as_long_as_its_file_where_it_was_streamed_or_cut(sound: Path, said: int, there: int) -> None:
    data = sound.read_bytes()
    assert data[36:40] == b"data"
    sound.write_bytes(data[:40] + said.to_bytes(4, "little") + data[44 : 44 + there])
    assert probe(str(sound)) == Probed(there / 16_000, None, "audio")


def test_a_video_whose_header_says_no_frame_rate_is_asked_further(monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(MEDIA / "bars.mp4")
    monkeypatch.setattr(probe_module.boxes, "read", lambda _: Probed(2.25, None, "video"))
    assert probe(path) == Probed(2.25, 30.0, "video")


@pytest.mark.usefixtures("no_av")
def test_wav_needs_nothing_installed(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert probe(str(sound)) == Probed(1.5, None, "audio")
    assert probe(str(MEDIA / "bars.mp4")) == Probed(2.5, 30.0, "video")
    assert probe(str(MEDIA / "voice-de.mp3")) == Probed()


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
    film = str(tmp_path / "film.webm")
    assert probe(film) == Probed(2.5, 30000 / 1001, "video")
    assert (tmp_path / "ffprobe.log").read_text().strip() == film


@pytest.mark.usefixtures("no_av")
@pytest.mark.parametrize("script", ["exit 1", "echo not json", "exec sleep 30", "echo '{}'"])
def test_an_ffprobe_that_fails_is_no_fault(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "FFPROBE_SECONDS", 0.2)
    program = tmp_path / "ffprobe"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert probe(str(MEDIA / "voice-de.mp3")).duration is None
    assert probe(str(MEDIA / "bars.mp4")).duration == 2.5, "the boxes say it as well"


@pytest.mark.usefixtures("no_av")
def test_an_ffprobe_that_finds_invalid_data_says_that_a_file_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffprobe"
    program.write_text("#!/bin/sh\necho 'x.mp4: Invalid data found when processing input' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert probe(str(MEDIA / "voice-de.mp3")) == BROKEN


def test_what_ffprobe_says_about_what_it_doesn_t_know() -> None:
    odd = {"codec_type": "video", "avg_frame_rate": "0/0", "duration": "N/A"}
    assert _from_ffprobe({"streams": [odd]}) == Probed(kind="video")
    said = {"streams": [{"codec_type": "video", "avg_frame_rate": "24/1"}], "format": {"duration": "1.25"}}
    assert _from_ffprobe(said) == Probed(1.25, 24.0, "video")
    cover = {"codec_type": "video", "avg_frame_rate": "90000/1", "disposition": {"attached_pic": 1}}
    sound = {"codec_type": "audio", "duration": "2.0", "avg_frame_rate": "0/0"}
    assert _from_ffprobe({"streams": [cover, sound]}) == Probed(2.0, None, "audio")
    assert _from_ffprobe({"streams": []}) == BROKEN
    assert _from_ffprobe({"streams": [cover]}) == Probed(kind="other")
    assert _from_ffprobe({}) == Probed()
