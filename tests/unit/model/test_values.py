"""Small values with promises: how long to wait, what a job asks for, its token, and where a fault stands."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.model.backoff import FIRST_SECONDS, LONGEST_RETRY_AFTER, LONGEST_SECONDS, delay
from batchsync.model.job import JobSpec, MediaFacts, Mode, Source, SourceKind, ask_digest, token_for
from batchsync.model.problem import Place, Problem

rolls = st.floats(0, 1, exclude_max=True)
tries = st.integers(-5, 10**9)

# --- backoff ---


@given(tries, rolls)
def test_a_wait_is_never_shorter_than_half_a_second_nor_longer_than_a_minute(failures: int, roll: float) -> None:
    assert FIRST_SECONDS / 2 <= delay(failures, roll) <= LONGEST_SECONDS


@given(st.integers(1, 30), rolls)
def test_waits_grow_with_failures(failures: int, roll: float) -> None:
    assert delay(failures, roll) <= delay(failures + 1, roll)
    assert delay(failures, roll) >= min(LONGEST_SECONDS, 2 ** (failures - 1)) / 2


@given(tries, rolls, rolls)
def test_jitter_spreads_a_wait_over_its_upper_half(failures: int, one: float, other: float) -> None:
    assert delay(failures, one) <= 2 * delay(failures, other)
    assert delay(3, 0.0) == 2.0
    assert delay(3, 0.5) == 3.0


@given(tries, rolls, st.floats(-1e12, 1e12))
def test_the_vendors_own_wish_is_the_least_wait_but_never_an_absurd_one(
    failures: int, roll: float, wish: float
) -> None:
    wait = delay(failures, roll, wish)
    assert wait >= min(wish, LONGEST_RETRY_AFTER)
    assert wait >= delay(failures, roll)
    assert wait <= max(LONGEST_SECONDS, LONGEST_RETRY_AFTER)


@pytest.mark.parametrize("wish", [float("inf"), 1e300])
def test_a_wish_for_ever_is_a_quarter_of_an_hour(wish: float) -> None:
    assert delay(1, 0.0, wish) == 900.0


# --- what a job asks for ---


SPEC = JobSpec(
    Place("jobs.csv", 2),
    Source(SourceKind.FILE, "/m/a.mp4"),
    Source(SourceKind.URL, "https://x.example/a.wav"),
    id="a",
    end_seconds=2.0,
)
VIDEO = MediaFacts("/m/a.mp4", 10, 1, "d" * 64, 10.0, 25.0)


def ask(spec: JobSpec = SPEC, end: float = 2.0, video: MediaFacts | None = VIDEO) -> str:
    return ask_digest(spec, end, video, None)


@pytest.mark.parametrize(
    "other",
    [
        {"id": "b"},
        {"name": "Spring"},
        {"tags": {"lang": "es"}},
        {"output": "x/y.mp4"},
        {"row": {"id": "z"}},
        {"place": Place("other.csv", 9)},
        {"video": Source(SourceKind.FILE, "/moved/b.mp4")},
        {"start_seconds": 0},
    ],
)
def test_names_tags_outputs_and_places_change_nothing_in_what_is_asked_for(other: dict[str, Any]) -> None:
    assert ask(replace(SPEC, **other)) == ask()


@pytest.mark.parametrize(
    "other",
    [
        {"audio": Source(SourceKind.URL, "https://x.example/b.wav")},
        {"audio": Source(SourceKind.ASSET, "https://x.example/a.wav")},
        {"start_seconds": 0.5},
        {"max_fps_limit": 30.0},
        {"generation_mode": Mode.PRO},
    ],
)
def test_another_input_or_option_is_another_ask(other: dict[str, Any]) -> None:
    assert ask(replace(SPEC, **other)) != ask()


def test_another_content_or_end_is_another_ask() -> None:
    assert ask(video=replace(VIDEO, digest="e" * 64)) != ask()
    assert ask(end=2.5) != ask()
    assert ask(end=2) == ask(video=replace(VIDEO, path="/z.mp4", mtime_ns=7, fps=60.0)) == ask()


def test_a_file_is_known_by_its_content_and_never_mistaken_for_a_url() -> None:
    by_name = replace(SPEC, video=Source(SourceKind.URL, VIDEO.digest))
    assert ask(by_name, video=None) != ask()


def test_video_and_audio_are_not_the_same_input() -> None:
    turned = replace(SPEC, video=SPEC.audio, audio=SPEC.video)
    assert ask_digest(turned, 2.0, None, VIDEO) != ask()


def test_an_ask_stays_the_same_in_every_version() -> None:
    """Ledgers are full of these: another digest would pay for every job again."""
    assert ask() == "2d7e65fd17957167b7cfd6314b1697e50ed6741ca4828e07b89bfec829d10565"


# --- tokens ---


@given(st.text(), st.integers(6, 52))
def test_a_token_is_short_plain_and_the_same_for_the_same_key(key: str, length: int) -> None:
    token = token_for(key, length)
    assert len(token) == length
    assert set(token) <= set(string.ascii_lowercase + "234567")
    assert token_for(key, length) == token
    assert token.startswith(token_for(key))


def test_tokens_of_many_jobs_seldom_meet() -> None:
    assert len({token_for(f"id:job-{n}") for n in range(5000)}) > 4980


# --- faults ---


def test_a_fault_says_file_line_column_value_and_what_would_be_right() -> None:
    problem = Problem(Place("jobs.csv", 7), "is no number", column="end_seconds", value="two", hint="write 2")
    assert str(problem) == "jobs.csv:7: end_seconds 'two': is no number (write 2)"
    assert str(Problem(Place("jobs.yaml", entry=3), "has no video")) == "jobs.yaml: entry 3: has no video"
    assert str(Problem(Place("jobs.yaml"), "is empty")) == "jobs.yaml: is empty"
