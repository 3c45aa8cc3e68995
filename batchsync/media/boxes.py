"""Length, frame rate and kind of MP4, M4V, MOV and M4A files, from their boxes: needs nothing installed.

A box says its own size, and nothing here believes it: what doesn't fit in its parent, is larger than any camera makes
it, or never ends, is given up, and then just not known.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from batchsync.media.probed import Probed

MOST_BOXES = 200_000  # looked at in one file: a fragmented hour has some ten thousand
MOST_BYTES = 1 << 24  # read of one table
_PARENTS = frozenset((b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"))
_KINDS = {b"vide": "video", b"soun": "audio"}


@dataclass(slots=True)
class _Track:
    """A track: times in ticks, of which a second has `scale`; `length` is what its header says.

    `shown` is what its edit list leaves of it, in ticks of the whole film: encoders hide their run-up like that.
    """

    number: int = 0
    kind: str | None = None
    scale: int = 0
    length: int = 0
    shown: int = 0
    start: int | None = None  # of its first fragment
    ticks: int = 0  # what its frames add up to
    frames: int = 0
    each: int = 0  # ticks of a frame in a fragment that doesn't say

    def probed(self, fragmented: bool, film_scale: int) -> Probed:
        ticks = self.length or self.ticks
        if self.shown and film_scale:
            ticks = min(ticks, round(self.shown * self.scale / film_scale))
        known = ticks or not (self.frames or fragmented)
        fps = self.frames * self.scale / self.ticks if self.ticks and self.kind == "video" else None
        return Probed(ticks / self.scale if known else None, fps or None, self.kind)


def read(path: str) -> Probed:
    """What the boxes say of the first video track, else of the first sound. Never raises."""
    try:
        with open(path, "rb") as stream:
            reader = _Reader(stream)
            reader.read()
    except (OSError, ValueError, struct.error):
        return Probed()
    for kind in _KINDS.values():
        for track in reader.tracks:
            if track.kind == kind and track.scale:
                return track.probed(reader.fragmented, reader.film_scale)
    return Probed()


class _Reader:
    """Walks the boxes in the order of the file, and takes down what some of them say."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.tracks: list[_Track] = []
        self.fragmented = False
        self.film_scale = 0
        self._now = _Track()  # the one that the boxes at hand are about

    def read(self) -> None:
        readers = {b"tkhd": self._tkhd, b"mdhd": self._mdhd, b"hdlr": self._hdlr, b"stts": self._stts}
        readers |= {b"mvhd": self._mvhd, b"elst": self._elst}
        readers |= {b"trex": self._trex, b"tfhd": self._tfhd, b"tfdt": self._tfdt, b"trun": self._trun}
        for kind, start, end in self._boxes():
            if kind == b"trak":
                self._now = _Track()
                self.tracks.append(self._now)
            elif kind in readers:
                readers[kind](start, end)

    def _boxes(self) -> Iterator[tuple[bytes, int, int]]:
        """Every box as its type, and where its content starts and ends; a parent's before its children."""
        parents = [self._stream.seek(0, 2)]
        at = 0
        for _ in range(MOST_BOXES):
            while len(parents) > 1 and at + 8 > parents[-1]:
                at = parents.pop()
            if at + 8 > parents[-1]:
                return
            size, kind, head = *self._numbers(at, "I4s"), 8
            if size == 1:
                size, head = *self._numbers(at + 8, "Q"), 16
            end = at + size if size else parents[-1]
            if 0 < size < head or end > parents[-1]:
                return  # cut, or no box at all; what was read before may do
            yield kind, at + head, end
            if kind in _PARENTS:
                parents.append(end)
            at = at + head if kind in _PARENTS else end
        raise ValueError("too many boxes")

    def _numbers(self, start: int, pattern: str) -> tuple[Any, ...]:
        self._stream.seek(start)
        return struct.unpack(">" + pattern, self._stream.read(struct.calcsize(">" + pattern)))

    def _table(self, start: int, end: int, columns: int, rows: int) -> Iterator[tuple[int, ...]]:
        size = min(rows * columns * 4, end - start, MOST_BYTES) // (columns * 4) * columns * 4
        self._stream.seek(start)
        return struct.iter_unpack(f">{columns}I", self._stream.read(size))

    def _named(self, number: int) -> _Track:
        return next((track for track in self.tracks if track.number == number), _Track())

    def _mvhd(self, start: int, end: int) -> None:
        wide = self._numbers(start, "B") == (1,)
        (self.film_scale,) = self._numbers(start + (20 if wide else 12), "I")

    def _elst(self, start: int, end: int) -> None:
        wide, rows = self._numbers(start, "B3xI")
        pattern = ">Qq4x" if wide == 1 else ">Ii4x"
        size = min(rows * struct.calcsize(pattern), end - start - 8, MOST_BYTES)
        self._stream.seek(start + 8)
        edits = struct.iter_unpack(pattern, self._stream.read(size))
        self._now.shown = sum(length for length, first in edits if first >= 0)

    def _tkhd(self, start: int, end: int) -> None:
        wide = self._numbers(start, "B") == (1,)
        (self._now.number,) = self._numbers(start + (20 if wide else 12), "I")

    def _mdhd(self, start: int, end: int) -> None:
        wide = self._numbers(start, "B") == (1,)
        self._now.scale, length = self._numbers(start + (20 if wide else 12), "IQ" if wide else "II")
        self._now.length = 0 if length == (1 << (64 if wide else 32)) - 1 else length  # all ones: not known

    def _hdlr(self, start: int, end: int) -> None:
        (kind,) = self._numbers(start + 8, "4s")
        self._now.kind = self._now.kind or _KINDS.get(kind)  # QuickTime has a second one, of other things

    def _stts(self, start: int, end: int) -> None:
        (rows,) = self._numbers(start + 4, "I")
        for frames, each in self._table(start + 8, end, 2, rows):
            self._now.frames += frames
            self._now.ticks += frames * each

    def _trex(self, start: int, end: int) -> None:
        self.fragmented = True
        number, _, each = self._numbers(start + 4, "3I")
        self._named(number).each = each

    def _tfhd(self, start: int, end: int) -> None:
        flags, number = self._numbers(start, "2I")
        self._now = self._named(number)
        if flags & 0x8:
            skip = (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
            (self._now.each,) = self._numbers(start + 8 + skip, "I")

    def _tfdt(self, start: int, end: int) -> None:
        wide = self._numbers(start, "B") == (1,)
        (at,) = self._numbers(start + 4, "Q" if wide else "I")
        self._now.start = at if self._now.start is None else self._now.start
        self._now.ticks = max(self._now.ticks, at - self._now.start)

    def _trun(self, start: int, end: int) -> None:
        flags, frames = self._numbers(start, "2I")
        self._now.frames += frames
        if not flags & 0x100:
            self._now.ticks += frames * self._now.each
            return
        columns = sum(bool(flags & flag) for flag in (0x100, 0x200, 0x400, 0x800))
        first = start + 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
        self._now.ticks += sum(row[0] for row in self._table(first, end, columns, frames))
