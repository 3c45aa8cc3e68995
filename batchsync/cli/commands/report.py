"""`batchsync report`: credit usage."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from batchsync.cli import options as o
from batchsync.cli.output import csv_text, json_text, money, say, table
from batchsync.errors import SettingError
from batchsync.ledger.ledger import Ledger
from batchsync.planning.pricing import Price
from batchsync.report.credits import Report, Usage, build, check_by

FIELDS = ("jobs", "complete", "failed", "held", "estimated", "charged", "refunded", "net", "unknown")


@click.command("report", short_help="credit usage")
@o.ledger_option
@o.option(
    "--by",
    default="manifest",
    show_default=True,
    metavar="GROUP",
    help="run, manifest, day, month, mode, tag:KEY or job.",
)
@o.option("--since", metavar="DATE", help="From this day on (YYYY-MM-DD, UTC).")
@o.option("--until", env="REPORT_UNTIL", metavar="DATE", help="Before this day (YYYY-MM-DD, UTC).")
@o.format_option
@o.option("--output", "-o", "file", type=click.Path(path_type=Path), help="Write it into this file.")
@o.price_option
def command(
    ledger: str, by: str, since: str | None, until: str | None, how: str, file: Path | None, price: str | None
) -> int:
    """Report the credits that were estimated, charged and refunded, grouped as you like. Days are UTC.

    \b
    batchsync report --by tag:lang
    batchsync report --by month --price usage:creator --format csv -o credits.csv
    """
    check_by(by)
    rate = Price.parse(price) if price else None
    bounds = _day("--since", since), _day("--until", until)
    with Ledger(ledger) as book:
        report = book.read(lambda v: build(v, by, *bounds))
    text = {"table": _table, "csv": _csv, "json": _json}[how](report, rate)
    if file is None:
        say(text)
        return 0
    try:
        file.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8", newline="")
    except OSError as error:
        raise SettingError(f"{file} can't be written: {error.strerror}") from None
    say(f"Wrote {file}")
    return 0


def _day(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise SettingError(f"{name} {text!r} is no day", hint="write it as 2026-05-31") from None


def _values(usage: Usage) -> list[int]:
    return [getattr(usage, field) for field in FIELDS]


def _table(report: Report, price: Price | None) -> str:
    headers = [report.by, *FIELDS] + (["money"] if price else [])
    rows: list[list[object]] = [
        [usage.key, *_values(usage)] + ([money(price.usd(usage.net))] if price else [])
        for usage in [*report.groups, report.totals]
    ]
    return table(headers, rows)


def _csv(report: Report, price: Price | None) -> str:
    rows: list[list[object]] = [
        [usage.key, *_values(usage), str(price.usd(usage.net)) if price else ""] for usage in report.groups
    ]
    return csv_text([report.by, *FIELDS, "usd"], rows)


def _json(report: Report, price: Price | None) -> str:
    def fields(usage: Usage) -> dict[str, Any]:
        usd = float(price.usd(usage.net)) if price else None
        return dict(zip(FIELDS, _values(usage), strict=True)) | {"usd": usd}

    groups = [{"key": usage.key} | fields(usage) for usage in report.groups]
    whole = {"by": report.by, "totals": fields(report.totals), "groups": groups}
    return json_text(whole)
