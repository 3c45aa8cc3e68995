"""`batchsync report`: credit usage."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import click

from batchsync.cli import options as o
from batchsync.cli.output import print_lines, say, write_lines
from batchsync.cli.reporting import csv_lines, json_lines, text_lines
from batchsync.errors import SettingError
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.views import Views
from batchsync.model.collector import collector_paused
from batchsync.planning.pricing import Price
from batchsync.report.credits import build, check_by
from batchsync.report.head import head, local_zone, period_of, zone_named

FORMATS = {
    "table": (".txt",),
    "csv": (".csv",),
    "json": (".json",),
    "html": (".html", ".htm"),
    "markdown": (".md", ".markdown"),
}


@click.command("report", short_help="credit usage")
@o.ledger_option
@o.option(
    "--by",
    default="manifest",
    show_default=True,
    metavar="GROUP",
    help="run, manifest, day, month, mode, tag:KEY or job.",
)
@o.option("--since", metavar="DATE", help="From this day on (YYYY-MM-DD).")
@o.option("--until", env="REPORT_UNTIL", metavar="DATE", help="Before this day (YYYY-MM-DD).")
@o.option("--timezone", metavar="ZONE", help="Of days and months, such as Europe/Berlin; by default the system's.")
@o.option(
    "--format",
    "how",
    type=click.Choice(list(FORMATS)),
    help="What to make; by default what the name of --output says, else a table.",
)
@o.option("--output", "-o", "file", type=click.Path(path_type=Path), help="Write it into this file.")
@o.option("--wide", is_flag=True, help="Every column of the table, however narrow the terminal.")
@o.option("--bom", is_flag=True, help="Begin a CSV with a byte order mark: an older Excel needs it to read UTF-8.")
@o.price_option
def command(
    ledger: str,
    by: str,
    since: str | None,
    until: str | None,
    timezone: str | None,
    how: str | None,
    file: Path | None,
    wide: bool,
    bom: bool,
    price: str | None,
) -> int:
    """Report the credits that were estimated, charged, refunded and settled, grouped as you like.

    Credits count when they moved, jobs when they were last submitted. The head compares the ledger with the account.

    \b
    batchsync report --by tag:lang
    batchsync report --by day --since 2026-05-01 --until 2026-06-01 -o may.html
    batchsync report --by month --price usage:creator --bom -o credits.csv
    """
    check_by(by)
    how = how or _format_of(file)
    if bom and how != "csv":
        raise SettingError("--bom is for --format csv", hint="leave it out")
    rate = Price.parse(price) if price else None
    zone = zone_named(timezone) if timezone else local_zone()
    period = period_of(since, until, zone)

    def lines(views: Views) -> Iterable[str]:
        top = head(views, book.location, period, zone, rate)
        if how == "html":
            from batchsync.report.charts import can_draw
            from batchsync.report.html import html_lines

            if not can_draw():
                say("Without charts: pip install 'batchsync[charts]' adds them.", err=True)
            return html_lines(views, top, by)
        report = build(views, by, period, zone, rate)
        if how == "csv":
            return csv_lines(report, bom=bom)
        if how == "json":
            return json_lines(top, report, views.failure_sums(period))
        if how == "markdown":
            from batchsync.report.markdown import markdown_lines

            return markdown_lines(top, report)
        return text_lines(top, report, shutil.get_terminal_size().columns, wide=wide)

    with collector_paused(), Ledger(ledger) as book:
        found = book.read(lines)
    if file is None:
        print_lines(found)
        return 0
    write_lines(file, found)
    say(f"Wrote {file}")
    return 0


def _format_of(file: Path | None) -> str:
    """The format that a file's name asks for; a table where it says nothing."""
    suffix = file.suffix.lower() if file else ""
    return next((name for name, suffixes in FORMATS.items() if suffix in suffixes), "table")
