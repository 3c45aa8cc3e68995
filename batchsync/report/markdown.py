"""A report as Markdown, for a wiki or a ticket."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchsync.model.text import clean
from batchsync.report.columns import for_people
from batchsync.report.credits import Report
from batchsync.report.head import Head
from batchsync.report.words import head_rows, summary, title

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&-])")


def escaped(text: str) -> str:
    """A text as it is: nothing in it is Markdown or HTML."""
    return _MARKS.sub(r"\\\1", clean(text)).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")


def markdown_lines(head: Head, report: Report) -> Iterator[str]:
    """The head as a list, the sums as a table, and what they come to."""
    yield f"# {escaped(title(report.by))}"
    yield ""
    for label, sentences in head_rows(head):
        yield f"- **{label}:** {escaped('; '.join(sentences))}"
    yield ""
    if report.groups:
        columns = for_people(report)
        yield f"| {escaped(report.by)} | {' | '.join(column.title for column in columns)} |"
        yield f"|:---|{'---:|' * len(columns)}"
        keys = (escaped(usage.key) for usage in report.groups)
        for cells in zip(keys, *(column.texts(report.groups) for column in columns), strict=True):
            yield f"| {' | '.join(cells)} |"
        totals = (f"**{column.text(report.totals)}**" for column in columns)
        yield f"| **total** | {' | '.join(totals)} |"
        yield ""
    for sentence in summary(report):
        yield f"- {escaped(sentence)}"
