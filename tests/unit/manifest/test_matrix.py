"""Entries of `matrix`: every list is an axis, all else a template, every combination a job."""

from __future__ import annotations

import io
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.manifest import Manifest, load

CONTRACT = """\
matrix:
  - video: [masters/intro.mp4, masters/outro.mp4]
    lang: [es, fr, de]
    audio: "voices/{lang}/{video.stem}.wav"
    id: "{video.stem}-{lang}"
    tags: {lang: "{lang}"}
    exclude: [{video: masters/outro.mp4, lang: de}]
"""


def yaml(text: str) -> Manifest:
    return load("-", stdin=io.BytesIO(text.encode()))


def matrix(**keys: object) -> Manifest:
    """A matrix of one entry with `keys`, on the lines after the first."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in keys.items()]
    return yaml("matrix:\n" + "".join(lines))


def rows(manifest: Manifest) -> list[dict[str, str]]:
    assert manifest.problems == (), [str(problem) for problem in manifest.problems]
    return [dict(spec.row) for spec in manifest.specs]


def said(manifest: Manifest) -> list[tuple[int | None, str | None, str]]:
    return [(p.place.line, p.column, f"{p.message} ({p.hint})") for p in manifest.problems]


def test_the_contracts_example() -> None:
    manifest = yaml(CONTRACT)
    assert [row["id"] for row in rows(manifest)] == ["intro-es", "intro-fr", "intro-de", "outro-es", "outro-fr"]
    assert manifest.specs[4].tags == {"lang": "fr"}
    assert manifest.specs[4].row == {
        "video": "masters/outro.mp4",
        "audio": "voices/fr/outro.wav",
        "id": "outro-fr",
        "tag.lang": "fr",
    }
    assert manifest.columns == ("video", "audio", "id", "tag.lang")
    assert str(manifest.specs[4].place) == "-:2 for video=masters/outro.mp4, lang=fr"


def test_json_says_the_same() -> None:
    value = {
        "matrix": {
            "video": ["masters/intro.mp4", "masters/outro.mp4"],
            "lang": ["es", "fr", "de"],
            "audio": "voices/{lang}/{video.stem}.wav",
            "id": "{video.stem}-{lang}",
            "tags": {"lang": "{lang}"},
            "exclude": {"video": "masters/outro.mp4", "lang": "de"},
        }
    }
    assert rows(yaml(json.dumps(value))) == rows(yaml(CONTRACT))


def test_the_last_axis_turns_fastest_and_scalars_stay_what_the_user_wrote() -> None:
    manifest = yaml(
        "matrix: {n: [007, 1_000], lang: [no, on], video: a.mp4, audio: 'b-{n}-{lang}.wav', end_seconds: 1.50}"
    )
    assert [row["audio"] for row in rows(manifest)] == [
        "b-007-no.wav",
        "b-007-on.wav",
        "b-1_000-no.wav",
        "b-1_000-on.wav",
    ]
    assert {row["end_seconds"] for row in rows(manifest)} == {"1.50"}


def test_every_kind_of_placeholder() -> None:
    (row,) = rows(
        matrix(
            video=["https://x.example/in%20tro.v2.mp4?sig=1"],
            audio="api-assets/id/{lang}.mp3",
            lang=["de"],
            at=[0.5],
            start_seconds="{at}",
            end_seconds="1{start_seconds}",
            generation_mode="{mode}",
            mode=["pro"],
            id="{video.stem}|{video.name}|{audio.stem}|{audio.name}",
            name="{id} ({tag.lang}, {generation_mode})",
            tags={"lang": "{lang}", "again": "{name}"},
        )
    )
    assert row["id"] == "in tro.v2|in tro.v2.mp4|de|de.mp3"
    assert row["tag.again"] == row["name"] == f"{row['id']} (de, pro)"
    assert (row["start_seconds"], row["end_seconds"]) == ("0.5", "10.5")


@pytest.mark.parametrize(
    ("video", "stem"),
    [
        ("a/b.c.mp4", "b.c"),
        ("https://www.youtube.com/watch?v=abc", "abc"),
        ("https://magichour.ai/my-library?videoId=cm1", "cm1"),
        ("https://youtu.be/xyz", "xyz"),
    ],
)
def test_stems(video: str, stem: str) -> None:
    assert rows(matrix(video=[video], audio="b.wav", end_seconds=1, id="{video.stem}"))[0]["id"] == stem


def test_the_vendors_body_has_stems_too() -> None:
    assets = {"video_file_path": ["a.mp4", "b.mp4"], "audio_file_path": "{video.stem}.wav"}
    assert [
        row["assets.audio_file_path"] for row in rows(matrix(assets=assets, style={"generation_mode": "lite"}))
    ] == [
        "a.wav",
        "b.wav",
    ]


def test_an_output_keeps_its_own_placeholders() -> None:
    manifest = matrix(
        video=["a.mp4"],
        audio="b.wav",
        lang=["de"],
        tags={"x": ["1", "2"]},
        output="{lang}/{tag.x}/{id}-{video.stem}.mp4",
    )
    assert {row["output"] for row in rows(manifest)} == {"de/{tag.x}/{id}-{video.stem}.mp4"}
    wrong = matrix(video=["a.mp4"], audio="b.wav", language=["d"], tags={"x": "{language}"}, output="{langage}.mp4")
    assert said(wrong) == [(6, "output", "uses {langage}, which is no axis and no column (did you mean 'language'?)")]
    none = matrix(video=["a.mp4"], audio="b.wav", output="{video.name}.mp4")
    assert said(none)[0][1] == "output"
    assert "An output can use" in said(none)[0][2]


def test_columns_and_tags_can_be_axes() -> None:
    manifest = matrix(
        video="a.mp4",
        audio="b.wav",
        generation_mode=["lite", "pro"],
        tags={"lang": ["es", "fr"]},
        id="{generation_mode}-{tag.lang}",
    )
    assert [row["id"] for row in rows(manifest)] == ["lite-es", "lite-fr", "pro-es", "pro-fr"]


def test_defaults_hold_for_a_matrix_too_and_are_templates_there() -> None:
    manifest = yaml(
        "defaults: {generation_mode: pro, name: '{video.stem} {lang}', audio: x.wav}\n"
        "jobs:\n- {video: first.mp4}\n"
        "matrix:\n  video: a.mp4\n  lang: [de]\n  style: {generation_mode: lite}\n"
    )
    assert [row.get("name") for row in rows(manifest)] == ["{video.stem} {lang}", "a de"]
    assert [str(spec.generation_mode) for spec in manifest.specs] == ["pro", "lite"]


def test_jobs_and_several_entries_in_the_order_of_the_file() -> None:
    manifest = yaml(
        "matrix:\n- {video: [a.mp4], audio: b.wav}\n- {video: [c.mp4], audio: b.wav}\n"
        "jobs:\n- {video: d.mp4, audio: b.wav}\n"
    )
    assert [row["video"] for row in rows(manifest)] == ["a.mp4", "c.mp4", "d.mp4"]


@pytest.mark.parametrize(
    ("keys", "line", "column", "words"),
    [
        ({"lang": []}, 4, "lang", "an empty list"),
        ({"lang": [["a"]]}, 4, "lang", "single values, not a list"),
        ({"lang": [{"a": 1}]}, 4, "lang", "single values, not a mapping (such as lang: [a, b])"),
        ({"lang": ["a", ""]}, 4, "lang", "blank"),
        ({"lang": ["a", "a"], "id": "{lang}"}, 4, "lang", "twice in this axis"),
        ({"lang": ["a", "b"]}, 4, "lang", "nothing uses: its jobs would be the same (use {lang} in a template"),
        ({"generaton_mode": ["lite"]}, 4, "generaton_mode", "nothing uses: its jobs would be the same (did you mean"),
        ({"lang": "de"}, 4, "lang", "an axis of your own is a list: lang: [de]"),
        ({"lang": {"a": 1}}, 4, "lang", "a single value or a list, not a mapping"),
        ({"lang": ["a"], "id": "{lagn}"}, 5, "id", "did you mean 'lang'?"),
        ({"lang": ["a"], "id": "{lang"}, 5, "id", "brace without its other half"),
        ({"id": "{name}"}, 4, "id", "uses {name}, but this entry has no name (add name"),
        ({"id": "{x}"}, 4, "id", "it can use {video.stem}"),
        ({"id": "{id}"}, 4, "id", "in a circle: id → id"),
        ({"id": "{name}", "name": "{id}"}, 4, "id", "in a circle: id → name → id"),
        ({"tags": {"x": "{video.stem}-{tag.x}"}}, 4, "tag.x", "in a circle"),
        ({"name": ["{id}"]}, 4, "name", "{id} is not filled in"),
        ({"tags": ["a"]}, 4, "tags", "must be a mapping, not a list"),
        ({"{x}": ["a"]}, 4, "{x}", "can't be the name of an axis"),
        ({"video.stem": ["a"]}, 4, "video.stem", "can't be the name of an axis"),
        ({"exclude": "x"}, 4, "exclude", "a list of mappings, not a single value"),
        ({"exclude": [{}]}, 4, "exclude", "a list of mappings, not an empty mapping"),
        ({"exclude": [{"vidoe": "a.mp4"}]}, 4, "exclude.vidoe", "no such axis (did you mean 'video'?)"),
        ({"exclude": [{"audio": "b.wav"}]}, 4, "exclude.audio", "not an axis of this matrix (the axes are video)"),
        ({"exclude": [{"video": ["a.mp4"]}]}, 4, "exclude.video", "a single value, not a list"),
        ({"exclude": [{"video": "a.mp4"}, {"video": "c.mp4"}]}, 4, "exclude", "leaves no combination"),
    ],
)  # fmt: skip
def test_each_fault_of_a_matrix(keys: dict[str, object], line: int, column: str, words: str) -> None:
    manifest = matrix(video=["a.mp4", "c.mp4"], audio="b.wav", **keys)
    ((found_line, found_column, text),) = said(manifest)
    assert (found_line, found_column) == (line, column)
    assert words in text


def test_a_faulty_key_makes_no_jobs_and_no_other_faults() -> None:
    keys: dict[str, object] = {"video": ["a.mp4"], "audio": "b.wav", "id": "{lang}", "output": "{tag.lang}.mp4"}
    manifest = matrix(**keys, tags={"lang": "{lang}"}, lang=["a", "a"], exclude=[{"video": "a.mp4", "lang": "a"}])
    assert [found[:2] for found in said(manifest)] == [(7, "lang")]
    assert manifest.specs == ()
    unused = matrix(video=["a.mp4"], audio="b.wav", lang=["de", "fr"], exclude=[{"lang": "de"}])
    assert [found[:2] for found in said(unused)] == [(4, "lang")]


def test_what_is_missing_is_said_once() -> None:
    assert said(matrix(lang=["a", "b"], id="{lang}")) == [
        (2, "video", "is missing (every job needs a video)"),
        (2, "audio", "is missing (every job needs an audio)"),
    ]
    manifest = matrix(video="https://youtu.be/abc", lang=["a", "b"], audio="{lang}.wav")
    assert [(line, column) for line, column, _ in said(manifest)] == [(2, "end_seconds")]


def test_faults_of_values_say_where_they_stand_and_for_which_combination() -> None:
    manifest = yaml(
        "matrix:\n  video:\n  - a.mp4\n  - b.avi\n  lang: [es, fr]\n  start: [0, x]\n"
        "  audio: v/{lang}.wav\n  start_seconds: '{start}'\n  generation_mode: fast\n  name: '{start}'\n"
    )
    assert [str(problem).split(" (")[0] for problem in manifest.problems] == [
        "-:4: video 'b.avi': .avi is not a kind of video that the vendor takes",
        "-:8 for start=x: start_seconds 'x': is not a number",
        "-:9: generation_mode 'fast': is not a generation mode",
    ]


def test_a_circle_through_a_stem_is_one_of_its_column() -> None:
    assert [found[:2] for found in said(matrix(video=["a.mp4"], audio="{audio.stem}.wav"))] == [(3, "audio")]


def test_an_exclude_that_matches_nothing_is_a_warning() -> None:
    manifest = matrix(
        video=["a.mp4"], audio="{lang}.wav", lang=["de", "fr"], exclude=[{"lang": "dee"}, {"lang": "fr"}]
    )
    (warning,) = manifest.problems
    assert (warning.severity, warning.value, warning.hint) == ("warning", "lang=dee", "did you mean 'de'?")
    assert len(manifest.specs) == 1


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.lists(st.dictionaries(st.integers(0, 3), st.integers(0, 3), min_size=1), max_size=5),
)
def test_excludes_leave_out_what_has_all_their_values(sizes: list[int], rules: list[dict[int, int]]) -> None:
    axes = {f"x{number}": [str(value) for value in range(size)] for number, size in enumerate(sizes)}
    rules = [rule for rule in rules if all(number < len(sizes) for number in rule)]
    written = [{f"x{number}": str(value) for number, value in rule.items()} for rule in rules]
    name = " ".join(f"{{{axis}}}" for axis in axes)
    found = {spec.name for spec in matrix(video="a.mp4", audio="b.wav", name=name, exclude=written, **axes).specs}
    wanted = {""}
    for values in axes.values():
        wanted = {f"{head} {value}".strip() for head in wanted for value in values}
    for rule in rules:
        wanted = {
            text for text in wanted if not all(text.split()[number] == str(value) for number, value in rule.items())
        }
    assert found == wanted


def test_too_much_is_refused_before_anything_is_built() -> None:
    began = time.process_time()
    many = [str(number) for number in range(1000)]
    bombs: list[dict[str, object]] = [
        {f"x{number}": many for number in range(5)},
        {f"x{number}": ["a", "b"] for number in range(40)},
        {
            "x": many,
            "y": many[:190],
            "tags": {"t0": "{x}{y}" * 50} | {f"t{n}": f"{{tag.t{n - 1}}}" * 9 for n in range(1, 30)},
        },
        {"x": many, "y": many[:190], "name": "{x}{y}" + "long" * 1000},
        {"x": many, "y": many[:190], "tags": {f"t{n}": "v" for n in range(100)}},
        {f"x{number}": ["a"] for number in range(60)},
    ]
    for bomb in bombs:
        name = {"audio": "".join(f"{{{key}}}" for key in bomb if key[0] in "xy") + ".wav"}
        manifest = matrix(**({"video": "a.mp4"} | name | bomb))
        assert manifest.specs == ()
        assert [word for word in ("at most", "more text") if word in manifest.problems[-1].message]
    assert time.process_time() - began < 5


def test_several_matrices_share_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchsync.manifest.document.MAX_ENTRIES", 4)
    entry = "- {video: [a.mp4, b.mp4], audio: b.wav}\n"
    assert len(yaml("matrix:\n" + entry * 2).specs) == 4
    manifest = yaml("matrix:\n" + entry * 3)
    assert (len(manifest.specs), manifest.problems[0].place.line) == (4, 4)


def test_many_excludes_take_no_longer_than_they_should() -> None:
    values = [str(number) for number in range(400)]
    exclude = [{"x": value, "y": other} for value in values[:80] for other in values[:100]]
    began = time.process_time()
    manifest = matrix(video="a.mp4", audio="{x}-{y}.wav", x=values, y=values[:100], exclude=exclude)
    assert len(manifest.specs) == 32_000
    assert time.process_time() - began < 20
