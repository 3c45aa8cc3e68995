"""Single values: text into numbers, modes, ids, output templates; what is wrong is said in the words of the file."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from batchsync.manifest.columns import meant
from batchsync.model.job import OUTPUT_FIELDS, PLACEHOLDER, RESERVED_NAMES, Mode

MAX_ID = 200
MAX_NUMBER = 1_000_000.0
# As they are written in the languages of spreadsheets; with their marks, so that no hashtag is taken for one.
_SPREADSHEET_ERRORS = frozenset(
    [
        "#REF!",
        "#NAME?",
        "#VALUE!",
        "#N/A",
        "#DIV/0!",
        "#NUM!",
        "#NULL!",
        "#ERROR!",
        "#SPILL!",
        "#CALC!",
        "#BEZUG!",
        "#WERT!",
        "#ZAHL!",
        "#VALEUR!",
        "#NOM?",
        "#¡REF!",
        "#¿NOMBRE?",
        "#¡VALOR!",
        "#¡DIV/0!",
        "#VALORE!",
        "#RIF!",
    ]
)
_FREE = ("name",)  # where people may want to have quotes
TYPOGRAPHIC_QUOTES = "“”„‟‘’‚‛«»"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}([.,'’\s]\d{3})+([.,]\d+)?")
_UNIT = re.compile(r"([+-]?\d+(?:[.,]\d+)?)\s*(?:s|sec|secs|seconds|fps|f/s)\.?", re.IGNORECASE)
_MONTH = (
    r"(?:jan|ene|gen|feb|fév|fev|mar|mär|apr|avr|abr|mai|may|mag|jun|jui|giu|jul|lug|aug|aoû|ago|sep|set|oct|okt|ott|out"
    r"|nov|dec|dez|déc|dic)[^\W\d]{0,7}\.?"
)
_DATE = re.compile(
    rf"\d{{1,4}}[-/.]\s?\d{{1,2}}(?:[-/.]\s?\d{{0,4}})?(?: .*)?|\d{{1,2}}[-./ ]+{_MONTH}(?:[-./ ]+\d{{2,4}})?"
    rf"|{_MONTH}[-./ ]+\d{{1,4}}",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d+:)?\d+:\d+([.,]\d+)?", re.ASCII)
_SPECIAL = re.compile(r"[+-]?\.?(inf|infinity|nan)", re.IGNORECASE)

_FIELDS = tuple(field for field in OUTPUT_FIELDS if not field.startswith("tag."))

T = TypeVar("T")
Check = Callable[[str], T]


# What nobody sees, and what copying from a web page, a chat or a file dialog leaves at the ends of a value.
INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"


def trim(text: str) -> str:
    """`text` without blanks (also no-break spaces) and invisible characters at its ends."""
    text = text.strip()
    while text and (text[0] in INVISIBLE or text[-1] in INVISIBLE):
        text = text.strip(INVISIBLE).strip()
    return text


class Wrong(Exception):
    """A value that can't be used: what is wrong, and what would be right."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def number(least: float, *, comma: bool = False) -> Check[float]:
    """A check for finite numbers from `least` on; with `comma`, 1,5 is one and a half."""

    def check(text: str) -> float:
        if comma and _COMMA.fullmatch(text):
            text = text.replace(",", ".")
        if _SPECIAL.fullmatch(text):
            raise Wrong("must be finite", "a number such as 12.5")
        if text.endswith("%"):
            raise Wrong("is a percentage, not a number", "a plain number such as 12.5")
        if not _NUMBER.fullmatch(text):
            raise Wrong("is not a number", _number_hint(text))
        value = float(text)
        if not math.isfinite(value) or value > MAX_NUMBER:
            raise Wrong(f"is too large: at most {MAX_NUMBER:,.0f}")
        if value < least:
            raise Wrong(f"must be at least {least:g}")
        return value + 0.0  # not -0.0

    return check


def _number_hint(text: str) -> str:
    if _COMMA.fullmatch(text):
        thousands = f", or {text.replace(',', '')} if the comma divides thousands" if _GROUPED.fullmatch(text) else ""
        return f"write {text.replace(',', '.')}{thousands}"
    if _CLOCK.fullmatch(text):
        seconds = 0.0
        for part in text.replace(",", ".").split(":"):
            seconds = seconds * 60 + float(part)
        return f"in seconds: {seconds:g}"
    if _GROUPED.fullmatch(text):
        return f"without thousands separators: {_ungrouped(text)}"
    if unit := _UNIT.fullmatch(text):
        return f"without the unit: {unit[1].replace(',', '.')}"
    if _DATE.fullmatch(text):
        return "a spreadsheet made a date of it: format the column as text, and type the number again"
    return "a plain number such as 12.5"


def _ungrouped(text: str) -> str:
    """`1.234,5` and `1,234.5` as `1234.5`: what comes last divides the fraction, if it is there only once."""
    last = max(text.rfind("."), text.rfind(","))
    if last < 0 or text.count(text[last]) > 1:
        return re.sub("[^0-9+-]", "", text)
    return f"{re.sub('[^0-9+-]', '', text[:last])}.{text[last + 1 :]}"


def mode(text: str) -> Mode:
    """One of the vendor's generation modes."""
    try:
        return Mode(text)
    except ValueError:
        names = tuple(str(item) for item in Mode)
        raise Wrong("is not a generation mode", meant(text, names) or f"one of {', '.join(names)}") from None


def job_id(text: str) -> str:
    """An id: printable, at most MAX_ID characters, no name of a folder."""
    if len(text) > MAX_ID:
        raise Wrong(f"is {len(text)} characters long: at most {MAX_ID}")
    hidden = next((char for char in text if char in INVISIBLE or (char.isspace() and char != " ")), None)
    if hidden is not None:
        told = f"U+{ord(hidden):04X} {unicodedata.name(hidden, '')}".strip()
        raise Wrong(
            f"has an invisible character in it ({told}): it would be another id than the one you see", "type it again"
        )
    if not text.isprintable():
        raise Wrong("holds characters that can't be printed", "letters, digits, dashes")
    if text in (".", ".."):
        raise Wrong("can't be an id: it names a folder")
    return text


def not_mangled(text: str, column: str) -> None:
    """Raise Wrong for what a spreadsheet or a word processor has made of a value."""
    if text in _SPREADSHEET_ERRORS:
        raise Wrong("is a spreadsheet's error, not a value", "mend its formula there, and export it again")
    if len(text) > 1 and text[0] in TYPOGRAPHIC_QUOTES and text[-1] in TYPOGRAPHIC_QUOTES and column not in _FREE:
        bare = text.strip(TYPOGRAPHIC_QUOTES)
        raise Wrong("has typographic quotes around it", f"without them: {bare}" if bare else "leave it blank")


def plain(text: str) -> str:
    """A text on one line, without control characters."""
    if not text.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise Wrong("holds control characters", "a text on one line")
    return text


def tag_value(text: str) -> str:
    """A tag's text; spreadsheets may have put line ends into it."""
    plain(text.replace("\n", " ").replace("\r", " ").replace("\t", " "))
    return text


# --- output templates ---


def output(text: str) -> str:
    """A template for a path under the output directory."""
    plain(text)
    for name in PLACEHOLDER.findall(text):
        _placeholder(name)
    bare = PLACEHOLDER.sub("x", text)
    if "{" in bare or "}" in bare:
        raise Wrong("has a brace without its other half", "such as {tag.lang}/{id}.mp4")
    if "\\" in text:
        raise Wrong("has a backslash in it", "folders are divided by /")
    if bare.startswith("/") or re.match("[A-Za-z]:", text):
        raise Wrong("must be relative: it starts at the output directory", "such as {tag.lang}/{id}.mp4")
    if bare.endswith("/"):
        raise Wrong("names a folder, not a file", f"such as {text}{{id}}.mp4")
    for part, written in zip(bare.split("/"), text.split("/"), strict=True):
        _component(part, written)
    return text


def _placeholder(name: str) -> None:
    if name in _FIELDS or (name.startswith("tag.") and len(name) > len("tag.") and "/" not in name):
        return
    choices = ", ".join(f"{{{field}}}" for field in OUTPUT_FIELDS)
    close = meant(name, _FIELDS)
    raise Wrong(f"can't use {{{name}}}", f"{close or ''} An output can use {choices}".strip())


def _component(part: str, written: str) -> None:
    if part == "":
        raise Wrong("has an empty folder name in it (//)")
    if part in (".", ".."):
        raise Wrong(f"may not have {part!r} in it: outputs stay under the output directory")
    if part[-1] in ". ":
        raise Wrong(f"has a name that ends with a {'dot' if part[-1] == '.' else 'space'}: {written!r}")
    if part.startswith(" "):
        raise Wrong(f"has a name that begins with a space: {written!r}")
    # What a placeholder stands for is made safe when it is filled in; here only what is written out counts.
    if written.split(".")[0].strip().lower() in RESERVED_NAMES:
        raise Wrong(f"uses a name that Windows keeps for a device: {written!r}")
    if len(part.encode()) > 200:
        raise Wrong("has a name of more than 200 bytes in it")
