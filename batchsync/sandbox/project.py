"""A simulated project. What becomes of it is settled when it is made; its status follows from the time alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

from batchsync.model.credits import ESTIMATE_FPS, estimate, frames_cost
from batchsync.model.job import Mode

MESSAGES = {
    "no_source_face": "No face was detected in the video. Please use a video with a clearly visible face.",
    "invalid_file_format": "The format of a file is not supported.",
    "invalid_video_file": "The video file could not be read.",
    "file_too_large": "A file is too large for this plan.",
    "invalid_parameters": "Some parameters are not valid.",
    "unknown_error": "Something went wrong while rendering. Please try again.",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked request for a lip-sync. `video` and `audio` are vendor paths or URLs, times in seconds."""

    name: str | None
    video: str
    audio: str
    start_seconds: float
    end_seconds: float
    mode: Mode = Mode.LITE
    max_fps: float | None = None

    @property
    def seconds(self) -> float:
        # Differences of the decimal texts, as 1.1 − 1.0 isn't 0.1 in floating point.
        return float(Fraction(repr(float(self.end_seconds))) - Fraction(repr(float(self.start_seconds))))

    @property
    def estimate(self) -> int:
        """Credits that are taken at once: at 30 fps, whatever `max_fps` says."""
        return estimate(self.start_seconds, self.end_seconds, self.mode)


@dataclass(frozen=True, slots=True)
class Fate:
    """How a project will end: `complete`, `error` or `canceled`, and when; what is given back, and how late."""

    queue_seconds: float
    render_seconds: float
    true_fps: float
    ending: str = "complete"
    error_code: str | None = None
    error_message: str | None = None
    refund: float = 1.0
    empty_looks: int = 0
    late_seconds: float = 0.0


@dataclass(slots=True)
class Project:
    """A project as the world keeps it. `charged` is what it has cost up to now; times in epoch seconds.

    `source` names the stored file that it will offer as its output, None for the built-in sample.
    """

    id: str
    ask: Ask
    fate: Fate
    created_at: float
    source: str | None
    outputs: int
    charged: int = 0
    settled: bool = False
    canceled_at: float | None = None
    enabled: bool = True
    looks: int = field(default=0, compare=False)

    @property
    def ends_at(self) -> float:
        return self.created_at + self.fate.queue_seconds + self.fate.render_seconds

    @property
    def settles_at(self) -> float:
        return self.ends_at + self.fate.late_seconds

    @property
    def fps(self) -> float:
        """The output's frame rate."""
        return self.fate.true_fps if self.ask.max_fps is None else min(self.fate.true_fps, self.ask.max_fps)

    def status(self, now: float) -> str:
        if self.canceled_at is not None:
            return "canceled"
        if now < self.created_at + self.fate.queue_seconds:
            return "queued"
        return "rendering" if now < self.ends_at else self.fate.ending

    def shown_fps(self, now: float) -> float:
        """An estimate until the project is complete."""
        return self.fps if self.status(now) == "complete" else float(ESTIMATE_FPS)

    def final_charge(self) -> int:
        """What it costs once it has ended: the true frames, or what is left after the refund."""
        if self.canceled_at is None and self.fate.ending == "complete":
            return frames_cost(self.ask.seconds, self.fps, self.ask.mode)
        refund = self.fate.refund if self.canceled_at is None else 1.0
        return self.ask.estimate - int(self.ask.estimate * refund)

    def record(self) -> dict[str, Any]:
        """What the journal keeps of it when it is made."""
        return {
            "id": self.id,
            "ask": asdict(self.ask),
            "fate": asdict(self.fate),
            "created_at": self.created_at,
            "source": self.source,
            "outputs": self.outputs,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Project:
        ask = dict(record["ask"], mode=Mode(record["ask"]["mode"]))
        return cls(**{**record, "ask": Ask(**ask), "fate": Fate(**record["fate"])})
