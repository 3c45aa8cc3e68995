"""What each entry asks for: its files by content, its end, its price. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batchsync.model.job import JobSpec, MediaFacts, Source, ask_digest
from batchsync.model.problem import Problem
from batchsync.planning.repeats import few

LEAST_END = 0.1
SLACK = 0.1  # seconds that an end may be beyond a file's own: lengths are rounded where people read them
PROBES = "`pip install 'batchsync[probe]'`, or an ffprobe on the PATH, reads lengths; or fill in end_seconds"

_COLUMNS = {
    "video": ("video", "assets.video_file_path", "assets.youtube_url"),
    "audio": ("audio", "assets.audio_file_path"),
}


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
    beyond: list[Problem] = []
    for spec in specs:
        ask = _ask(spec, facts, errors, problems)
        if ask is not None:
            asks.append(ask)
            beyond += _beyond(ask)
    return asks, problems + few(beyond, "ends beyond the end of a file")


def _ask(
    spec: JobSpec, facts: Mapping[str, MediaFacts], errors: Mapping[str, str], problems: list[Problem]
) -> Ask | None:
    before = len(problems)
    for role, source in (("video", spec.video), ("audio", spec.audio)):
        if source.is_local and source.value not in facts:
            column, value = _written(spec, role, source)
            message = errors.get(source.value, "was not read")
            hint = None if value == source.value else f"looked for {source.value}"
            problems.append(Problem(spec.place, message, column=column, value=value, hint=hint))
    if len(problems) > before:
        return None
    video, audio = facts.get(spec.video.value), facts.get(spec.audio.value)
    end = spec.end_seconds if spec.end_seconds is not None else _end(spec, video, audio, problems)
    if end is None:
        return None
    return Ask(spec, end, ask_digest(spec, end, video, audio), video, audio)


def _written(spec: JobSpec, role: str, source: Source) -> tuple[str, str]:
    """The column that names the source, and its text, as they stand in the user's file."""
    for column in _COLUMNS[role]:
        if column in spec.row:
            return column, spec.row[column]
    return role, source.value


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


def _beyond(ask: Ask) -> list[Problem]:
    """Warn of a clip that its video or its audio is too short for: what the vendor does then isn't documented."""
    spec = ask.spec
    found: list[Problem] = []

    def warn(message: str) -> None:
        value = spec.row.get("end_seconds", f"{ask.end:g}")
        found.append(Problem(spec.place, message, column="end_seconds", value=value, severity="warning"))

    video, audio = (facts.duration if facts is not None else None for facts in (ask.video, ask.audio))
    if video is not None and ask.end > video + SLACK:
        warn(f"is beyond the end of the video, which is {video:.3f} s long")
    # The audio may be meant for the clip alone, so only its length counts.
    if audio is not None and ask.end - spec.start_seconds > audio + SLACK:
        warn(f"makes a clip of {ask.end - spec.start_seconds:g} s, but the audio is only {audio:.3f} s long")
    return found
