"""Ids, tokens and outputs: safe whatever an entry holds."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.model.job import RESERVED_NAMES, JobSpec, Source, SourceKind, token_for
from batchsync.model.problem import Place
from batchsync.planning.naming import auto_id, free_token, output_path, stem


def spec(video: str = "/m/a.mp4", kind: SourceKind = SourceKind.FILE, **values: object) -> JobSpec:
    audio = Source(SourceKind.FILE, "/v/voice es.wav")
    return JobSpec(Place("jobs.csv", 2), Source(kind, video), audio, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (SourceKind.FILE, "/m/in.tro.mp4", "in.tro"),
        (SourceKind.ASSET, "api-assets/id/12.mp4", "12"),
        (SourceKind.URL, "https://x.example/a/b%20c.mp4?v=no", "b c"),
        (SourceKind.YOUTUBE, "https://www.youtube.com/watch?v=abc&t=1", "abc"),
        (SourceKind.YOUTUBE, "https://youtu.be/a-c?t=1", "a-c"),
        (SourceKind.YOUTUBE, "https://youtu.be", "youtube"),
        (SourceKind.LIBRARY, "https://magichour.ai/my-library?videoId=cm1", "cm1"),
        (SourceKind.LIBRARY, "https://magichour.ai/my-library", "my-library"),
    ],
)
def test_stems(kind: SourceKind, value: str, wanted: str) -> None:
    assert stem(Source(kind, value)) == wanted


@pytest.mark.parametrize(
    ("template", "job_id", "wanted"),
    [
        (None, "a", "a.mp4"),
        (None, "v1.2", "v1.2.mp4"),
        (None, "a/b", "a-b.mp4"),
        (None, "../../etc/passwd", "-..-etc-passwd.mp4"),
        (None, "a\\b:c", "a-b-c.mp4"),
        (None, "con", "con_.mp4"),
        (None, "NUL.x", "NUL_.x.mp4"),
        (None, "...", "-.mp4"),
        (None, " .hidden. ", "hidden.mp4"),
        ("{id}.mov", "a", "a.mov"),
        ("x/{id}", "a", "x/a.mp4"),
        ("{tag.lang}/{video.stem}-{audio.stem}-{generation_mode}", "a", "de-x/a-voice es-lite.mp4"),
        ("{name}/{id}", "a", "My - name/a.mp4"),
        ("co{tag.n}", "a", "con_.mp4"),
        ("a.b/c", "a", "a.b/c.mp4"),
        (".x", "a", ".x.mp4"),
    ],
)
def test_outputs(template: str | None, job_id: str, wanted: str) -> None:
    entry = spec(output=template, name="My / name", tags={"lang": "de/x", "n": "n"})
    assert output_path(entry, job_id) == wanted


@given(
    st.text(min_size=1, max_size=300),
    st.text(max_size=300),
    st.sampled_from([None, "{tag.x}", "{tag.x}/{id}", "a{tag.x}.{id}"]),
)
def test_an_output_never_escapes(job_id: str, tag: str, template: str | None) -> None:
    path = output_path(spec(output=template, tags={"x": tag}), job_id)
    assert path.count("/") == (template or "").count("/")
    assert not PurePosixPath(path).is_absolute()
    for part in path.split("/"):
        assert 0 < len(part.encode()) <= 200
        assert part.strip(". ")
        assert part[-1] not in ". "
        assert part.isprintable()
        assert not set(part) & set("\\:")
        assert part.split(".")[0].strip().lower() not in RESERVED_NAMES
    assert path.endswith(".mp4") or template == "a{tag.x}.{id}"


@given(st.text("abcé", min_size=190, max_size=260), st.text("abcé", min_size=190, max_size=260))
def test_long_ids_keep_their_own_outputs(first: str, second: str) -> None:
    assert (output_path(spec(), first) == output_path(spec(), second)) == (first == second)


@given(st.text(min_size=1, max_size=100))
def test_ids_made_here_are_plain(name: str) -> None:
    made = auto_id(spec(f"/m/{name}.mp4"), "abc234")
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,59}", made)
    assert made.endswith("-abc234")


def test_a_long_output_is_cut_within_its_bytes_and_keeps_its_suffix() -> None:
    for job_id in ("é" * 200, "x" * 200, "日" * 100 + ".v2"):
        path = output_path(spec(), job_id)
        assert 190 <= len(path.encode()) <= 200
        assert path.endswith(".mp4")


def test_ids_made_here_keep_what_can_be_read() -> None:
    assert auto_id(spec("/m/Größe übung.mp4"), "abc234") == "Große-ubung-abc234".replace("ß", "")
    assert auto_id(spec("/m/日本.mp4"), "abc234") == "job-abc234"


def test_tokens_are_as_long_as_they_must_be() -> None:
    taken = {token_for("k"), token_for("k", 7)}
    assert free_token("k", taken.__contains__) == token_for("k", 8)
    assert free_token("k", set[str]().__contains__) == token_for("k", 6)
