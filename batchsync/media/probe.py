"""How long a media file is, what is in it, and at what frame rate: from its header, else by PyAV, else by ffprobe.

What needs nothing installed comes first: it says the same on every machine, and is thirty times as quick. What can't
be read is just not known. Only PyAV and ffprobe can call a file `broken`: the others know too little.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import wave
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from batchsync.media import boxes
from batchsync.media.probed import Probed

FFPROBE_SECONDS = 60.0
WAVE_HEADER_BYTES = 44
BROKEN = Probed(kind="broken")
_ATTACHED_PICTURE = 0x400  # ffmpeg's flag of a cover, which is a video stream to it


def probe(path: str) -> Probed:
    """What can be found out about the file at `path`, an absolute path. Never raises."""
    known = Probed()
    for reader in (boxes.read, _with_wave, _with_av, _with_ffprobe):
        found = reader(path)
        duration = found.duration if known.duration is None else known.duration
        known = Probed(duration, known.fps or found.fps, known.kind or found.kind)
        if found == BROKEN or (duration is not None and (known.fps is not None or known.kind != "video")):
            break
    return known


def _with_wave(path: str) -> Probed:
    if not path.lower().endswith(".wav"):
        return Probed()
    try:
        with wave.open(path, "rb") as sound:
            frames = sound.getnframes()
            room = (os.path.getsize(path) - WAVE_HEADER_BYTES) // (sound.getnchannels() * sound.getsampwidth())
            if not 0 < frames <= room:  # who streams it doesn't know how many will come
                frames = max(0, room)
            return Probed(float(Fraction(frames, sound.getframerate())), None, "audio")
    except (OSError, EOFError, wave.Error, ZeroDivisionError):
        return Probed()


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
            return _from_av(media, av.time_base)
    except av.error.InvalidDataError:
        return BROKEN
    except Exception:  # whatever else a file provokes in a decoder, its length is just not known
        return Probed()


def _from_av(media: Any, time_base: int) -> Probed:
    moving = [one for one in media.streams.video if not int(getattr(one, "disposition", 0)) & _ATTACHED_PICTURE]
    stream = next(iter([*moving, *media.streams.audio]), None)
    if stream is None:
        return Probed(kind="other") if len(media.streams) else BROKEN
    duration = None
    if stream.duration is not None and stream.time_base is not None:
        duration = _positive(stream.duration * stream.time_base)
    if duration is None and media.duration is not None:
        duration = _positive(Fraction(media.duration, time_base))
    if duration is None and next(media.demux(stream)).size == 0:
        duration = 0.0  # it has no frame; one that has some is only of unknown length
    if not moving:
        return Probed(duration, None, "audio")
    return Probed(duration, _positive(stream.average_rate), "video")


def _with_ffprobe(path: str) -> Probed:
    program = shutil.which("ffprobe")
    if program is None:
        return Probed()
    shown = "format=duration:stream=codec_type,duration,avg_frame_rate:stream_disposition=attached_pic"
    command = [program, "-v", "error", "-protocol_whitelist", "file", "-show_entries", shown, "-of", "json", path]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and `path` is absolute, so never an option
            command, capture_output=True, check=True, timeout=FFPROBE_SECONDS, stdin=subprocess.DEVNULL
        )
        return _from_ffprobe(json.loads(done.stdout))
    except subprocess.CalledProcessError as error:
        return BROKEN if b"Invalid data found" in error.stderr else Probed()
    except (OSError, subprocess.SubprocessError, ValueError):
        return Probed()


def _from_ffprobe(said: Mapping[str, Any]) -> Probed:
    streams = [one for one in said.get("streams", ()) if not one.get("disposition", {}).get("attached_pic")]
    for kind in ("video", "audio"):
        for stream in streams:
            if stream.get("codec_type") == kind:
                duration = _positive(stream.get("duration")) or _positive(said.get("format", {}).get("duration"))
                return Probed(duration, _positive(stream.get("avg_frame_rate")) if kind == "video" else None, kind)
    if "streams" not in said:
        return Probed()
    return Probed(kind="other") if said["streams"] else BROKEN
