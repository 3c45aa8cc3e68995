"""What each entry asks for: its files by content, its end, its price. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batchsync.model.job import JobSpec, MediaFacts, ask_digest
from batchsync.model.problem import Problem
from batchsync.planning.contents import Contents
from batchsync.planning.repeats import few

LEAST_END = 0.1
SLACK = 0.1  # seconds that an end may be beyond a file's own: lengths are rounded where people read them
PROBES = "`pip install 'batchsync[probe]'`, or an ffprobe on the PATH, reads lengths; or fill in end_seconds"


@dataclass(frozen=True, slots=True)
class Ask:
    """An entry whose files are known: `digest` is what it asks for, `end` its end in seconds."""

    spec: JobSpec
    end: float
    digest: str
    video: MediaFacts | None
    audio: MediaFacts | None


def asked(
    specs: Sequence[JobSpec], facts: Mapping[str, MediaFacts], errors: Mapping[str, str]
) -> tuple[list[Ask], list[Problem]]:
    """The entries that can be planned, and the faults and warnings of all."""
    asks: list[Ask] = []
    problems: list[Problem] = []
    short: list[Problem] = []
    contents = Contents(facts, errors)
    for spec in specs:
        ask = _ask(spec, facts, contents, problems)
        if ask is not None:
            asks.append(ask)
            short += _short_audio(ask)
    problems += few(contents.doubts, "files whose content is in doubt")
    return asks, problems + few(short, "the audio is shorter than the clip")


def _ask(spec: JobSpec, facts: Mapping[str, MediaFacts], contents: Contents, problems: list[Problem]) -> Ask | None:
    faults = contents.faults(spec)
    video, audio = facts.get(spec.video.value), facts.get(spec.audio.value)
    if not faults:
        faults += _late(spec, video)
    end = spec.end_seconds
    if end is None and not faults:
        end = _end(spec, video, audio, faults)
    problems += faults
    if faults or end is None:
        return None
    return Ask(spec, end, ask_digest(spec, end, video, audio), video, audio)


def _end(spec: JobSpec, video: MediaFacts | None, audio: MediaFacts | None, problems: list[Problem]) -> float | None:
    """The end of an entry that doesn't say: the shorter of its files, in whole milliseconds."""

    def fault(message: str, hint: str | None = None) -> None:
        problems.append(Problem(spec.place, message, column="end_seconds", hint=hint))

    for role, found in (("video", video), ("audio", audio)):
        if found is None or found.duration is None:
            fault(f"is missing, and nothing here could read the length of the {role}", PROBES)
            return None
    assert video is not None and audio is not None  # noqa: PT018
    shorter = min(video.duration or 0.0, audio.duration or 0.0)
    # Rounded first: a length of 2.5 that was computed as 2.4999999 is still 2.5.
    end = math.floor(round(shorter * 1000, 3)) / 1000
    if end < LEAST_END:
        fault(f"is missing, and the shorter of the two files is only {shorter:.3g} s long: at least {LEAST_END} s")
        return None
    if end <= spec.start_seconds:
        fault(f"would be {end:g} (the shorter of the two files), which is not after start_seconds")
        return None
    return end


def _late(spec: JobSpec, video: MediaFacts | None) -> list[Problem]:
    """A clip that its video is too short for: whatever the vendor does then, it isn't what was meant, and is paid."""
    if video is None or video.duration is None or spec.end_seconds is None:
        return []
    if spec.end_seconds <= video.duration + SLACK:
        return []
    return [
        Problem(
            spec.place,
            f"is beyond the end of the video, which is {video.duration:.3f} s long",
            column="end_seconds",
            value=spec.row.get("end_seconds", f"{spec.end_seconds:g}"),
            hint=f"at most {math.floor(video.duration * 1000) / 1000:g}",
        )
    ]


def _short_audio(ask: Ask) -> list[Problem]:
    """Warn of a clip that its audio is too short for. No fault: somebody may want silence at the end, and what the
    vendor makes of it isn't documented. The audio may be meant for the clip alone, so only its length counts."""
    clip, audio = ask.end - ask.spec.start_seconds, ask.audio.duration if ask.audio is not None else None
    if audio is None or clip <= audio + SLACK:
        return []
    message = f"makes a clip of {clip:g} s, but the audio is only {audio:.3f} s long"
    value = ask.spec.row.get("end_seconds", f"{ask.end:g}")
    return [Problem(ask.spec.place, message, column="end_seconds", value=value, severity="warning")]
