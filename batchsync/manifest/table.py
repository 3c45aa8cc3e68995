"""CSV and TSV, as spreadsheets write them, into entries."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain, islice

from batchsync.manifest.columns import as_column, bad_tag, is_known, unknown_hint
from batchsync.manifest.entry import MAX_ENTRIES, Broken, Entry, Raw, no_entries, too_many
from batchsync.manifest.values import INVISIBLE, trim
from batchsync.model.problem import Place, Problem
from batchsync.model.sheet import RESULTS, unguarded

_SEP = re.compile(r'\s*"?sep=(.)"?[;,\t ]*\r?\n?', re.IGNORECASE)
_DELIMITERS = (",", ";", "\t")
_HEAD = 20  # rows in which the one that names the columns is looked for
_END = "\0"  # no manifest holds one: that would not be a text

Row = tuple[int, list[str]]


def read_table(text: str, file: str) -> Raw:
    """The entries of a table. The first row with a known column names them all; titles may stand above it."""
    raw = Raw()
    lines = io.StringIO(text, newline="")
    first = lines.readline()
    sep = _SEP.fullmatch(first)
    if sep is None:
        lines.seek(0)
    delimiter = sep[1] if sep else _delimiter(text, file)
    rows = _rows(lines, delimiter, file, skipped=1 if sep else 0)
    try:
        head = _first(rows, file, raw)
        header, absent = _header(head, file, raw)
        returned = _returned(head, file, raw)
        for entry in _entries(header, rows, file, raw.problems):
            entry.absent = absent
            entry.decimal_comma = delimiter == ";" or returned
            if returned:
                entry.values = {name: unguarded(cell) for name, cell in entry.values.items()}
            raw.entries.append(entry)
    except Broken as broken:
        raw.problems.append(broken.problem)
    else:
        if not raw.entries and not raw.problems:
            raw.problems.append(no_entries(file))
    return raw


def _delimiter(text: str, file: str) -> str:
    """The delimiter that finds the most known columns in a row; of equals, the one that finds the most cells."""

    def found(delimiter: str) -> tuple[int, int]:
        most, width = 0, 0
        try:
            for _, cells in islice(_rows(io.StringIO(text, newline=""), delimiter, file), _HEAD):
                width = width or len(cells)
                most = max(most, _known(cells))
        except Broken:
            pass
        return most, width

    return max(_DELIMITERS, key=found)


def _known(cells: list[str]) -> int:
    return sum(is_known(as_column(cell)) for cell in cells)


def _first(rows: Iterator[Row], file: str, raw: Raw) -> Row | None:
    """The row that names the columns: what stands above it, such as a table's title, is warned about."""
    head: list[Row] = []
    for row in islice(rows, _HEAD):
        if _known(row[1]):
            hint = f"the columns are named in line {row[0]}"
            for line, cells in head:
                title = next(filter(None, cells))
                message = "stands above the row that names the columns: it is not read"
                raw.problems.append(Problem(Place(file, line), message, value=title, hint=hint, severity="warning"))
            return row
        head.append(row)
    return head[0] if head else None


def _rows(lines: io.StringIO, delimiter: str, file: str, skipped: int = 0) -> Iterator[Row]:
    """Rows that aren't blank, each with the line it begins on and its cells without the spaces around them."""
    # The reader takes an open quote at the end of the file for closed; a last line of our own tells.
    reader = csv.reader(chain(lines, [_END]), delimiter=delimiter, skipinitialspace=delimiter != "\t")
    strip = trim if any(char in lines.getvalue() for char in INVISIBLE) else str.strip
    line = skipped + 1
    try:
        for cells in reader:
            if _END in cells[-1:]:
                return
            if cells and cells[-1].endswith(_END):
                raise Broken(_open_quote(Place(file, line)))
            cells = [strip(cell) for cell in cells]
            if any(cells):
                yield line, cells
            line = reader.line_num + skipped + 1
    except csv.Error:  # a cell of more than 128 KiB
        raise Broken(_open_quote(Place(file, line))) from None


def _open_quote(place: Place) -> Problem:
    return Problem(place, "a quote opens in this row and is not closed; the rest was not read")


def _header(row: Row | None, file: str, raw: Raw) -> tuple[list[str | None], frozenset[str]]:
    """The columns, blank for one without a name, None for one that isn't read; and those that the table lacks."""
    if row is None:
        raise Broken(no_entries(file))
    line, cells = row
    place = Place(file, line)
    header: list[str | None] = []
    names = [as_column(cell) for cell in cells]
    if len(names) == 1 and sum(is_known(as_column(part)) for part in re.split(r"[,;|\t:]", cells[0])) > 1:
        message = "is one cell: columns are divided by a comma, a semicolon or a tab"
        hint = "take the quotes around whole rows away; for another divider, begin the file with a line such as sep=|"
        raise Broken(Problem(place, message, value=cells[0], hint=hint))
    for name in names:
        problem = _column_fault(place, name, header)
        if problem is not None:
            raw.problems.append(problem)
        header.append(None if problem or name in RESULTS else name)
    raw.columns = tuple(name for name in header if name)
    return header, _required(raw, place, names)


def _column_fault(place: Place, name: str, before: list[str | None]) -> Problem | None:
    if not name:
        return None
    if name in before:
        return Problem(place, "this column is there twice", column=name, hint="keep one of them")
    if not is_known(name) and name not in RESULTS:
        return Problem(place, "there is no such column", column=name, hint=unknown_hint(name))
    if name.startswith("tag.") and (wrong := bad_tag(name)):
        return Problem(place, wrong, column=name)
    return None


def _returned(head: Row | None, file: str, raw: Raw) -> bool:
    """Whether the table is one that `jobs` wrote: its results are not read, as the ledger knows better."""
    line, cells = head or (0, [])
    found = [cell for cell in cells if cell in RESULTS]
    if found:
        message = "what became of the jobs is in these columns: they are not read"
        raw.problems.append(Problem(Place(file, line), message, value=", ".join(found), severity="warning"))
    return bool(found)


def _required(raw: Raw, place: Place, cells: list[str]) -> frozenset[str]:
    """Say which of the required columns the table lacks."""
    parts = set(cells)
    missing = []
    if not parts & {"video", "assets.video_file_path", "assets.youtube_url"}:
        missing.append("video")
    if not parts & {"audio", "assets.audio_file_path"}:
        missing.append("audio")
    hint = "the first row names the columns"
    raw.problems += [Problem(place, "this column is required", column=name, hint=hint) for name in missing]
    return frozenset(missing)


def _entries(header: list[str | None], rows: Iterator[Row], file: str, problems: list[Problem]) -> Iterator[Entry]:
    width = len(header)
    for count, (line, cells) in enumerate(rows):
        place = Place(file, line)
        if count == MAX_ENTRIES:
            raise Broken(too_many(place))
        if any(cells[width:]):
            message = f"this row has {len(cells)} cells, the header has {width}"
            problems.append(Problem(place, message, hint="a cell with the delimiter in it needs quotes around it"))
            continue
        unnamed = [cell for name, cell in zip(header, cells, strict=False) if cell and name == ""]
        if unnamed:
            problems.append(Problem(place, "stands in a column without a name", value=unnamed[0]))
        yield Entry(place, {name: cell for name, cell in zip(header, cells, strict=False) if name and cell})
