"""Texts for people: nothing in them can play with a terminal or mislead an eye."""

from __future__ import annotations

from decimal import Decimal


def clean(text: object) -> str:
    """`text` without characters that could move the cursor, change the terminal or turn the reading direction."""
    told = str(text)
    return told if told.isprintable() else "".join(char if char.isprintable() else "�" for char in told)


def number(value: int | float) -> str:
    """A number with thousands separators."""
    return f"{value:,}"


def dollars(usd: float | Decimal) -> str:
    """`$1,234.50`, `-$0.07`."""
    return f"{'-' if usd < 0 else ''}${abs(usd):,.2f}"


def counted(count: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def clipped_key(key: str, room: int) -> str:
    """A key in `room` columns: of a path its end is kept, of all else its beginning."""
    if len(key) <= room:
        return key
    return "…" + key[len(key) - room + 1 :] if "/" in key else key[: room - 1] + "…"
