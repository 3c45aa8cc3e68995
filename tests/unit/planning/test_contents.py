"""What a file really is against what an entry wants it for."""

from __future__ import annotations

import pytest

from batchsync.model.formats import OTHER_FORMATS, UNSUPPORTED_FORMATS
from batchsync.model.job import JobSpec, MediaFacts, Source, SourceKind
from batchsync.model.problem import Place, Problem
from batchsync.planning.contents import flaw
from batchsync.planning.plan import NothingKnown, Plan, plan


def file(name: str, form: str | None, kind: str | None, duration: float | None = 10.0) -> MediaFacts:
    return MediaFacts(f"/m/{name}", 10, 1, f"digest of {name}", duration, None, form, kind)


def made(video: MediaFacts, audio: MediaFacts, rows: int = 1, end: float | None = 2.0) -> Plan:
    sources = [Source(SourceKind.FILE, facts.path) for facts in (video, audio)]
    written = {"video": video.path[3:], "audio": audio.path[3:]}
    specs = [
        JobSpec(
            Place("jobs.csv", line), *sources, id=str(line), start_seconds=line / 1e6, end_seconds=end, row=written
        )
        for line in range(2, rows + 2)
    ]
    return plan(specs, {video.path: video, audio.path: audio}, {}, NothingKnown(), manifest="/w/jobs.csv")


def told(video: MediaFacts, audio: MediaFacts) -> list[Problem]:
    return list(made(video, audio).problems)


FILM, VOICE = file("a.mp4", "mp4", "video"), file("b.wav", "wav", "audio")


@pytest.mark.parametrize(
    ("name", "form", "kind"),
    [
        ("a.mp4", "mp4", "video"),
        ("a.MOV", "mp4", "video"),
        ("a.m4v", "mp4", None),
        ("a.webm", "webm", "video"),
        ("a.webm", "webm", None),
        ("a.mp4", "unknown", "video"),
        ("a.mp4", None, None),
    ],
)
def test_a_video_that_is_one(name: str, form: str | None, kind: str | None) -> None:
    assert told(file(name, form, kind), VOICE) == []


@pytest.mark.parametrize(
    ("name", "form", "kind"),
    [
        ("b.wav", "wav", "audio"),
        ("b.m4a", "mp4", "audio"),
        ("b.m4a", "mp4", "video"),
        ("b.opus", "ogg", "audio"),
        ("b.weba", "webm", "audio"),
        ("b.webm", "webm", "video"),
        ("b.aac", "aac", "audio"),
        ("b.wav", None, None),
    ],
)
def test_an_audio_that_is_one(name: str, form: str | None, kind: str | None) -> None:
    assert told(FILM, file(name, form, kind)) == []


@pytest.mark.parametrize(
    ("form", "kind", "message", "hint"),
    [
        (
            "jpeg",
            "other",
            "is really a JPEG picture, not a video that the vendor takes",
            "one of m4v, mov, mp4, webm",
        ),
        ("html", "other", "is really a web page", "one of m4v"),
        ("git-lfs", "other", "is only a Git LFS pointer, and not the file itself", "git lfs pull"),
        ("avi", "video", "is really an AVI video", "one of m4v"),
        ("matroska", "video", "is really a Matroska video (MKV)", "one of m4v"),
        ("webm", "video", "is really WebM, not what .mp4 says", "rename it to .webm"),
        ("mp3", "audio", "is really MP3, not what .mp4 says", "a video: one of"),
        ("wav", "audio", "is really WAV, not what .mp4 says", "a video: one of"),
        ("mp4", "audio", "has no picture, only sound", "a video: one of"),
        ("mp4", "other", "has no picture in it", "a video: one of"),
        ("unknown", "audio", "has no picture, only sound", "a video: one of"),
    ],
)
def test_a_video_that_is_none_is_a_fault(form: str, kind: str, message: str, hint: str) -> None:
    (fault,) = told(file("a.mp4", form, kind), VOICE)
    assert (fault.severity, fault.place.line, fault.column, fault.value) == ("error", 2, "video", "a.mp4")
    assert message in fault.message
    assert hint in (fault.hint or "")


@pytest.mark.parametrize("form", [*OTHER_FORMATS, *UNSUPPORTED_FORMATS])
def test_what_the_vendor_takes_in_no_role_is_a_fault_in_both(form: str) -> None:
    found = made(file("a.mp4", form, "other"), file("b.wav", form, "other"))
    assert [(p.severity, p.column) for p in found.problems] == [("error", "video"), ("error", "audio")]
    assert found.jobs == ()


def test_a_sound_under_the_name_of_another_is_a_warning_that_says_how_to_rename_it() -> None:
    found = made(FILM, file("b.wav", "mp3", "audio"))
    (warning,) = found.problems
    assert (warning.severity, warning.column, warning.value) == ("warning", "audio", "b.wav")
    assert (warning.message, warning.hint) == ("is really MP3, not what .wav says", "rename it to .mp3")
    assert len(found.jobs) == 1


def test_what_no_decoder_here_can_read_is_a_warning_as_the_vendors_may() -> None:
    found = made(file("a.mp4", "mp4", "broken"), file("b.mp3", "mp3", "broken"))
    assert [(p.severity, p.column) for p in found.problems] == [("warning", "video"), ("warning", "audio")]
    assert all("can't be decoded here" in problem.message for problem in found.problems)
    assert len(found.jobs) == 1


def test_an_audio_that_is_none_is_a_fault() -> None:
    for facts, said in (
        (file("b.wav", "png", "other"), "a PNG picture"),
        (file("b.m4a", "mp4", "other"), "has no sound"),
        (file("b.wav", "wav", "audio", 0.0), "its length is 0 s"),
    ):
        (fault,) = told(FILM, facts)
        assert (fault.severity, fault.column) == ("error", "audio")
        assert said in fault.message


def test_a_file_of_no_length_is_one_fault_and_not_another_about_its_end() -> None:
    (fault,) = made(file("a.mp4", "mp4", "video", 0.0), VOICE, end=None).problems
    assert (fault.severity, fault.column, fault.message) == ("error", "video", "is empty: its length is 0 s")
    (fault,) = made(file("a.mp4", "mp4", "video", 0.0), VOICE, end=2.0).problems
    assert fault.column == "video"


def test_content_that_nobody_recognises_is_a_warning_once_for_each_file() -> None:
    found = made(file("a.mp4", "unknown", None, None), file("b.wav", "unknown", None, None), rows=50)
    assert [(p.severity, p.place.line, p.column) for p in found.problems] == [
        ("warning", 2, "video"),
        ("warning", 2, "audio"),
    ]
    assert found.problems[0].message == "its content is not recognised as mp4: the vendor may refuse it"
    assert len(found.jobs) == 50


def test_a_fault_of_a_file_is_told_for_every_entry_that_names_it() -> None:
    found = made(file("a.mp4", "pdf", "other"), VOICE, rows=3)
    assert [(p.severity, p.place.line) for p in found.problems] == [("error", 2), ("error", 3), ("error", 4)]


def test_many_doubts_are_summed_up() -> None:
    voices = [file(f"{n}.wav", "unknown", None, None) for n in range(40)]
    facts = {FILM.path: FILM, **{voice.path: voice for voice in voices}}
    specs = [
        JobSpec(
            Place("j.csv", n), Source(SourceKind.FILE, FILM.path), Source(SourceKind.FILE, v.path), end_seconds=2.0
        )
        for n, v in enumerate(voices, start=2)
    ]
    found = plan(specs, facts, {}, NothingKnown(), manifest="/w/j.csv")
    assert len(found.problems) == 6
    assert "35 more" in found.problems[-1].message


def test_nothing_is_said_of_a_file_that_nobody_has_looked_at() -> None:
    assert flaw("video", file("a.mp4", None, "other", 0.0)) is None
