"""What spreadsheets are given and may give back: columns of results, and cells that nothing takes for a formula."""

from __future__ import annotations

# What became of a job, as `jobs --format csv` has it beside the manifest's own columns. As a manifest, that file is
# read without them.
RESULTS = ("state", "project_id", "output_file", "credits", "attempts", "error_code", "error_message")
FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")  # some skip the blanks, some take the full-width signs of East Asia


def guarded(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula, not even one that reads full-width signs."""
    return "'" + text if text.lstrip("'")[:1] in FORMULA_STARTS else text


def unguarded(text: str) -> str:
    """The text that `guarded` made a cell of."""
    return text[1:] if text.startswith("'") and text.lstrip("'")[:1] in FORMULA_STARTS else text
