"""MP4 boxes: what PyAV reads too, where files are whole, and nothing worse than "not known" where they aren't."""

from __future__ import annotations

import random
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.media import boxes
from batchsync.media.boxes import read
from batchsync.media.probe import _with_av
from batchsync.media.probed import Probed

MEDIA = Path(__file__).parents[3] / "manifests" / "media"
FLAGS = {
    "the tables at the end": "",
    "the tables first": "faststart",
    "fragments": "frag_keyframe+empty_moov",
    "fragments that say less": "frag_keyframe+empty_moov+default_base_moof+omit_tfhd_offset",
    "a fragment a frame": "frag_every_frame+empty_moov",
}


def encode(out: Any, stream: Any, frame: Any) -> None:
    for plane in frame.planes if frame is not None else ():
        plane.update(bytes(plane.buffer_size))
    for packet in stream.encode(frame):
        out.mux(packet)


def video(path: Path, rate: Fraction | int, frames: int = 50, flags: str = "", codec: str = "mpeg4") -> Path:
    """A film of black frames."""
    with av.open(str(path), "w", options={"movflags": flags} if flags else {}) as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            encode(out, stream, frame)
        encode(out, stream, None)
    return path


def sound(path: Path, codec: str = "aac", frames: int = 60) -> Path:
    """Silence of `frames` times 1,024 samples."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=44100)
        for number in range(frames):
            frame = av.AudioFrame("fltp" if codec == "aac" else "s16", "stereo", 1024)
            frame.sample_rate, frame.pts = 44100, number * 1024
            encode(out, stream, frame)
        encode(out, stream, None)
    return path


@pytest.mark.parametrize("name", ["bars.mp4", "dusk.mp4", "presenter.mp4"])
def test_the_examples(name: str) -> None:
    path = str(MEDIA / name)
    assert read(path) == _with_av(path)
    assert read(path).kind == "video"


@pytest.mark.parametrize("rate", [24, 25, Fraction(30000, 1001), 30, 60])
@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
@pytest.mark.parametrize("suffix", ["mp4", "mov", "m4v"])
def test_what_pyav_writes(tmp_path: Path, rate: Fraction | int, flags: str, suffix: str) -> None:
    found = read(str(video(tmp_path / f"film.{suffix}", rate, flags=flags)))
    assert found.kind == "video"
    assert found.fps == pytest.approx(float(rate), rel=0.001)
    assert found.duration == pytest.approx(50 / rate, abs=0.0005)


def test_whole_files_are_read_as_pyav_reads_them(tmp_path: Path) -> None:
    for name, flags in FLAGS.items():
        path = str(video(tmp_path / f"{name}.mp4", 25, flags=flags))
        assert read(path).duration == pytest.approx(_with_av(path).duration, abs=0.001), name
    song = str(sound(tmp_path / "song.m4a"))
    assert read(song) == _with_av(song), "without the encoder's run-up, which an edit list hides"
    assert read(song).kind == "audio"


def test_a_video_that_is_cut_behind_its_tables_is_still_read(tmp_path: Path) -> None:
    path = video(tmp_path / "film.mp4", 25, flags="faststart")
    path.write_bytes(path.read_bytes()[:-200])
    assert read(str(path)) == Probed(2.0, 25.0, "video")


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def film(length: int = 0, stts: bytes = struct.pack(">II", 0, 0), more: bytes = b"", scale: int = 1000) -> bytes:
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">5I", 0, 0, 0, scale, length)),
        box(b"hdlr", bytes(8) + b"vide"),
        box(b"minf", box(b"stbl", box(b"stts", stts))),
    )
    return box(b"ftyp", b"isom") + box(b"moov", box(b"trak", media), more)


def test_what_has_no_frame_is_of_no_length(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film())
    assert read(str(path)) == Probed(0.0, None, "video")
    path.write_bytes(film(more=box(b"mvex", box(b"trex", struct.pack(">4I", 0, 1, 1, 0)))))
    assert read(str(path)) == Probed(None, None, "video"), "its fragments may be elsewhere"


def fragment(at: int, each: int, frames: int) -> bytes:
    return box(
        b"moof",
        box(
            b"traf",
            box(b"tfhd", struct.pack(">IIII", 0x2 | 0x8, 0, 1, each)),
            box(b"tfdt", struct.pack(">II", 0, at)),
            box(b"trun", struct.pack(">II", 0, frames)),
        ),
    )


def test_fragments_say_when_they_are_and_how_long_their_frames(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    fragments = [fragment(5000, 40, 25), fragment(7000, 40, 25)]  # a second each, and one between them
    trex = box(b"mvex", box(b"trex", struct.pack(">4I", 0, 0, 1, 7)))
    path.write_bytes(film(more=trex) + b"".join(fragments))
    found = read(str(path))
    assert found.duration == 3.0
    assert found.fps == pytest.approx(50 / 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0\x08moov",
        b"\0\0\0\x00moov",
        b"\0\0\0\x01moov",
        b"\0\0\0\x01moov" + b"\xff" * 8,
        b"\0\0\0\x02moov",
        b"\xff\xff\xff\xffmoov",
        film(scale=0, length=9),
        film()[:-4],
        b"\0\0\0\x00moov" * 999,
    ],
)
def test_odd_boxes_are_not_known(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd.mp4"
    path.write_bytes(data)
    assert read(str(path)).duration is None


def test_a_table_is_never_longer_than_its_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film(stts=struct.pack(">IIII", 0, 0xFFFFFFFF, 10, 40), more=box(b"free", b"\0\1" * 64)))
    assert read(str(path)) == Probed(0.4, 25.0, "video")
    monkeypatch.setattr(boxes, "MOST_BOXES", 5)
    assert read(str(path)) == Probed()


def test_a_file_that_is_not_there_or_is_a_folder_is_not_known(tmp_path: Path) -> None:
    assert read(str(tmp_path / "none.mp4")) == read(str(tmp_path)) == Probed()


@settings(max_examples=300, deadline=None)
@given(
    st.randoms(use_true_random=False),
    st.integers(1, 40),
    st.sampled_from(["", "faststart", "frag_keyframe+empty_moov"]),
)
def test_damage_anywhere_is_survived(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random, hits: int, flags: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / f"whole-{flags}.mp4"
    if not whole.exists():
        video(whole, 25, 20, flags)
    data = bytearray(whole.read_bytes())
    for _ in range(hits):
        data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
    path = folder / "damaged.mp4"
    path.write_bytes(data[: chance.randrange(len(data) + 1)])
    found = read(str(path))
    assert found.duration is None or found.duration >= 0
    assert found.fps is None or found.fps > 0
