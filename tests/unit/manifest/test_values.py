"""Single values: each fault with its column and value, and what would be right."""

from __future__ import annotations

import io
import json

import pytest

from batchsync.manifest import Manifest, load
from batchsync.model.job import Mode, SourceKind

BASE = {"id": "a", "video": "a.mp4", "audio": "b.wav"}


def entry(**values: object) -> Manifest:
    return load("-", stdin=io.BytesIO(json.dumps([BASE | values]).encode()))


def only_fault(manifest: Manifest) -> tuple[str | None, str | None, str]:
    (problem,) = manifest.problems
    assert problem.severity == "error"
    assert manifest.specs == ()
    return problem.column, problem.value, f"{problem.message} ({problem.hint})"


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [
        ("start_seconds", "-1", "at least 0"),
        ("start_seconds", "abc", "not a number"),
        ("start_seconds", "nan", "finite"),
        ("start_seconds", "-inf", "finite"),
        ("start_seconds", "1e999", "too large"),
        ("start_seconds", "1_0", "not a number"),
        ("start_seconds", "١", "not a number"),
        ("start_seconds", "0x10", "not a number"),
        ("end_seconds", "0.05", "at least 0.1"),
        ("end_seconds", "1:02.5", "in seconds: 62.5"),
        ("end_seconds", "01:00:00", "in seconds: 3600"),
        ("end_seconds", "2,5", "write 2.5"),
        ("end_seconds", "5s", "without the unit: 5"),
        ("max_fps_limit", "23,976 fps", "without the unit: 23.976"),
        ("end_seconds", "1,234", "write 1.234, or 1234 if"),
        ("end_seconds", "1.234,5", "without thousands separators: 1234.5"),
        ("end_seconds", "1,234.5", "without thousands separators: 1234.5"),
        ("end_seconds", "1 234 567", "without thousands separators: 1234567"),
        ("end_seconds", "1\u202f234,5", "without thousands separators: 1234.5"),
        ("end_seconds", "1.234.567", "without thousands separators: 1234567"),
        ("end_seconds", "1'234", "without thousands separators: 1234"),
        ("end_seconds", "50%", "percentage"),
        ("end_seconds", "01.Feb", "made a date of it"),
        ("end_seconds", "2-1", "made a date of it"),
        ("end_seconds", "Feb-26", "made a date of it"),
        ("end_seconds", "2026-02-01", "made a date of it"),
        ("end_seconds", "1. März 2026", "made a date of it"),
        ("end_seconds", "01/02/26", "made a date of it"),
        ("end_seconds", "5 min", "a plain number"),
        ("end_seconds", "#REF!", "a spreadsheet's error"),
        ("video", "#NAME?", "a spreadsheet's error"),
        ("tag.x", "#N/A", "a spreadsheet's error"),
        ("id", "“intro”", "without them: intro"),
        ("video", "„a.mp4“", "without them: a.mp4"),
        ("generation_mode", "’pro’", "without them: pro"),
        ("id", "a\u200bb", "U+200B ZERO WIDTH SPACE"),
        ("id", "a\u00a0b", "U+00A0 NO-BREAK SPACE"),
        ("max_fps_limit", "0.5", "at least 1"),
        ("generation_mode", "Lite", "did you mean 'lite'"),
        ("generation_mode", "xyz", "one of lite, standard, pro"),
        ("id", ".", "names a folder"),
        ("id", "..", "names a folder"),
        ("id", "a\u0007b", "printed"),
        ("id", "a\nb", "U+000A"),
        ("id", "x" * 201, "at most 200"),
        ("name", "a\u0000b", "control"),
        ("name", "a\nb", "control"),
        ("tag.x", "a\u001bb", "control"),
        ("video", "a.avi", ".avi is not a kind of video"),
        ("video", "a", "no file extension"),
        ("video", "a.mp4\u0000", "control"),
        ("audio", "b.mp4", ".mp4 is not a kind of audio"),
        ("video", "http://x.example/a.mp4", "https://"),
        ("video", "HTTP://x.example/a.mp4", "try https://x.example/a.mp4"),
        ("video", "ftp://x.example/a.mp4", "ftp://"),
        ("video", "file:///a.mp4", "file://"),
    ],
)
def test_each_fault_in_its_column(column: str, text: str, said: str) -> None:
    found = only_fault(entry(**{column: text}))
    assert found[:2] == (column, text)
    assert said in found[2]


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [
        ("video", "https:///a.mp4", "not a web address"),
        ("video", "https://[x/a.mp4", "not a web address"),
        ("video", "https://x.example/a b.mp4", "%20"),
        ("video", "https://x.example/page", "no file extension"),
        ("video", "https://x.example/a.txt?x=1", ".txt"),
        ("audio", "https://www.youtube.com/watch?v=abc", "YouTube"),
        ("audio", "https://youtu.be/abc", "YouTube"),
    ],
)
def test_each_fault_of_an_address(column: str, text: str, said: str) -> None:
    found = only_fault(entry(end_seconds=1, **{column: text}))
    assert found[:2] == (column, text)
    assert said in found[2]


@pytest.mark.parametrize(
    ("column", "text", "kind"),
    [
        ("video", "A.MP4", SourceKind.FILE),
        ("video", "./api-assets/a.webm", SourceKind.FILE),
        ("audio", "dir with space/b.M4A", SourceKind.FILE),
        ("audio", "a.webm", SourceKind.FILE),
        ("video", "api-assets/id/1234.mp4", SourceKind.ASSET),
        ("video", "https://x.example/a.MOV?sig=1#t", SourceKind.URL),
        ("video", "HTTPS://x.example/a%2Emp4", SourceKind.URL),
        ("video", "https://x.example/get?file=a.mp4", SourceKind.URL),
        ("audio", "https://x.example/b.opus", SourceKind.URL),
        ("video", "https://magichour.ai/my-library?videoId=cm1", SourceKind.LIBRARY),
        ("audio", "https://www.magichour.ai/my-library?audioId=cm1", SourceKind.LIBRARY),
        ("video", "https://m.youtube.com/watch?v=abc", SourceKind.YOUTUBE),
        ("video", "https://youtu.be/abc", SourceKind.YOUTUBE),
        ("video", "https://notyoutube.com/a.mp4", SourceKind.URL),
    ],
)
def test_where_inputs_come_from(column: str, text: str, kind: SourceKind) -> None:
    manifest = entry(end_seconds=1, **{column: text})
    assert manifest.problems == ()
    source = getattr(manifest.specs[0], column)
    assert source.kind is kind
    assert source.value.startswith("/") if kind is SourceKind.FILE else source.value == text


def test_missing_inputs() -> None:
    for column in ("video", "audio"):
        for blank in ("", "  ", None):
            assert only_fault(entry(**{column: blank}))[:2] == (column, None)


def test_the_end_is_needed_where_an_input_is_not_local() -> None:
    for column, text in (("video", "api-assets/1.mp4"), ("audio", "https://x.example/b.mp3")):
        found = only_fault(entry(**{column: text}))
        assert found[0] == "end_seconds"
        assert column in found[2]
    assert entry().specs[0].end_seconds is None


def test_the_end_is_after_the_start() -> None:
    for end in ("2", "1.5"):
        assert only_fault(entry(start_seconds="2", end_seconds=end))[:2] == ("end_seconds", end)
    assert entry(start_seconds="2", end_seconds="2.1").specs


def test_all_faults_of_an_entry_are_said() -> None:
    manifest = entry(video="x", audio="", start_seconds="x", end_seconds="y", max_fps_limit="z", id="..", output="/a")
    assert [p.column for p in manifest.problems] == [
        "video", "audio", "start_seconds", "end_seconds", "id", "max_fps_limit", "output",
    ]  # fmt: skip


def test_good_values() -> None:
    (spec,) = entry(
        start_seconds=0, end_seconds=".5", max_fps_limit="2.4e1", generation_mode="standard", name="Größe ✓", id="a/b"
    ).specs
    assert (spec.start_seconds, spec.end_seconds, spec.max_fps_limit) == (0.0, 0.5, 24.0)
    assert (spec.generation_mode, spec.name, spec.id) == (Mode.STANDARD, "Größe ✓", "a/b")


# --- outputs ---


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("/a.mp4", "relative"),
        ("C:a.mp4", "relative"),
        ("../a.mp4", "may not have '..'"),
        ("a/../b.mp4", "may not have '..'"),
        ("./a.mp4", "may not have '.'"),
        ("a//b.mp4", "empty folder"),
        ("a\\b.mp4", "backslash"),
        ("{tag.lang}/", "names a folder"),
        ("a\u0000.mp4", "control"),
        ("a\nb.mp4", "control"),
        ("con.mp4", "Windows"),
        ("NUL/a.mp4", "Windows"),
        ("a/Com1.x.mp4", "Windows"),
        ("a./b.mp4", "ends with a dot"),
        ("a /b.mp4", "ends with a space"),
        ("a/ b.mp4", "begins with a space"),
        ("x" * 201, "200 bytes"),
        ("{idd}.mp4", "did you mean 'id'"),
        ("{video}.mp4", "{video.stem}"),
        ("{tag.}.mp4", "can't use {tag.}"),
        ("{tag.a/b}.mp4", "can't use {tag.a/b}"),
        ("{}.mp4", "can't use {}"),
        ("{id.__class__}.mp4", "can't use {id.__class__}"),
        ("{id", "brace"),
        ("id}.mp4", "brace"),
        ("{{id}}.mp4", "brace"),
        ("{name}.mp4", "no name"),
        ("{tag.market}.mp4", "its tags: lang"),
    ],
)
def test_each_fault_of_an_output(template: str, said: str) -> None:
    column, value, text = only_fault(entry(output=template, tags={"lang": "de"}))
    assert (column, value) == ("output", template)
    assert said in text


def test_good_outputs() -> None:
    for template in (
        "a",
        "a/b.mov",
        "{id}",
        "{tag.lang}/{video.stem}-{audio.stem}.{generation_mode}.mp4",
        "concert.mp4",
    ):
        manifest = entry(output=template, tags={"lang": "de"})
        assert manifest.problems == ()
        assert manifest.specs[0].output == template


def test_tags() -> None:
    assert entry(tags={"a b": "x\ny", "n": 1}).specs[0].tags == {"a b": "x\ny", "n": "1"}
    for key in ("", "a\nb", "{a}", "x" * 101):
        (problem,) = entry(tags={key: "v"}).problems
        assert problem.column == f"tag.{key}"
