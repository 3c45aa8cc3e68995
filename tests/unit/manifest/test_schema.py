"""The JSON Schema for editors: takes what the reader takes, and finds what a schema can find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from batchsync.cli.main import cli
from batchsync.manifest import load, starter
from batchsync.manifest.columns import COLUMNS
from batchsync.manifest.schema import DESCRIPTIONS, schema
from batchsync.model.job import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS

FOLDER = Path(__file__).parents[3] / "manifests"
EXAMPLES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".yaml", ".json"))
JOB = {"video": "a.mp4", "audio": "b.wav"}


def wrong(value: object) -> list[str]:
    return [error.message for error in Draft202012Validator(schema()).iter_errors(value)]


def test_it_is_a_schema_and_the_command_prints_it() -> None:
    Draft202012Validator.check_schema(schema())
    result = CliRunner().invoke(cli, ["manifest", "schema"], standalone_mode=False)
    assert json.loads(result.output) == schema()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.name))
def test_every_example_validates(path: Path) -> None:
    assert wrong(yaml.safe_load(path.read_text())) == []


def test_the_starter_validates_and_says_where_the_schema_is_from() -> None:
    assert wrong(yaml.safe_load(starter())) == []
    assert "batchsync manifest schema > batchsync.schema.json" in starter().partition("version: 1")[0]
    assert "# yaml-language-server: $schema=batchsync.schema.json" in starter().partition("version: 1")[0]


def test_every_key_is_described() -> None:
    assert DESCRIPTIONS.keys() == {*COLUMNS, "tags", "assets", "style"}


GOOD: list[Any] = [
    JOB,
    [JOB, {"assets": {"video_file_path": "a.mov", "audio_file_path": "b.mp3"}, "id": 7, "tags": {"x": True}}],
    {"defaults": JOB, "jobs": [{}, {"id": "x", "tag.lang": "de", "end_seconds": "1.5", "name": None}]},
    {"jobs": [{"video": "https://x.example/v?a=b.mp4", "audio": "api-assets/x", "width": 3}]},
    {"matrix": {"video": ["a.mp4"], "audio": "{lang}.wav", "lang": ["no", False], "exclude": {"lang": "no"}}},
    {
        "matrix": [
            {"video": "{v}", "v": ["a.mp4"], "audio": "b.wav", "tags": {"x": ["1", "2"]}, "end_seconds": [1, 2]}
        ]
    },
    *({"video": f"a.{kind}", "audio": "b.wav"} for kind in (*sorted(VIDEO_EXTENSIONS), "MP4", "Mov")),
    *({"video": "a.mp4", "audio": f"b.{kind}"} for kind in sorted(AUDIO_EXTENSIONS)),
]

BROKEN: list[Any] = [
    "text",
    {},
    [],
    [{"video": "a.mp4"}],
    [{"assets": {"audio_file_path": "b.wav"}}],
    {"version": 2, "jobs": [JOB]},
    {"jbos": [JOB]},
    {"jobs": [JOB], "extra": 1},
    {"jobs": JOB},
    {"jobs": [JOB | {"vidoe": "a.mp4"}]},
    {"jobs": [JOB | {"video": "a.avi"}]},
    {"jobs": [JOB | {"audio": "b.mp4"}]},
    {"jobs": [JOB | {"video": ["a.mp4"]}]},
    {"jobs": [JOB | {"generation_mode": "fast"}]},
    {"jobs": [JOB | {"end_seconds": 0.05}]},
    {"jobs": [JOB | {"end_seconds": "2,5"}]},
    {"jobs": [JOB | {"start_seconds": -1}]},
    {"jobs": [JOB | {"max_fps_limit": 0}]},
    {"jobs": [JOB | {"id": "x" * 201}]},
    {"jobs": [JOB | {"tags": ["de"]}]},
    {"jobs": [JOB | {"tags": {"{x}": 1}}]},
    {"jobs": [JOB | {"tags": {"x": {}}}]},
    {"jobs": [JOB | {"assets": {"image": "x.png"}}]},
    {"jobs": [JOB | {"style": {"mode": "pro"}}]},
    {"defaults": {"id": "x"}, "jobs": [JOB]},
    {"matrix": JOB | {"lang": "de"}},
    {"matrix": JOB | {"lang": []}},
    {"matrix": JOB | {"generation_mode": ["fast"]}},
    {"matrix": JOB | {"x": [{"a": 1}]}},
    {"matrix": JOB | {"exclude": "x"}},
]


@pytest.mark.parametrize("value", GOOD, ids=json.dumps)
def test_what_is_good(value: object) -> None:
    assert wrong(value) == []


@pytest.mark.parametrize("value", BROKEN, ids=lambda value: json.dumps(value)[:60])
def test_what_is_broken_is_broken_for_the_reader_too(value: object, tmp_path: Path) -> None:
    assert wrong(value)
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps(value, indent=1))
    assert [problem for problem in load(file).problems if problem.severity == "error"]
