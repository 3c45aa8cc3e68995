"""What a reader of media finds out, whichever it is."""

from __future__ import annotations

from typing import NamedTuple


class Probed(NamedTuple):
    """`duration` in seconds (0: there is certainly nothing), `fps` in frames per second, `kind` as in MediaFacts.

    None stands for what is not known.
    """

    duration: float | None = None
    fps: float | None = None
    kind: str | None = None
