"""The examples in `manifests/` are what they say they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batchsync.manifest import load
from batchsync.media import gather
from batchsync.model.job import Mode, SourceKind
from batchsync.planning import Plan, plan
from batchsync.planning.plan import NothingKnown

FOLDER = Path(__file__).parents[3] / "manifests"


def planned(name: str) -> Plan:
    manifest = load(FOLDER / name)
    paths = [s.value for spec in manifest.specs for s in (spec.video, spec.audio) if s.is_local]
    facts, errors = gather(paths, lambda *_: None)
    assert errors == []
    assert manifest.problems == ()
    return plan(manifest.specs, facts, dict(errors), NothingKnown(), manifest=manifest.path)


def test_the_demo() -> None:
    found = planned("demo.csv")
    assert found.problems == ()
    assert len(found.jobs) == 8
    assert all(job.spec.end_seconds is not None for job in found.jobs)
    assert {job.spec.tags["lang"] for job in found.jobs} == {"es", "fr", "de"}
    assert {job.spec.generation_mode for job in found.jobs} == set(Mode)
    assert {job.video.fps for job in found.jobs if job.video} == {24, 25, 30}
    assert found.uploads.files == 6


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("minimal.yaml", 1),
        ("every-option.yaml", 6),
        ("vendor-body.json", 2),
        ("matrix.yaml", 7),
        ("spreadsheet.csv", 3),
    ],
)
def test_the_others(name: str, jobs: int) -> None:
    found = planned(name)
    assert found.problems == ()
    assert len(found.jobs) == jobs


def test_every_option_is_in_its_example() -> None:
    manifest = load(FOLDER / "every-option.yaml")
    assert {spec.video.kind for spec in manifest.specs} == set(SourceKind) - {SourceKind.ASSET}
    assert SourceKind.ASSET in {spec.audio.kind for spec in manifest.specs}
    assert {
        "id", "name", "video", "audio", "start_seconds", "end_seconds", "max_fps_limit", "generation_mode", "output",
        "assets.video_source", "assets.audio_file_path", "style.generation_mode", "tag.lang",
    } <= set(manifest.columns)  # fmt: skip
    assert manifest.specs[0].id == "007"
    assert manifest.specs[2].tags["lang"] == "no"


def test_the_matrix() -> None:
    jobs = planned("matrix.yaml").jobs
    assert [job.output for job in jobs][3:] == [
        "fr/bars-fr.mp4",
        "es/dusk-es.mp4",
        "es/bars-lite.mp4",
        "es/bars-pro.mp4",
    ]


def test_the_spreadsheet() -> None:
    data = (FOLDER / "spreadsheet.csv").read_bytes()
    assert b";" in data
    assert b"\r\n" in data
    with pytest.raises(UnicodeDecodeError):
        data.decode("utf-8")
    specs = [job.spec for job in planned("spreadsheet.csv").jobs]
    assert [(spec.id, spec.start_seconds, spec.end_seconds) for spec in specs] == [
        ("moderation-es", 0.5, 2.5),
        ("moderation-fr", 0, 2.25),
        ("balken-de", 0, 2),
    ]
    assert [spec.tags["Größe"] for spec in specs] == ["groß", "groß", "klein"]
    assert [spec.name for spec in specs][1:] == ["Moderation; französisch", 'Balken "neu"']


def test_every_example_is_in_the_table() -> None:
    readme = (FOLDER / "README.md").read_text()
    assert {path.name for path in FOLDER.iterdir()} - {"README.md", "media"} == set(
        re.findall(r"^\| `([\w.-]+\.\w+)`", readme, re.M)
    )


def test_the_broken_one_reports_every_fault() -> None:
    manifest = load(FOLDER / "broken.csv")
    paths = [s.value for spec in manifest.specs for s in (spec.video, spec.audio) if s.is_local]
    facts, errors = gather(paths, lambda *_: None)
    found = plan(manifest.specs, facts, dict(errors), NothingKnown(), manifest=manifest.path)
    problems = [*manifest.problems, *found.problems]
    assert [(p.place.line, p.column, p.value) for p in problems] == [
        (1, "lenght", None),
        (3, "audio", None),
        (4, "end_seconds", "1"),
        (5, "end_seconds", "2,5"),
        (6, "end_seconds", "00:03"),
        (7, "generation_mode", "light"),
        (8, "video", "media/presenter.avi"),
        (9, "video", "http://cdn.example.com/a.mp4"),
        (10, "audio", "https://youtu.be/dQw4w9WgXcQ"),
        (11, "end_seconds", None),
        (12, "output", "../{id}.mp4"),
        (13, "output", "{ids}.mp4"),
        (14, "id", ".."),
        (15, None, None),
        (16, "video", "media/nowhere.mp4"),
        (17, "id", "fine"),
    ]
    assert {p.severity for p in problems} == {"error"}
    assert str(problems[5]).endswith(
        "broken.csv:7: generation_mode 'light': is not a generation mode (did you mean 'lite'?)"
    )


def test_the_examples_are_small() -> None:
    assert sum(file.stat().st_size for file in (FOLDER / "media").iterdir()) < 500_000
