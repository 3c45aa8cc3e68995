"""How long a media file is, and at what frame rate: PyAV, else ffprobe, else (for .wav) the standard library.

What can't be read is not a fault: it is just not known.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import wave
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from batchsync.model.job import VIDEO_EXTENSIONS

FFPROBE_SECONDS = 60.0


class Probed(NamedTuple):
    """`duration` in seconds, `fps` in frames per second; None for what is not known."""

    duration: float | None = None
    fps: float | None = None


def probe(path: str) -> Probed:
    """What can be found out about the file at `path`, an absolute path. Never raises."""
    for reader in (_with_av, _with_ffprobe, _with_wave):
        found = reader(path)
        if found.duration is not None:
            return found
    return Probed()


def _is_video(path: str) -> bool:
    return path.rsplit(".", 1)[-1].lower() in VIDEO_EXTENSIONS


def _positive(value: Any) -> float | None:
    """`value` as a float where it is a finite number above zero; ffmpeg has several ways to say that it isn't."""
    try:
        number = float(Fraction(value)) if value is not None else 0.0
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _with_av(path: str) -> Probed:
    try:
        import av
    except ImportError:
        return Probed()
    try:
        # A playlist in disguise must not make it reach the network.
        with av.open(path, options={"protocol_whitelist": "file"}, metadata_errors="replace") as media:
            streams: list[Any] = list(media.streams.video if _is_video(path) else media.streams.audio)
            stream = streams[0] if streams else None
            duration = None
            if stream is not None and stream.duration is not None and stream.time_base is not None:
                duration = _positive(stream.duration * stream.time_base)
            if duration is None and media.duration is not None:
                duration = _positive(Fraction(media.duration, av.time_base))
            return Probed(duration, _positive(getattr(stream, "average_rate", None)) if _is_video(path) else None)
    except Exception:  # whatever a broken file provokes in a decoder, its length is just not known
        return Probed()


def _with_ffprobe(path: str) -> Probed:
    program = shutil.which("ffprobe")
    if program is None:
        return Probed()
    shown = "format=duration:stream=codec_type,duration,avg_frame_rate"
    command = [program, "-v", "error", "-protocol_whitelist", "file", "-show_entries", shown, "-of", "json", path]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and `path` is absolute, so never an option
            command, capture_output=True, check=True, timeout=FFPROBE_SECONDS, stdin=subprocess.DEVNULL
        )
        return _from_ffprobe(json.loads(done.stdout), _is_video(path))
    except (OSError, subprocess.SubprocessError, ValueError):
        return Probed()


def _from_ffprobe(said: Mapping[str, Any], video: bool) -> Probed:
    kind = "video" if video else "audio"
    streams = [item for item in said.get("streams", []) if item.get("codec_type") == kind]
    stream = streams[0] if streams else {}
    duration = _positive(stream.get("duration")) or _positive(said.get("format", {}).get("duration"))
    return Probed(duration, _positive(stream.get("avg_frame_rate")) if video else None)


def _with_wave(path: str) -> Probed:
    if not path.lower().endswith(".wav"):
        return Probed()
    try:
        with wave.open(path, "rb") as sound:
            return Probed(_positive(Fraction(sound.getnframes(), sound.getframerate())))
    except (OSError, EOFError, wave.Error, ZeroDivisionError):
        return Probed()
