"""CSV and TSV as spreadsheets write them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.errors import ManifestError
from batchsync.manifest import Manifest, load
from batchsync.manifest.values import TYPOGRAPHIC_QUOTES

TEXT = "id,name,video,audio,start_seconds\nä1,Größe,a.mp4,b.wav,1.5\n"


def read(data: bytes | str) -> Manifest:
    return load("-", stdin=io.BytesIO(data.encode() if isinstance(data, str) else data))


def faults(manifest: Manifest) -> list[tuple[int | None, str | None, str | None]]:
    return [(p.place.line, p.column, p.value) for p in manifest.problems if p.severity == "error"]


def test_results_that_jobs_wrote_are_passed_over_and_said_to_be() -> None:
    manifest = read('id,state,video,audio,end_seconds,credits\na,complete,v.mp4,\'=b.wav,"1,5",60\n')
    assert manifest.columns == ("id", "video", "audio", "end_seconds")
    (spec,) = manifest.specs
    assert spec.row == {"id": "a", "video": "v.mp4", "audio": "=b.wav", "end_seconds": "1,5"}
    assert spec.end_seconds == 1.5
    (warning,) = manifest.problems
    assert (warning.severity, warning.value) == ("warning", "state, credits")
    assert faults(read("video,audio,state,duration\nv.mp4,b.wav,x,1\n")) == [(1, "duration", None)]
    (plain,) = read("video,audio\nv.mp4,'=b.wav\n").specs
    assert plain.row["audio"] == "'=b.wav", "only such a file has cells that were guarded"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xff\xfe" + TEXT.encode("utf-16-le"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("cp1252"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", ";").replace("1.5", "1,5").encode("cp1252"),
        TEXT.replace(",", "\t").encode("utf-16"),
        ("sep=;\r\n" + TEXT.replace(",", ";").replace("\n", "\r\n")).encode(),
        ("sep=|\n" + TEXT.replace(",", "|")).encode(),
        TEXT.replace(",", " , ").encode(),
        TEXT.replace(",", '" , "').replace("id", '"id', 1).replace("ds\n", 'ds"\n').replace("ä1", '"ä1').encode()[:-1]
        + b'"\n',
        ("\n\n" + TEXT.replace("\n", "\n\n,,,,\n")).encode(),
        TEXT.strip().encode(),
    ],
)
def test_every_way_a_spreadsheet_writes_the_same_table(data: bytes) -> None:
    manifest = read(data)
    assert manifest.problems == ()
    assert manifest.columns == ("id", "name", "video", "audio", "start_seconds")
    (spec,) = manifest.specs
    assert (spec.id, spec.name, spec.start_seconds) == ("ä1", "Größe", 1.5)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("video,audio\na.mp4,b.wav\nc.mp4,d.wav\n", [2, 3]),
        ("sep=,\r\nvideo,audio\r\na.mp4,b.wav\r\n\r\nc.mp4,d.wav\r\n", [3, 5]),
        ('\n\nvideo,audio,tag.note\n\na.mp4,b.wav,"one\ntwo\n"\nc.mp4,d.wav,\n', [5, 8]),
    ],
)
def test_each_row_knows_the_line_it_begins_on(text: str, lines: list[int]) -> None:
    assert [spec.place.line for spec in read(text).specs] == lines


def test_the_row_is_kept_as_the_user_wrote_it() -> None:
    (spec,) = read("tag.lang;end_seconds;video;audio;tag.x\nno;1,50;a.mp4;b.wav;\n").specs
    assert spec.row == {"tag.lang": "no", "end_seconds": "1,50", "video": "a.mp4", "audio": "b.wav"}
    assert spec.tags == {"lang": "no"}
    assert spec.end_seconds == 1.5


def test_paths_start_at_the_manifests_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub" / "jobs.csv"
    file.write_text("video,audio\nmedia/a.mp4,/voices/b.wav\n")
    manifest = load(file)
    assert (manifest.path, manifest.base, manifest.format) == (str(file), tmp_path / "sub", "csv")
    assert manifest.specs[0].video.value == str(tmp_path / "sub" / "media" / "a.mp4")
    assert manifest.specs[0].audio.value == "/voices/b.wav"
    assert manifest.specs[0].place.file == str(file)


def test_standard_input_starts_at_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = read("video,audio\na.mp4,b.wav\n")
    assert (manifest.path, manifest.base) == ("-", tmp_path)
    assert manifest.specs[0].video.value == str(tmp_path / "a.mp4")


def test_unknown_columns_are_faults_with_a_suggestion() -> None:
    manifest = read("id,vidoe,audio,lang,start,tags.lang,End_Second\n1,a.mp4,b.wav,de,1,x,2\n")
    by_column = {p.column: p for p in manifest.problems}
    assert set(by_column) == {"vidoe", "video", "lang", "start", "tags.lang", "End_Second"}
    assert by_column["vidoe"].hint == "did you mean 'video'?"
    assert by_column["start"].hint == "did you mean 'start_seconds'?"
    assert by_column["End_Second"].hint == "did you mean 'end_seconds'?"
    assert by_column["tags.lang"].hint == "did you mean 'tag.lang'?"
    assert "tag.lang" in (by_column["lang"].hint or "")
    assert {p.place.line for p in manifest.problems} == {1}
    assert manifest.specs == ()


def test_headers_in_any_case_and_with_spaces_or_dashes() -> None:
    manifest = read("ID,VIDEO,Audio,End Seconds,generation-mode,Tag.Lang,MAX_FPS  limit\nA,a.mp4,b.wav,2,pro,De,24\n")
    assert manifest.problems == ()
    assert manifest.columns == (
        "id", "video", "audio", "end_seconds", "generation_mode", "tag.Lang", "max_fps_limit",
    )  # fmt: skip
    assert manifest.specs[0].tags == {"Lang": "De"}
    twice = read("video,Video,audio\na.mp4,b.mp4,b.wav\n")
    assert faults(twice) == [(1, "video", None)]


@pytest.mark.parametrize("text", ["id|video|audio\n1|a.mp4|b.wav\n", '"video,audio"\n"a.mp4,b.wav"\n'])
def test_a_header_in_one_cell_is_one_fault(text: str) -> None:
    (problem,) = read(text).problems
    assert (problem.place.line, problem.value) == (1, text.split("\n")[0].strip('"'))
    assert "sep=|" in (problem.hint or "")


def test_titles_above_the_header_are_warned_about() -> None:
    manifest = read("Table 1\n\nSpring, 2026;;\nvideo;audio;end_seconds\na.mp4;b.wav;1,5\n")
    assert [(p.severity, p.place.line, p.value) for p in manifest.problems] == [
        ("warning", 1, "Table 1"),
        ("warning", 3, "Spring, 2026"),
    ]
    assert [(spec.place.line, spec.end_seconds) for spec in manifest.specs] == [(5, 1.5)]
    assert faults(read("a.mp4,b.wav\nc.mp4,d.wav\n"))[0][:2] == (1, "a.mp4")


@pytest.mark.parametrize("mark", ["\u00a0", "\u200b", "\ufeff", "\u202a", " \u200b\u00a0 ", "\u2007"])
def test_what_nobody_sees_at_the_ends_of_a_value_is_not_of_it(mark: str) -> None:
    cells = [f"{mark}{cell}{mark}" for cell in ("id", "video", "audio", "generation_mode", "tag.x", "end_seconds")]
    values = [f"{mark}{cell}{mark}" for cell in ("a1", "a.mp4", "b.wav", "pro", "es", "1.5")]
    manifest = read(",".join(cells) + "\n" + ",".join(values) + f"\n{mark},,,,,\n")
    assert manifest.problems == ()
    (spec,) = manifest.specs
    assert spec.row == {
        "id": "a1", "video": "a.mp4", "audio": "b.wav", "generation_mode": "pro", "tag.x": "es", "end_seconds": "1.5",
    }  # fmt: skip


def test_after_a_cell_of_several_lines_the_lines_are_still_right() -> None:
    manifest = read('video,audio,tag.note,end_seconds\r\na.mp4,b.wav,"one\r\ntwo",x\r\nc.mp4,d.wav,"",y\r\n')
    assert faults(manifest) == [(2, "end_seconds", "x"), (4, "end_seconds", "y")]


def test_a_hashtag_is_no_error_of_a_spreadsheet() -> None:
    assert read("video,audio,tag.x\na.mp4,b.wav,#NULL\n").specs[0].tags == {"x": "#NULL"}


def test_a_missing_column_is_said_once_and_the_rows_are_checked_all_the_same() -> None:
    manifest = read("video,end_seconds\na.mp4,1\na.mp4,x\n")
    assert faults(manifest) == [(1, "audio", None), (3, "end_seconds", "x")]


def test_a_column_twice_and_a_cell_in_a_column_without_a_name() -> None:
    manifest = read("video,audio,video,\na.mp4,b.wav,c.mp4,\na.mp4,b.wav,,stray\n")
    assert faults(manifest) == [(1, "video", None), (3, None, "stray")]


def test_short_rows_are_filled_with_blanks_and_long_ones_are_faults() -> None:
    manifest = read("video,audio,name,id\na.mp4,b.wav\na.mp4,b.wav,x,y,,\na.mp4,b.wav,Hello, world,y\n")
    assert len(manifest.specs) == 2
    assert faults(manifest) == [(4, None, None)]


def test_a_quote_that_is_not_closed_is_found_where_it_opens() -> None:
    head = 'video,audio,name\na.mp4,b.wav,x\na.mp4,b.wav,"open\n'
    for tail in ("", "c.mp4,d.wav,y\n", "c.mp4,d.wav,y\n" * 20_000):
        manifest = read(head + tail)
        assert faults(manifest) == [(3, None, None)]
        assert "quote" in manifest.problems[0].message
        assert len(manifest.specs) == 1


def test_decimal_commas_only_where_they_can_t_be_separators() -> None:
    assert read("video;audio;end_seconds\na.mp4;b.wav;2,5\n").specs[0].end_seconds == 2.5
    (problem,) = read('video,audio,end_seconds\na.mp4,b.wav,"2,5"\n').problems
    assert (problem.column, problem.value, problem.hint) == ("end_seconds", "2,5", "write 2.5")


def test_width_and_height_are_warned_about_once() -> None:
    manifest = read("video,audio,width,height\na.mp4,b.wav,,\na.mp4,b.wav,320,180\nc.mp4,b.wav,320,180\n")
    assert len(manifest.specs) == 3
    (warning,) = manifest.problems
    assert (warning.severity, warning.place.line, warning.column) == ("warning", 3, "width")


def test_a_table_without_rows_has_no_jobs() -> None:
    manifest = read("video,audio\n\n")
    assert manifest.specs == ()
    assert [p.message for p in manifest.problems] == ["has no jobs"]


def test_too_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchsync.manifest.table.MAX_ENTRIES", 3)
    manifest = read("video,audio\n" + "a.mp4,b.wav\n" * 3)
    assert (len(manifest.specs), manifest.problems) == (3, ())
    manifest = read("video,audio\n" + "a.mp4,b.wav\n" * 5)
    assert len(manifest.specs) == 3
    assert faults(manifest) == [(5, None, None)]


def test_what_can_t_be_read_at_all_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchsync.manifest.text.MAX_BYTES", 1000)
    cases: list[tuple[str, bytes, str]] = [
        ("empty.csv", b"", "is empty"),
        ("blank.csv", b" \r\n\t\n", "is empty"),
        ("marked.csv", b"\xef\xbb\xbf", "is empty"),
        ("junk.csv", bytes(range(256)), "not a text"),
        ("film.csv", b"\x00\x00\x00\x1cftypisom\x00\x00\x02\x00" * 9, "text"),
        ("book.csv", b"PK\x03\x04rest", "workbook"),
        ("latin.yaml", "- video: größe.mp4".encode("latin-1"), "UTF-8"),
        ("undefined.csv", b"video,audio\na.mp4,b\x81.wav\n", "CP1252"),
        ("large.csv", b"x" * 1001, "larger"),
    ]
    for name, data, said in cases:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ManifestError, match=said) as caught:
            load(tmp_path / name)
        assert caught.value.problems[0].place.file == str(tmp_path / name)
    assert caught.value.exit_code == 2
    with pytest.raises(ManifestError, match="no such file"):
        load(tmp_path / "nowhere.csv")
    with pytest.raises(ManifestError, match="folder"):
        load(tmp_path)


def test_undecodable_bytes_are_placed() -> None:
    with pytest.raises(ManifestError) as caught:
        read(b"video,audio\na.mp4,b.wav\na.mp4,\x81.wav\n")
    assert caught.value.problems[0].place.line == 3


cells = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf"), exclude_characters=TYPOGRAPHIC_QUOTES + "#"
    ),
    max_size=20,
)


@given(st.lists(st.fixed_dictionaries({"id": cells, "name": cells, "tag.x": cells}), min_size=1, max_size=8))
def test_whatever_python_writes_as_csv_comes_back(rows: list[dict[str, str]]) -> None:
    for dialect in (csv.excel, csv.excel_tab):
        out = io.StringIO()
        writer = csv.DictWriter(out, ["video", "id", "audio", "name", "tag.x"], dialect=dialect)
        writer.writeheader()
        writer.writerows({"video": "v.mp4", "audio": "a.wav", **row} for row in rows)
        manifest = read(out.getvalue())
        wanted = [
            {k: v.strip() for k, v in {"video": "v.mp4", "audio": "a.wav", **row}.items() if v.strip()}
            for row in rows
            if row["id"].strip() not in (".", "..") and row["id"].strip().isprintable()
        ]
        assert [dict(spec.row) for spec in manifest.specs] == wanted


@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_break_it(data: bytes) -> None:
    try:
        manifest = read(data)
    except ManifestError:
        return
    assert manifest.specs or manifest.problems
