"""Which job an entry is, what it asks for, what it costs, and what is wrong with it."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.model.job import JobSpec, KnownJob, MediaFacts, Mode, PlannedJob, Source, SourceKind, token_for
from batchsync.model.problem import Place, Problem
from batchsync.model.states import State
from batchsync.planning import Plan, Uploads, plan

HERE, ELSEWHERE = "/w/jobs.csv", "/w/other.csv"


def media(
    path: str, digest: str | None = None, duration: float | None = 10.0, fps: float | None = 25.0
) -> MediaFacts:
    return MediaFacts(path, len(path), 1, digest or f"digest of {path}", duration, fps)


def spec(
    line: int, video: str = "/m/a.mp4", audio: str = "/m/b.wav", end: float | None = 2.0, **more: Any
) -> JobSpec:
    first, second = (Source(SourceKind.URL if "://" in x else SourceKind.FILE, x) for x in (video, audio))
    return JobSpec(Place("jobs.csv", line), first, second, end_seconds=end, **more)


class Ledger:
    """The known jobs of a ledger, as a list."""

    def __init__(self, jobs: Iterable[KnownJob] = ()) -> None:
        self.jobs = list(jobs)

    def by_id(self, ids: Collection[str]) -> Mapping[str, KnownJob]:
        return {job.id: job for job in self.jobs if job.id in ids}

    def by_ask(self, asks: Collection[str]) -> Mapping[str, Sequence[KnownJob]]:
        return {ask: [job for job in self.jobs if job.ask == ask] for ask in asks}

    def tokens(self) -> AbstractSet[str]:
        return {job.token for job in self.jobs}

    def outputs(self, paths: Collection[str]) -> Mapping[str, str]:
        return {job.output: job.id for job in self.jobs if job.output in paths}


def ran(found: Plan, state: State = State.COMPLETE, net: int = 60, manifest: str = HERE) -> list[KnownJob]:
    waiting = state in (State.PLANNED, State.UPLOADED)
    return [
        KnownJob(job.id, job.auto_id, job.ask, job.token, state, manifest, job.output, 0 if waiting else net, waiting)
        for job in found.jobs
    ]


def make(specs: Sequence[JobSpec], known: Iterable[KnownJob] = (), facts: Iterable[MediaFacts] = ()) -> Plan:
    files = {s.value: media(s.value) for x in specs for s in (x.video, x.audio) if s.is_local}
    return plan(specs, files | {f.path: f for f in facts}, {}, Ledger(known), manifest=HERE)


def errors(found: Plan) -> list[Problem]:
    return [p for p in found.problems if p.severity == "error"]


def warnings(found: Plan) -> list[Problem]:
    return [p for p in found.problems if p.severity == "warning"]


def ids(jobs: Iterable[PlannedJob]) -> list[str]:
    return [job.id for job in jobs]


# --- identity ---


def test_jobs_without_ids_are_known_by_what_they_ask_for() -> None:
    specs = [spec(n, f"/m/{n}.mp4") for n in range(2, 12)]
    first = make(specs)
    assert len({job.id for job in first.jobs}) == len({job.token for job in first.jobs}) == 10
    assert all(job.auto_id and job.id == f"{job.spec.place.line}-{token_for('ask:' + job.ask)}" for job in first.jobs)
    shuffled = [replace(x, place=Place("jobs.csv", 50 - n)) for n, x in enumerate(random.Random(1).sample(specs, 10))]
    again = make([*shuffled, spec(99, "/m/new.mp4")], ran(first))
    assert {job.id for job in again.known} == {job.id for job in first.jobs}
    assert [job.spec.place.line for job in again.new] == [99]
    assert again.complete == 10
    assert again.problems == ()


def test_a_moved_or_renamed_file_is_the_same_ask() -> None:
    first = make([spec(2)], facts=[media("/m/a.mp4", "same")])
    again = make(
        [spec(2, "/moved/z.mp4", name="New name", tags={"x": "y"})], ran(first), [media("/moved/z.mp4", "same")]
    )
    assert ids(again.known) == ids(first.jobs)
    assert again.problems == ()
    assert ids(make([spec(2)], ran(first), [media("/m/a.mp4", "edited")]).new) != ids(first.jobs)


def test_identical_rows_without_ids_are_one_job_with_a_warning_that_names_them() -> None:
    found = make([spec(2), spec(3, "/m/c.mp4"), spec(4), spec(7)])
    assert [job.spec.place.line for job in found.jobs] == [2, 3]
    (warning,) = found.problems
    assert (warning.severity, warning.place.line) == ("warning", 2)
    assert "line 4, 7" in warning.message


def test_an_id_again_with_the_same_contents_is_one_job() -> None:
    found = make(
        [spec(2, id="x"), spec(5, "/copy/a.mp4", id="x")], facts=[media("/copy/a.mp4", "digest of /m/a.mp4")]
    )
    assert ids(found.jobs) == ["x"]
    (warning,) = found.problems
    assert (warning.severity, warning.value) == ("warning", "x")
    assert "line 5" in warning.message


@pytest.mark.parametrize(
    "change",
    [
        {"end": 3.0},
        {"video": "/m/z.mp4"},
        {"start_seconds": 1.0},
        {"generation_mode": Mode.PRO},
        {"max_fps_limit": 12.0},
    ],
)
def test_an_id_again_with_other_contents_is_a_fault_that_names_both(change: dict[str, Any]) -> None:
    found = make([spec(2, id="x"), spec(5, id="x", **change)])
    (fault,) = found.problems
    assert (fault.severity, fault.place.line, fault.column, fault.value) == ("error", 5, "id", "x")
    assert "jobs.csv:2" in fault.message


def test_one_job_can_t_have_two_outputs() -> None:
    found = make([spec(2, output="a.mp4"), spec(3, output="b.mp4")])
    (fault,) = errors(found)
    assert (fault.place.line, fault.column) == (3, "output")


def test_an_id_known_with_the_same_contents_is_the_same_job_from_whatever_manifest() -> None:
    old = ran(make([spec(2, id="x")]), manifest=ELSEWHERE)
    found = make([spec(9, id="x")], old)
    assert (ids(found.known), found.new, found.changed, found.problems) == (["x"], (), (), ())
    assert found.jobs[0].token == old[0].token


def test_an_id_known_with_other_contents() -> None:
    first = make([spec(2, id="x", output="a.mp4")])
    now = [spec(2, id="x", end=3.0, output="b.mp4")]
    for state in (State.PLANNED, State.UPLOADED):
        found = make(now, ran(first, state))
        assert (ids(found.changed), found.known, found.problems) == (["x"], (), ())
        assert (found.jobs[0].output, found.jobs[0].token) == ("b.mp4", first.jobs[0].token)
    for state, manifest in (
        (State.COMPLETE, HERE),
        (State.FAILED, HERE),
        (State.HELD, HERE),
        (State.PLANNED, ELSEWHERE),
    ):
        found = make(now, ran(first, state, manifest=manifest))
        (fault,) = found.problems
        assert (fault.severity, fault.column, fault.value) == ("error", "id", "x")
        assert manifest in fault.message if manifest == ELSEWHERE else "this manifest" in fault.message
        assert all(way in (fault.hint or "") for way in ("another id", "--ledger", "put the entry back"))
        assert found.jobs == ()


def test_the_manifest_is_where_the_entries_stand_if_not_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    old = ran(make([spec(2, id="x")]), State.PLANNED, manifest=f"{tmp_path}/jobs.csv")
    facts = {path: media(path) for path in ("/m/a.mp4", "/m/b.wav")}
    assert ids(plan([spec(2, id="x", end=3.0)], facts, {}, Ledger(old)).changed) == ["x"]


def test_a_job_s_own_id_written_into_the_manifest_is_the_same_job() -> None:
    first = make([spec(2)])
    found = make([spec(2, id=first.jobs[0].id)], ran(first))
    assert ids(found.known) == ids(first.jobs)
    assert found.problems == ()
    both = make([spec(2), spec(3, id=first.jobs[0].id)], ran(first))
    assert ids(both.jobs) == ids(first.jobs)
    assert [p.severity for p in both.problems] == ["warning"]


def test_tokens_and_ids_made_here_are_nobody_elses() -> None:
    plain = make([spec(2)]).jobs[0]
    other = KnownJob("other", False, "x", plain.token, State.COMPLETE, HERE, "other.mp4", 0, False)
    assert make([spec(2)], [other]).jobs[0].token == token_for("ask:" + plain.ask, 7)
    taken = KnownJob(plain.id, False, "x", "zzzzzz", State.COMPLETE, HERE, "other.mp4", 0, False)
    found = make([spec(2)], [taken])
    assert (found.jobs[0].token, found.new) == (token_for("ask:" + plain.ask, 7), found.jobs)
    beside = make([spec(2), spec(3, "/m/z.mp4", id=plain.id)])
    assert len(set(ids(beside.jobs))) == 2


# --- paid again ---


def test_the_same_work_under_two_ids_is_two_jobs_with_a_warning_of_the_cost() -> None:
    found = make([spec(2, id="x"), spec(3, id="y"), spec(4)])
    assert len(found.jobs) == 3
    assert [(p.severity, p.place.line) for p in found.problems] == [("warning", 3), ("warning", 4)]
    assert all("60 credits again" in p.message and "'x'" in p.message for p in found.problems)


def test_work_done_in_an_earlier_run_is_warned_about() -> None:
    old = ran(make([spec(2, id="x")]), net=55)
    (warning,) = make([spec(2, id="y")], old).problems
    assert warning.severity == "warning"
    assert all(said in warning.message for said in ("'x'", "complete", "55 credits so far", "60 credits again"))
    (unmarked,) = make([spec(2)], old).problems
    assert "'x'" in unmarked.message
    assert make([spec(2, id="y")], ran(make([spec(2, id="x")]), State.FAILED, net=0)).problems == ()
    assert make([spec(2, id="x")], old).problems == ()


def test_many_equal_warnings_are_summed_up() -> None:
    found = make([spec(n, id=f"j{n}") for n in range(2, 102)])
    assert len(found.jobs) == 100
    assert len(found.problems) == 6
    assert "94 more" in found.problems[-1].message
    assert "5,940 credits" in found.problems[-1].message


# --- ends ---


def test_the_end_is_the_shorter_file_s() -> None:
    for video, audio, end in ((10.0, 2.5939, 2.593), (2.0, 9.0, 2.0), (2.4999999, 9.0, 2.5)):
        found = make([spec(2, end=None)], facts=[media("/m/a.mp4", None, video), media("/m/b.wav", None, audio)])
        assert found.problems == ()
        assert found.jobs[0].end_seconds == end


@pytest.mark.parametrize(
    ("video", "audio", "start", "said"),
    [
        (None, 5.0, 0.0, "length of the video"),
        (5.0, None, 0.0, "length of the audio"),
        (0.05, 5.0, 0.0, "at least 0.1"),
        (5.0, 3.0, 3.0, "not after start_seconds"),
    ],
)
def test_an_end_that_can_t_be_found(video: float | None, audio: float | None, start: float, said: str) -> None:
    entry = spec(4, end=None, start_seconds=start)
    found = make([entry], facts=[media("/m/a.mp4", None, video), media("/m/b.wav", None, audio)])
    (fault,) = found.problems
    assert (fault.severity, fault.place.line, fault.column) == ("error", 4, "end_seconds")
    assert said in fault.message
    assert ("batchsync[probe]" in (fault.hint or "")) == (None in (video, audio))
    assert found.jobs == ()


def ending(end: float, **more: Any) -> Plan:
    facts = [media("/m/a.mp4", None, 5.0), media("/m/b.wav", None, 3.0)]
    return make([spec(2, end=end, row={"end_seconds": "as written"}, **more)], facts=facts)


def test_a_clip_that_its_audio_is_too_short_for_is_a_warning() -> None:
    assert ending(3.1).problems == ending(5.0, start_seconds=2.0).problems == ()
    found = ending(3.2)
    assert [(p.severity, p.column, p.value) for p in found.problems] == [("warning", "end_seconds", "as written")]
    assert "a clip of 3.2 s, but the audio is only 3.000 s" in found.problems[0].message
    assert len(found.jobs) == 1


def test_a_clip_beyond_the_end_of_its_video_is_a_fault() -> None:
    assert errors(ending(5.1)) == []
    found = ending(5.2)
    assert [(p.severity, p.column, p.value) for p in found.problems] == [("error", "end_seconds", "as written")]
    assert "beyond the end of the video, which is 5.000 s" in found.problems[0].message
    assert found.problems[0].hint == "at most 5"
    assert found.jobs == ()


# --- files ---


def test_files_that_can_t_be_used_are_a_fault_for_each_entry_and_column() -> None:
    rows = {"video": "a.mp4", "assets.audio_file_path": "b.wav"}
    specs = [spec(2, row=rows), spec(3, row={"video": "/m/a.mp4"}), spec(4, "https://x/a.mp4")]
    wrong = {"/m/a.mp4": "there is no such file", "/m/b.wav": "is an empty file"}
    found = plan(specs, {}, wrong, Ledger(), manifest=HERE)
    assert [(p.place.line, p.column, p.value, p.message) for p in found.problems] == [
        (2, "video", "a.mp4", "there is no such file"),
        (2, "assets.audio_file_path", "b.wav", "is an empty file"),
        (3, "video", "/m/a.mp4", "there is no such file"),
        (3, "audio", "/m/b.wav", "is an empty file"),
        (4, "audio", "/m/b.wav", "is an empty file"),
    ]
    assert "/m/a.mp4" in (found.problems[0].hint or "")
    assert found.problems[2].hint is None
    assert found.jobs == ()


# --- outputs ---


def test_two_jobs_never_share_an_output() -> None:
    for one, two in (("A.mp4", "a.mp4"), ("{tag.x}.mp4", "x.mp4"), ("é.mp4", "e\u0301.mp4"), ("a", "a.mp4")):
        found = make([spec(2, id="1", output=one, tags={"x": "x"}), spec(3, id="2", end=3.0, output=two)])
        (fault,) = errors(found)
        assert (fault.place.line, fault.column, fault.value) == (3, "output", two)
        assert "'1'" in fault.message
        assert "jobs.csv:2" in fault.message
    (fault,) = errors(make([spec(2, id="a/b"), spec(3, id="a-b", end=3.0)]))
    assert (fault.place.line, fault.column, fault.value) == (3, "id", "a-b")


def test_an_output_of_another_job_of_the_ledger_is_a_fault() -> None:
    old = ran(make([spec(2, id="old", output="a.mp4")]))
    (fault,) = errors(make([spec(2, id="new", end=3.0, output="a.mp4")], old))
    assert "'old' in the ledger" in fault.message
    assert errors(make([spec(2, id="old", output="a.mp4")], old)) == []


def test_jobs_not_submitted_yet_may_swap_their_outputs_and_others_keep_theirs() -> None:
    first = make([spec(2, id="1", output="a.mp4"), spec(3, id="2", end=3.0, output="b.mp4")])
    swapped = [spec(2, id="1", output="b.mp4"), spec(3, id="2", end=3.0, output="a.mp4")]
    found = make(swapped, ran(first, State.PLANNED))
    assert found.problems == ()
    assert [job.output for job in found.jobs] == ["b.mp4", "a.mp4"]
    assert [job.output for job in make(swapped, ran(first, State.RENDERING)).jobs] == ["a.mp4", "b.mp4"]


ids_and_templates = st.lists(
    st.tuples(
        st.text(min_size=1, max_size=4),
        st.sampled_from([None, "{id}.mp4", "{tag.t}/{id}", "{tag.t}.mp4"]),
        st.text(max_size=4),
    ),
    max_size=8,
    unique_by=lambda item: item[0],
)


@given(ids_and_templates)
def test_outputs_of_a_plan_without_faults_are_each_job_s_own(items: list[tuple[str, str | None, str]]) -> None:
    specs = [spec(n, id=i, end=1.0 + n, output=o, tags={"t": t}) for n, (i, o, t) in enumerate(items)]
    found = make(specs)
    outputs = [job.output.casefold() for job in found.jobs]
    assert errors(found) or len(outputs) == len(set(outputs))


# --- sums ---


def test_sums_are_of_jobs_not_submitted_yet() -> None:
    facts = [
        media("/m/c.mp4", "digest of /m/a.mp4"),
        media("/m/fast.mp4", fps=60.0),
        media("/m/both.webm"),
    ]
    specs = [
        spec(2, id="1"),
        spec(3, "/m/c.mp4", id="2", end=3.0),
        spec(4, "/m/fast.mp4", id="3", generation_mode=Mode.PRO),
        spec(5, "/m/both.webm", "/m/both.webm", id="4"),
        spec(6, "https://x/a.mp4", id="5"),
        spec(7, "/m/done.mp4", "/m/done.wav", id="6"),
    ]
    done = ran(make(specs[5:]))
    found = make(specs, [*done, *ran(make([specs[0]]), State.UPLOADED)], facts)
    assert found.uploads == Uploads(5, 8 + 8 + 11 + 12 + 12)  # one content once, but a webm once for each role
    assert found.credits_estimated == 60 + 90 + 120 + 60 + 60
    assert found.credits_worst == 60 + 90 + 240 + 60 + 60
    assert (ids(found.new), ids(found.known), found.complete) == (["2", "3", "4", "5"], ["1", "6"], 1)
    assert found.problems == ()


def test_problems_stand_in_the_order_of_the_file() -> None:
    found = make([spec(2, id="x"), spec(3, id="y"), spec(4, id="x", end=9.0), spec(5, end=None, start_seconds=10.0)])
    assert [p.place.line for p in found.problems] == [3, 4, 5]


def test_nothing_to_plan() -> None:
    found = make([])
    assert (found.jobs, found.problems, found.uploads, found.credits_estimated) == ((), (), Uploads(0, 0), 0)
