"""One entry into a JobSpec, with every fault in it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from batchsync.manifest.columns import AUDIO_PART, DEPRECATED, MODE_PART, VIDEO_PARTS, meant
from batchsync.manifest.entry import Entry
from batchsync.manifest.sources import source
from batchsync.manifest.values import Check, Wrong, job_id, mode, not_mangled, number, output, plain, tag_value
from batchsync.model.job import PLACEHOLDER, JobSpec, Mode, Source, SourceKind
from batchsync.model.problem import Place, Problem

LEAST_END = 0.1
LEAST_FPS = 1.0

T = TypeVar("T")


def spec_of(entry: Entry, base: Path, problems: list[Problem]) -> JobSpec | None:
    """The job that `entry` asks for, or None; its faults and warnings are added to `problems`.

    Relative paths start at `base`.
    """
    reader = _Reader(entry, base, problems)
    spec = reader.spec()
    return spec if reader.faults == 0 and not entry.absent else None


class _Reader:
    def __init__(self, entry: Entry, base: Path, problems: list[Problem]) -> None:
        self.entry = entry
        self.base = base
        self.problems = problems
        self.faults = 0

    def fault(self, column: str, message: str, hint: str | None = None, *, place: Place | None = None) -> None:
        self.faults += 1
        value = self.entry.values.get(column)
        self.problems.append(Problem(place or self.entry.at(column), message, column=column, value=value, hint=hint))

    def take(self, column: str, check: Check[T]) -> T | None:
        """The checked value of `column`; None where it is blank or wrong."""
        text = self.entry.values.get(column)
        if text is None:
            return None
        try:
            not_mangled(text, column)
            return check(text)
        except Wrong as wrong:
            self.fault(column, wrong.message, wrong.hint)
            return None

    def spec(self) -> JobSpec | None:
        video, audio = self.video(), self.audio()
        start, end = self.times(video, audio)
        tags = self.tags()
        name = self.take("name", plain)
        found_id = self.take("id", job_id)
        fps = self.take("max_fps_limit", number(LEAST_FPS, comma=self.entry.decimal_comma))
        chosen = self.mode()
        template = self.output(tags, name)
        if video is None or audio is None:
            return None
        return JobSpec(
            place=self.entry.place,
            video=video,
            audio=audio,
            id=found_id,
            name=name,
            start_seconds=start,
            end_seconds=end,
            max_fps_limit=fps,
            generation_mode=chosen,
            output=template,
            tags=tags,
            row=self.entry.values,
        )

    def video(self) -> Source | None:
        values = self.entry.values
        parts = [part for part in VIDEO_PARTS if part in values]
        if not parts:
            return self.required("video")
        if "video" in values:
            self.fault("video", f"is said twice: here and in {parts[0]}", "keep one of them")
            return None
        kind = values.get("assets.video_source") or ("youtube" if parts == ["assets.youtube_url"] else "file")
        if kind not in ("file", "youtube"):
            hint = meant(kind, ("file", "youtube")) or "file or youtube"
            self.fault("assets.video_source", "is not a source of videos", hint)
            return None
        column = "assets.youtube_url" if kind == "youtube" else "assets.video_file_path"
        found = self.required(column, "video")
        if found is not None and kind == "youtube" and found.kind is not SourceKind.YOUTUBE:
            self.fault(column, "is not a YouTube address", "such as https://www.youtube.com/watch?v=…")
            return None
        return found

    def audio(self) -> Source | None:
        if AUDIO_PART not in self.entry.values:
            return self.required("audio")
        if "audio" in self.entry.values:
            self.fault("audio", f"is said twice: here and in {AUDIO_PART}", "keep one of them")
            return None
        return self.required(AUDIO_PART, "audio")

    def required(self, column: str, role: str | None = None) -> Source | None:
        kind = role or column
        if column not in self.entry.values and column not in self.entry.absent:
            self.fault(column, "is missing", f"every job needs a{'n' if kind == 'audio' else ''} {kind}")
        return self.take(column, lambda text: source(text, kind, self.base))

    def times(self, video: Source | None, audio: Source | None) -> tuple[float, float | None]:
        comma = self.entry.decimal_comma
        before = self.faults
        start = self.take("start_seconds", number(0.0, comma=comma)) or 0.0
        end = self.take("end_seconds", number(LEAST_END, comma=comma))
        if end is not None and self.faults == before and end <= start:
            self.fault("end_seconds", f"must be after start_seconds ({start:g})")
        remote = [role for role, item in (("video", video), ("audio", audio)) if item and not item.is_local]
        if "end_seconds" not in self.entry.values.keys() | self.entry.absent and remote:
            message = f"is missing: the {remote[0]} is not a local file, so its length is not known"
            # Where a matrix makes many jobs of one address, they share this one fault.
            self.fault("end_seconds", message, place=self.entry.at(remote[0]))
        return start, end

    def mode(self) -> Mode:
        values = self.entry.values
        if "generation_mode" in values and MODE_PART in values:
            self.fault("generation_mode", f"is said twice: here and in {MODE_PART}", "keep one of them")
        return self.take("generation_mode", mode) or self.take(MODE_PART, mode) or Mode.LITE

    def tags(self) -> dict[str, str]:
        columns = [column for column in self.entry.values if column.startswith("tag.")]
        found = {column.removeprefix("tag."): self.take(column, tag_value) for column in columns}
        return {key: value for key, value in found.items() if value is not None}

    def output(self, tags: dict[str, str], name: str | None) -> str | None:
        template = self.take("output", output)
        for field in PLACEHOLDER.findall(template or ""):
            if field in self.entry.absent:
                continue
            if field == "name" and name is None:
                self.fault("output", "uses {name}, but this entry has no name")
            elif field.startswith("tag.") and field.removeprefix("tag.") not in tags:
                has = ", ".join(sorted(tags)) or "none"
                self.fault("output", f"uses {{{field}}}, but this entry has no such tag", f"its tags: {has}")
        return template


def deprecation(entry: Entry) -> Problem | None:
    """The warning for an entry that has a width or a height."""
    column = next((name for name in DEPRECATED if name in entry.values), None)
    if column is None:
        return None
    return Problem(
        entry.at(column),
        "width and height are deprecated by the vendor: they change nothing and are not sent",
        column=column,
        value=entry.values[column],
        severity="warning",
    )
