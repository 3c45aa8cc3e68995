"""Whether a local file can be what an entry wants it for, by what is really in it. Pure.

A fault where the vendor certainly can't use it; a warning where it may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from batchsync.model.formats import MEDIA_FORMATS, OTHER_FORMATS, UNKNOWN, UNSUPPORTED_FORMATS, Format
from batchsync.model.job import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS, JobSpec, MediaFacts, Source
from batchsync.model.problem import Problem

_EXTENSIONS = {"video": VIDEO_EXTENSIONS, "audio": AUDIO_EXTENSIONS}
_COLUMNS = {
    "video": ("video", "assets.video_file_path", "assets.youtube_url"),
    "audio": ("audio", "assets.audio_file_path"),
}
_ARTICLES = {"video": "a video", "audio": "an audio"}


class Flaw(NamedTuple):
    """What is wrong with a file in a role; `fatal` where nothing but a fault can come of it."""

    message: str
    hint: str | None
    fatal: bool = True


def flaw(role: str, facts: MediaFacts) -> Flaw | None:
    """What is wrong with a file as `video` or `audio`, None where nothing is or nobody has looked."""
    if facts.format is None:
        return None
    return _by_format(role, facts) or _by_kind(role, facts)


def _by_format(role: str, facts: MediaFacts) -> Flaw | None:
    extension = facts.path.rpartition(".")[2].lower()
    found = MEDIA_FORMATS.get(str(facts.format))
    if found is not None:
        return None if extension in found.extensions else _misnamed(role, extension, found)
    if facts.format == UNKNOWN:
        if facts.kind is not None:
            return None  # a decoder knows more formats than are listed here
        return Flaw(f"its content is not recognised as {extension}: the vendor may refuse it", None, fatal=False)
    what = UNSUPPORTED_FORMATS.get(str(facts.format)) or OTHER_FORMATS.get(str(facts.format), str(facts.format))
    if facts.format == "git-lfs":
        return Flaw(f"is only {what}, and not the file itself", "`git lfs pull` fetches it")
    return Flaw(f"is really {what}, not {_ARTICLES[role]} that the vendor takes", _choices(role))


def _misnamed(role: str, extension: str, found: Format) -> Flaw:
    """A sound under the name of another that the vendor takes is only a warning: speech generators often call MP3s
    .wav, and decoders of sound go by the content. A video is a fault: to rename it costs nothing, a refusal a night.
    """
    right = sorted(found.extensions & _EXTENSIONS[role])
    message = f"is really {found.words}, not what .{extension} says"
    if not right:
        return Flaw(message, _choices(role))
    return Flaw(message, f"rename it to .{right[0]}", fatal=role == "video")


def _by_kind(role: str, facts: MediaFacts) -> Flaw | None:
    if facts.kind == "broken":
        # What a decoder here can't read, the vendor's may: it isn't ours to stop a batch for.
        return Flaw("can't be decoded here: it may be cut or damaged", "copy or export it again", fatal=False)
    if role == "video" and facts.kind == "audio":
        return Flaw("has no picture, only sound", _choices(role))
    if role == "video" and facts.kind == "other":
        return Flaw("has no picture in it, or is cut", _choices(role))
    if role == "audio" and facts.kind == "other":
        return Flaw("has no sound in it, or is cut", _choices(role))
    if facts.duration == 0:
        return Flaw("is empty: its length is 0 s", "copy or export it again")
    return None


def _choices(role: str) -> str:
    return f"{_ARTICLES[role]}: one of {', '.join(sorted(_EXTENSIONS[role]))}"


def written(spec: JobSpec, role: str, source: Source) -> tuple[str, str]:
    """The column that names the source, and its text, as they stand in the user's file."""
    for column in _COLUMNS[role]:
        if column in spec.row:
            return column, spec.row[column]
    return role, source.value


class Contents:
    """Looks at the files of entries, at each once, however many entries name it. `doubts` are the warnings."""

    def __init__(self, facts: Mapping[str, MediaFacts], errors: Mapping[str, str]) -> None:
        self._facts = facts
        self._errors = errors
        self._flaws: dict[tuple[str, str], Flaw | None] = {}
        self.doubts: list[Problem] = []

    def faults(self, spec: JobSpec) -> list[Problem]:
        """What is wrong with an entry's files; a doubt about a file is kept for the first entry that names it."""
        found = []
        for role, source in (("video", spec.video), ("audio", spec.audio)):
            if not source.is_local:
                continue
            known = (role, source.value) in self._flaws
            wrong = self._flaws[role, source.value] if known else self._look(role, source.value)
            if wrong is not None and wrong.fatal:
                found.append(_problem(spec, role, source, wrong))
            elif wrong is not None and not known:
                self.doubts.append(_problem(spec, role, source, wrong))
        return found

    def _look(self, role: str, path: str) -> Flaw | None:
        facts = self._facts.get(path)
        wrong = flaw(role, facts) if facts is not None else Flaw(self._errors.get(path, "was not read"), None)
        self._flaws[role, path] = wrong
        return wrong


def _problem(spec: JobSpec, role: str, source: Source, wrong: Flaw) -> Problem:
    column, value = written(spec, role, source)
    where = None if value == source.value else f"looked for {source.value}"
    hint = wrong.hint or (where if wrong.fatal else None)
    severity = "error" if wrong.fatal else "warning"
    return Problem(spec.place, wrong.message, column=column, value=value, hint=hint, severity=severity)  # type: ignore[arg-type]
