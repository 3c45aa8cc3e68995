"""What a tier doesn't allow, and when nobody needs to ask for it."""

from __future__ import annotations

from typing import Any

import pytest

from batchsync.model.job import JobSpec, KnownJob, MediaFacts, Mode, Source, SourceKind
from batchsync.model.problem import Place
from batchsync.model.states import State
from batchsync.planning.plan import NothingKnown, Plan, plan
from batchsync.planning.tiers import LARGEST, beyond_tier, surely_allowed, tier_matters, to_be_sent

LITE, STANDARD, PRO = Mode.LITE, Mode.STANDARD, Mode.PRO


def spec(line: int, mode: Mode = LITE, **more: Any) -> JobSpec:
    sources = Source(SourceKind.FILE, "/m/a.mp4"), Source(SourceKind.FILE, "/m/b.wav")
    return JobSpec(Place("jobs.csv", line), *sources, generation_mode=mode, **{"end_seconds": 2.0, **more})


def files(video: int = 1000, audio: int = 1000) -> dict[str, MediaFacts]:
    sizes = {"/m/a.mp4": video, "/m/b.wav": audio}
    return {path: MediaFacts(path, size, 1, f"digest of {path}", 10.0) for path, size in sizes.items()}


@pytest.mark.parametrize(("tier", "most"), LARGEST.items())
def test_a_file_may_be_as_large_as_the_tier_says_and_not_a_byte_larger(tier: str, most: int) -> None:
    assert beyond_tier([spec(2)], files(most, most), tier) == []
    assert beyond_tier([spec(2)], files(most, most), f" {tier.upper()} ") == []
    large = [spec(2, row={"assets.video_file_path": "a.mp4", "audio": "b.wav"})]
    video, audio = beyond_tier(large, files(most + 1, most + 1), tier)
    assert (video.severity, video.place.line, video.column, video.value) == (
        "error",
        2,
        "assets.video_file_path",
        "a.mp4",
    )
    assert (audio.column, audio.value) == ("audio", "b.wav")
    assert f"{most + 1:,} bytes" in video.message
    assert f"({tier}) takes at most {most:,}" in video.message


def test_the_hint_names_the_tier_that_would_do() -> None:
    (fault,) = beyond_tier([spec(2)], files(3_000_000_000), "free")
    assert fault.hint == "make it smaller, or use the tier pro"
    (fault,) = beyond_tier([spec(2)], files(30_000_000_000), "free")
    assert fault.hint == "make it smaller"


@pytest.mark.parametrize("tier", [None, "", "enterprise"])
def test_without_a_tier_that_is_known_only_what_no_tier_takes_is_a_fault(tier: str | None) -> None:
    assert beyond_tier([spec(2, PRO), spec(3, STANDARD)], files(9_000_000_000), tier) == []
    (fault,) = beyond_tier([spec(2)], files(10_000_000_001), tier)
    assert "any tier takes at most 10,000,000,000" in fault.message


def test_pro_on_a_free_tier_is_a_fault_and_standard_a_warning() -> None:
    fault, warning = beyond_tier([spec(2), spec(3, STANDARD), spec(4, PRO)], files(), "free")
    assert (fault.severity, fault.place.line, fault.column, fault.value) == ("error", 4, "generation_mode", "pro")
    assert (warning.severity, warning.place.line, warning.value) == ("warning", 3, "standard")
    assert "by some of the vendor's pages" in warning.message
    assert beyond_tier([spec(3, STANDARD), spec(4, PRO)], files(), "creator") == []
    assert len(beyond_tier([spec(n, STANDARD) for n in range(100)], files(), "free")) == 6


def test_nobody_is_asked_where_no_tier_can_matter() -> None:
    assert not tier_matters([spec(2)], files(200_000_000))
    assert tier_matters([spec(2)], files(200_000_001))
    assert tier_matters([spec(2)], files(audio=200_000_001))
    assert tier_matters([spec(2), spec(3, STANDARD)], files())
    assert not tier_matters([], files(999_000_000_000))


@pytest.mark.parametrize(
    ("modes", "largest", "tier", "allowed"),
    [
        ({Mode.LITE}, 200_000_000, None, True),
        ({Mode.LITE}, 200_000_001, None, False),
        ({Mode.LITE}, 200_000_001, "free", False),
        ({Mode.LITE}, 2_000_000_000, "Creator", True),
        ({Mode.LITE}, 2_000_000_001, "creator", False),
        ({Mode.LITE, Mode.STANDARD}, 0, "free", False),
        ({Mode.PRO}, 0, "a new tier", False),
        ({Mode.PRO, Mode.STANDARD}, 0, "pro", True),
        (set(), 0, None, True),
    ],
)
def test_what_a_tier_surely_allows(modes: set[Mode], largest: int, tier: str | None, allowed: bool) -> None:
    assert surely_allowed(modes, largest, tier) == allowed


class Known(NothingKnown):
    """A ledger with the jobs of a plan, in one state."""

    def __init__(self, found: Plan, state: State) -> None:
        waiting = state is State.PLANNED
        self.jobs = {
            job.id: KnownJob(job.id, job.auto_id, job.ask, job.token, state, "/w/j.csv", job.output, 0, waiting)
            for job in found.jobs
        }

    def by_id(self, ids: Any) -> dict[str, KnownJob]:
        return {id: job for id, job in self.jobs.items() if id in ids}


def test_only_what_may_still_be_sent_is_looked_at() -> None:
    specs = [spec(2, id="done"), spec(3, id="done")]
    first = plan(specs, files(), {}, NothingKnown(), manifest="/w/j.csv")
    more = [*specs, spec(4, id="new"), spec(5, id="late", end_seconds=99.0)]
    for state, sent in ((State.COMPLETE, ["new", "late"]), (State.PLANNED, ["done", "new", "late"])):
        found = plan(more, files(), {}, Known(first, state), manifest="/w/j.csv")
        assert [one.id for one in to_be_sent(more, found)] == sent
