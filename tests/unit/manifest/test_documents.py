"""YAML, JSON and JSON Lines."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.errors import ManifestError
from batchsync.manifest import Manifest, load, starter
from batchsync.manifest.json_text import read_json
from batchsync.manifest.tree import Items, Node, Pairs
from batchsync.model.job import Mode, SourceKind
from batchsync.model.problem import Place

ENTRY = {"video": "a.mp4", "audio": "b.wav"}


def yaml(text: str) -> Manifest:
    manifest = load("-", stdin=io.BytesIO(text.encode()))
    assert manifest.format == "yaml"
    return manifest


def data(value: object, tmp_path: Path) -> Manifest:
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    return load(file)


def faults(manifest: Manifest) -> list[tuple[int | None, str | None]]:
    return [(p.place.line or p.place.entry, p.column) for p in manifest.problems if p.severity == "error"]


def test_yaml_scalars_stay_what_the_user_wrote() -> None:
    manifest = yaml(
        "- id: 007\n  video: a.mp4\n  audio: b.wav\n  name: 1e3\n  end_seconds: 0x10\n"
        "- id: 1_000\n  video: a.mp4\n  audio: b.wav\n  name: 12:30:00\n"
        "  tags: {lang: no, on: off, day: 2026-07-20, v: 1.10, q: 'null', none: null, empty: , tilde: ~}\n"
    )
    assert faults(manifest) == [(5, "end_seconds")]
    (spec,) = manifest.specs
    assert (spec.id, spec.name) == ("1_000", "12:30:00")
    assert spec.tags == {"lang": "no", "on": "off", "day": "2026-07-20", "v": "1.10", "q": "null"}
    assert yaml("- id: 007\n  video: a.mp4\n  audio: b.wav\n").specs[0].id == "007"


def test_entries_and_values_know_their_lines() -> None:
    manifest = yaml(
        "# comment\nversion: 1\njobs:\n\n- id: a\n  video: a.mp4\n  audio: b.wav\n"
        "- id: b\n  video: a.avi\n  audio: b.wav\n  generation_mode: prro\n"
    )
    assert manifest.specs[0].place.line == 5
    assert faults(manifest) == [(9, "video"), (11, "generation_mode")]
    assert manifest.problems[1].hint == "did you mean 'pro'?"


def test_defaults_hold_unless_the_entry_says_otherwise() -> None:
    manifest = yaml(
        "version: 1\ndefaults:\n  generation_mode: pro\n  video: a.mp4\n  tags: {lang: de, team: x}\n"
        "jobs:\n- audio: b.wav\n- audio: c.wav\n  style: {generation_mode: lite}\n  tags: {lang: fr}\n"
        "  assets: {video_source: youtube, youtube_url: https://youtu.be/abc}\n  end_seconds: 3\n"
    )
    assert manifest.problems == ()
    first, second = manifest.specs
    assert (first.generation_mode, first.tags) == (Mode.PRO, {"lang": "de", "team": "x"})
    assert (second.generation_mode, second.tags) == (Mode.LITE, {"lang": "fr", "team": "x"})
    assert (first.video.kind, second.video.kind) == (SourceKind.FILE, SourceKind.YOUTUBE)
    assert first.row["generation_mode"] == "pro"
    assert manifest.columns[:2] == ("generation_mode", "video")


def test_a_fault_in_defaults_is_said_once_where_it_stands() -> None:
    manifest = yaml(
        "defaults: {generation_mode: fast, id: x, mode: y}\njobs:\n"
        + "- {video: a.mp4, audio: b.wav}\n- {video: c.mp4, audio: b.wav}\n"
    )
    assert sorted(faults(manifest), key=str) == [(1, "generation_mode"), (1, "id"), (1, "mode")]


def test_faults_of_shape() -> None:
    manifest = yaml(
        "version: 2\njbos: []\nmatrix: text\njobs:\n- just text\n- [a, b]\n"
        "- {video: [a.mp4], audio: b.wav, tags: de, style: x, bogus: {}}\n"
    )
    assert faults(manifest) == [
        (1, "version"),
        (2, "jbos"),
        (3, "matrix"),
        (5, None),
        (6, None),
        (7, "video"),
        (7, "tags"),
        (7, "style"),
        (7, "bogus"),
    ]
    by_column = {p.column: p for p in manifest.problems[:4]}
    assert by_column["version"].value == "2"
    assert by_column["jbos"].hint == "did you mean 'jobs'?"
    assert by_column["matrix"].message == "must be a mapping of axes and templates, not a single value"


def test_duplicate_keys_are_faults_on_their_own_line() -> None:
    manifest = yaml(
        "version: 1\nversion: 1\njobs:\n- video: a.mp4\n  audio: b.wav\n  video: c.mp4\n  tags:\n    x: 1\n    x: 2\n"
    )
    assert faults(manifest) == [(2, "version"), (6, "video"), (9, "x")]


def test_a_tag_in_both_ways_is_a_fault() -> None:
    assert faults(yaml("- {video: a.mp4, audio: b.wav, tag.x: 1, tags: {x: 2}}")) == [(1, "tag.x")]


def test_anchors_aliases_and_merge_keys() -> None:
    manifest = yaml(
        "- &base\n  id: a\n  video: &v a.mp4\n  audio: b.wav\n  tags: &t {lang: de}\n"
        "- <<: *base\n  id: b\n- {id: c, video: *v, audio: b.wav, tags: *t}\n- <<: [{id: d}, *base]\n"
    )
    assert manifest.problems == ()
    assert [spec.id for spec in manifest.specs] == ["a", "b", "c", "d"]
    assert {spec.video.value for spec in manifest.specs} == {manifest.specs[0].video.value}
    assert all(spec.tags == {"lang": "de"} for spec in manifest.specs)


def test_aliases_that_would_explode_are_refused() -> None:
    lines = ["l0: &l0 [" + ",".join(["x"] * 10) + "]"]
    lines += [f"l{n}: &l{n} [" + ",".join([f"*l{n - 1}"] * 10) + "]" for n in range(1, 12)]
    manifest = yaml("\n".join(lines))
    assert manifest.specs == ()
    assert "aliases unfolded" in manifest.problems[-1].message
    assert manifest.problems[-1].place.line in (6, 7)


def test_the_bound_counts_what_aliases_unfold_to(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "- &a {video: a.mp4, audio: b.wav}\n" + "- *a\n" * 4
    monkeypatch.setattr(
        "batchsync.manifest.yaml_text.MAX_NODES", 26
    )  # the list, and five entries of five values each
    assert len(yaml(text).specs) == 5
    monkeypatch.setattr("batchsync.manifest.yaml_text.MAX_NODES", 25)
    assert yaml(text).specs == ()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("jobs:\n- &a\n  tags: *a\n", 3, "inside what it stands for"),
        ("jobs:\n- *nowhere\n", 2, "no anchor"),
        ("jobs:\n- !!python/object/apply:os.system [ls]\n", 2, "tag"),
        ("jobs:\n- video: !!binary aGk=\n", 2, "tag"),
        ("jobs:\n- ? [a]\n  : b\n", 2, "key must be a single value"),
        ("jobs:\n- {a: 1\n", 3, "not YAML"),
        ("jobs:\n\t- a\n", 2, "not YAML"),
        ("- {video: a.mp4, audio: b.wav}\n---\n- x\n", 2, "second document"),
        ("- " + "[" * 50_000, None, "not YAML|nested"),
        ("- <<: text\n", 1, "mapping"),
    ],
)
def test_yaml_that_can_t_be_read(text: str, line: int | None, said: str) -> None:
    manifest = yaml(text)
    assert manifest.specs == ()
    assert len(manifest.problems) == 1
    assert line is None or manifest.problems[0].place.line == line
    assert any(word in manifest.problems[0].message for word in said.split("|"))


@pytest.mark.parametrize("text", ["version: 1\n", "jobs: []\n", "jobs:\n", "--- []\n"])
def test_no_jobs_is_a_fault(text: str) -> None:
    (problem,) = yaml(text).problems
    assert problem.message == "has no jobs"


def test_a_scalar_is_no_manifest() -> None:
    (problem,) = yaml("--- hello\n").problems
    assert problem.message == "is not a manifest"


# --- JSON ---


def test_json_takes_the_same_shapes(tmp_path: Path) -> None:
    for value in (
        [ENTRY, ENTRY | {"id": "x"}],
        {"version": 1, "jobs": [ENTRY, ENTRY | {"id": "x"}]},
        {"version": 1, "defaults": ENTRY, "jobs": [{}, {"id": "x"}]},
    ):
        manifest = data(value, tmp_path)
        assert manifest.problems == ()
        assert [spec.id for spec in manifest.specs] == [None, "x"]
        assert [spec.place.entry for spec in manifest.specs] == [1, 2]
    assert len(data(ENTRY, tmp_path).specs) == 1


def test_json_numbers_stay_what_the_user_wrote(tmp_path: Path) -> None:
    file = tmp_path / "jobs.json"
    file.write_text(
        '[{"video": "a.mp4", "audio": "b.wav", "id": 10.50, "end_seconds": 1.50, "max_fps_limit": null,'
        ' "tags": {"n": 100000000000000000000000000000, "yes": true, "none": null}}]'
    )
    (spec,) = load(file).specs
    assert (spec.id, spec.end_seconds, spec.row["end_seconds"], spec.max_fps_limit) == ("10.50", 1.5, "1.50", None)
    assert spec.tags == {"n": "1" + "0" * 29, "yes": "true"}


def test_json_faults_name_the_entry_where_several_share_a_line(tmp_path: Path) -> None:
    file = tmp_path / "jobs.json"
    file.write_text(
        '[{"video": "a.mp4", "audio": "b.wav"}, {"video": "a.mp4", "audio": "b.wav", "end_seconds": NaN},'
        ' {"video": "a.mp4", "audio": "b.wav", "audio": "c.wav", "vidio": 1}, 7]'
    )
    manifest = load(file)
    assert faults(manifest) == [(2, "end_seconds"), (3, "audio"), (3, "vidio"), (4, None)]
    assert "finite" in manifest.problems[0].message
    assert str(manifest.problems[0]).startswith(f"{file}: entry 2: end_seconds 'NaN': must be finite")


def test_json_faults_know_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "jobs.json"
    file.write_text(
        '{\n  "version": 1,\n  "defaults": {"generation_mode": "fast"},\n  "jobs": [\n'
        '    {\n      "video": "a.mp4",\n      "audio": "b.avi",\n      "tags": {\n        "": "x"\n      }\n    },\n'
        '    {"video": "a\\u0062.mp4",\n     "audio": "b.wav",\n     "audio": "c.wav", "vidio": [1,\n 2]},\n'
        '    {"video": "a.mp4", "audio": "b.wav", "generation_mode": "pro", "name": "x \\" y"}\n  ]\n}\n'
    )
    for ends in ("\n", "\r\n", "\r"):
        file.write_bytes(file.read_bytes().replace(b"\n", ends.encode()))
        manifest = load(file)
        assert faults(manifest) == [
            (3, "generation_mode"),
            (7, "audio"),
            (9, "tag."),
            (14, "audio"),
            (14, "vidio"),
        ]
        assert [(spec.place.line, spec.place.entry) for spec in manifest.specs] == [(16, None)]
        assert str(manifest.problems[1]).startswith(f"{file}:7: audio 'b.avi': .avi is not")
        file.write_bytes(file.read_bytes().replace(ends.encode(), b"\n"))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[\n{"a": 1,}\n]', 2, "there is a comma too many before } (column 9)"),
        ('[\n{"a": 1},\n]', 3, "there is a comma too many before ]"),
        ('{"video": 1}\n{"video": 2}\n', 2, "it goes on after its end (column 1) (one job a line is JSON Lines"),
        ("[" * 200_000, 1, "nested"),
        ('[{"video": "a.mp4"', 1, "it ends where a comma or } should be"),
        ('[{"video" "a.mp4"}]', 1, "a colon after the key 'video'"),
        ("[{'video': 1}]", 1, "JSON's quotes are double"),
        ('[\n# jobs\n{"video": 1}]', 2, "JSON has no comments"),
        ('[{\n“video”: "a.mp4"}]', 2, "“ is a typographic quote"),
        ('[{\n"video": “a.mp4”}]', 2, "“ is a typographic quote"),
        ('[{"id": "x",\n"video": "a.mp4”\n}]', 2, "” is not a straight quote"),
        ('[{"video": "a\nb"}]', 1, "a line end or control character inside quotes"),
        ('[{"video": "C:\\media\\x.mp4"}]', 1, "a backslash is written"),
        ('[{"video": "a.mp4}]', 1, "the quote that opens here is not closed (column 12)"),
        ('[{"id": 007}]', 1, "'0' where a comma or } should be"),
        ("[tru]", 1, "'t' where a value should be"),
    ],
)
def test_json_that_can_t_be_read(tmp_path: Path, text: str, line: int, said: str) -> None:
    file = tmp_path / "jobs.json"
    file.write_text(text, encoding="utf-8")
    (problem,) = load(file).problems
    assert problem.place.line == line
    assert said in f"{problem.message} ({problem.hint})"


def test_json_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchsync.manifest.json_text.MAX_NODES", 6)
    assert len(data([ENTRY, ENTRY], tmp_path).specs) == 2
    (problem,) = data([ENTRY, ENTRY, ENTRY], tmp_path).problems
    assert "holds more than" in problem.message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
)
def test_json_is_read_as_the_standard_library_reads_it(value: object, indent: int | None, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    assert plain(read_json(text, Place("x"))) == as_written(value)


def as_written(value: object) -> object:
    if isinstance(value, dict):
        return {key: as_written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_written(item) for item in value]
    return value if value is None or isinstance(value, str) else json.dumps(value)


def plain(node: Node) -> object:
    if isinstance(node, Pairs):
        return {key: plain(value) for key, (_, value) in node.items.items()}
    return [plain(item) for item in node.items] if isinstance(node, Items) else node.text


def test_lone_surrogates_are_faults(tmp_path: Path) -> None:
    file = tmp_path / "jobs.json"
    file.write_text(
        '[{"id": "\\ud800", "video": "\\ud800.mp4", "audio": "b.wav", "name": "\\udfff", "tags": {"x": "\\ud801"}}]'
    )
    assert faults(load(file)) == [(1, "video"), (1, "tag.x"), (1, "name"), (1, "id")]


def test_json_lines_know_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "jobs.jsonl"
    good = json.dumps(ENTRY)
    file.write_text(
        f'{good}\n\n{{"video": "a\u2028b.mp4", "audio": "b.wav"}}\n{{broken\n[1]\r\n{{"video": "a.mp4"}}', "utf-8"
    )
    manifest = load(file)
    assert manifest.format == "jsonl"
    assert [spec.place.line for spec in manifest.specs] == [1, 3]
    assert faults(manifest) == [(4, None), (5, None), (6, "audio")]


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ('[{"video": "a.mp4", "audio": "b.wav"}]', "json"),
        ('{"jobs": [\n{"video": "a.mp4", "audio": "b.wav"}]}', "json"),
        ('{"video": "a.mp4", "audio": "b.wav"}\n{"video": "c.mp4", "audio": "b.wav"}\n', "jsonl"),
        ("# jobs\n\n- video: a.mp4\n  audio: b.wav\n", "yaml"),
        ("---\njobs:\n  - {video: a.mp4, audio: b.wav}\n", "yaml"),
        ('video,audio,"tag.x: y"\na.mp4,b.wav,\n', "csv"),
        ("video\taudio\na.mp4\tb.wav\n", "csv"),
    ],
)
def test_standard_input_shows_its_format(text: str, format: str) -> None:
    manifest = load("-", stdin=io.BytesIO(text.encode()))
    assert (manifest.format, manifest.problems) == (format, ())


def test_the_vendors_body_and_its_faults(tmp_path: Path) -> None:
    assets = {"video_source": "file", "video_file_path": "a.mp4", "audio_file_path": "b.wav"}
    manifest = data(
        [
            {"assets": assets, "style": {"generation_mode": "pro"}, "start_seconds": 0, "end_seconds": 1},
            {"assets": assets | {"video_source": "yuotube"}},
            {
                "assets": assets | {"video_source": "youtube", "youtube_url": "https://x.example/a.mp4"},
                "end_seconds": 1,
            },
            {"assets": assets | {"video_source": "youtube"}},
            {
                "assets": assets,
                "video": "a.mp4",
                "audio": "b.wav",
                "generation_mode": "pro",
                "style": {"generation_mode": "pro"},
            },
            {"assets": assets | {"image": "x.png"}},
        ],
        tmp_path,
    )
    assert manifest.specs[0].generation_mode is Mode.PRO
    assert len(manifest.specs) == 2  # an unknown key is a fault of the manifest, not of the values beside it
    assert faults(manifest) == [
        (2, "assets.video_source"),
        (3, "assets.youtube_url"),
        (4, "assets.youtube_url"),
        (5, "video"),
        (5, "audio"),
        (5, "generation_mode"),
        (6, "assets.image"),
    ]


def test_the_starter_is_a_good_manifest(tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(starter(), encoding="utf-8")
    manifest = load(file)
    assert manifest.problems == ()
    assert [spec.id for spec in manifest.specs] == ["intro-es"]
    # What is commented out must work when the marks are taken away.
    head, matrix = starter().split("\n# matrix:")
    text = head.replace("  # - id", "  - id").replace("  #   ", "    ").replace("  # max", "  max")
    file.write_text(text + "\nmatrix:" + matrix.replace("\n# ", "\n"), "utf-8")
    ids = ["intro-es", "outro-fr", "intro-fr", "intro-de", "outro-fr"]
    assert [spec.id for spec in load(file).specs] == ids
    assert load(file).problems == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["jobs", "video", "audio", "tags", "assets", "defaults", "x"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@given(json_values)
def test_no_shape_breaks_it(value: object) -> None:
    text = json.dumps(value)
    for prefix in ("", "--- "):  # the second as YAML
        try:
            manifest = load("-", stdin=io.BytesIO((prefix + text).encode()))
        except ManifestError:
            continue
        assert manifest.specs or manifest.problems
