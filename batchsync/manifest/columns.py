"""The columns that a manifest may have, and what to say about one it may not have."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

PLAIN = (
    "id",
    "name",
    "video",
    "audio",
    "start_seconds",
    "end_seconds",
    "max_fps_limit",
    "generation_mode",
    "output",
)
DEPRECATED = ("width", "height")

# The vendor's own request body, flattened.
VIDEO_PARTS = ("assets.video_source", "assets.video_file_path", "assets.youtube_url")
AUDIO_PART = "assets.audio_file_path"
MODE_PART = "style.generation_mode"

COLUMNS = (*PLAIN, *DEPRECATED, *VIDEO_PARTS, AUDIO_PART, MODE_PART)
_KNOWN = frozenset(COLUMNS)
_SUGGESTED = tuple(column for column in COLUMNS if column not in DEPRECATED)

# Columns that say the same thing: an entry's own words on it replace all that `defaults` has to say.
SAME = (
    frozenset({"video", *VIDEO_PARTS}),
    frozenset({"audio", AUDIO_PART}),
    frozenset({"generation_mode", MODE_PART}),
)


def is_known(column: str) -> bool:
    """Whether an entry may have `column`, written flat (`tag.lang`, `style.generation_mode`)."""
    return column in _KNOWN or column.startswith("tag.")


def as_column(header: str) -> str:
    """The column that a table's header means. Case doesn't matter there, nor do spaces or dashes for underscores:
    `End Seconds` is `end_seconds`, `Tag.lang` is `tag.lang`. A tag's own key stays as it is written.
    """
    plain = re.sub(r"[\s_-]+", "_", header.lower())
    if plain in _KNOWN:
        return plain
    head, dot, key = header.partition(".")
    return f"tag.{key.strip()}" if dot and head.strip().lower() == "tag" else header


def bad_tag(column: str) -> str | None:
    """What is wrong with a `tag.<key>` column's key, if anything."""
    key = column.removeprefix("tag.")
    if not key:
        return "a tag needs a key"
    if not key.isprintable() or len(key) > 100 or set("{}") & set(key):
        return "a tag's key must be printable, without braces, and at most 100 characters long"
    return None


@lru_cache(maxsize=1024)  # one slip often stands in every row
def meant(word: str, choices: tuple[str, ...]) -> str | None:
    """`did you mean 'x'?`, for a word that is close to one of `choices`."""
    lower = word.strip().lower()
    close = difflib.get_close_matches(lower, choices, n=1, cutoff=0.6)
    if not close and len(lower) > 2:
        close = [choice for choice in choices if choice.startswith(lower) or lower.startswith(choice)]
    return f"did you mean {close[0]!r}?" if close else None


def unknown_hint(column: str) -> str:
    """What to do about an unknown column."""
    if column.startswith("tags."):
        return f"did you mean 'tag.{column.removeprefix('tags.')}'?"
    own = f"a column of your own is written tag.{column}" if column.isprintable() else ""
    return meant(column, _SUGGESTED) or "; ".join(filter(None, ["the columns are " + ", ".join(PLAIN), own]))
