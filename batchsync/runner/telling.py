"""Events as log systems read them: a name and fields, beside the words for people, which may change."""

from __future__ import annotations

from collections.abc import Mapping


def told(event: str, **fields: object) -> Mapping[str, object]:
    """The `extra` of a log call: what happened, to which `job`, and whatever else a machine may want to know."""
    return {"fields": {"event": event, **fields}}
