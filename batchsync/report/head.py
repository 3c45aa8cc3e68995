"""What stands above a report: whose credits, of which time, by which ledger, and what the account says to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from batchsync.errors import SettingError
from batchsync.ledger.statement import Statement
from batchsync.ledger.usage import Period
from batchsync.ledger.views import Views
from batchsync.planning.pricing import Price


@dataclass(frozen=True, slots=True)
class Head:
    """What a report is about. `moved` are the first and last moment (epoch seconds) at which credits moved."""

    zone: ZoneInfo
    period: Period
    ledger: str
    vendor: str | None
    made_at: float
    moved: tuple[float, float] | None
    statement: Statement
    price: Price | None

    def time(self, at: float) -> str:
        """A time as the report's zone has it."""
        return f"{datetime.fromtimestamp(at, self.zone):%Y-%m-%d %H:%M}"


def head(views: Views, ledger: str, period: Period, zone: ZoneInfo, price: Price | None) -> Head:
    """The head of a report on a period."""
    moved, statement = views.moved_between(period), views.statement(period)
    return Head(zone, period, ledger, views.vendor(), views.now, moved, statement, price)


# --- time zones ---


def zone_named(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises SettingError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingError(f"--timezone {name!r} is no time zone", hint="for example Europe/Berlin, or UTC") from None


def local_zone() -> ZoneInfo:
    """The system's own time zone if it has a name, else UTC."""
    places = [os.environ.get("TZ", "").removeprefix(":"), os.path.realpath("/etc/localtime")]
    for place in places:
        try:
            return ZoneInfo(place.rpartition("zoneinfo/")[2].removeprefix("Etc/"))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")


def day_start(name: str, text: str, zone: ZoneInfo) -> float:
    """When a day (YYYY-MM-DD) begins in a zone, in epoch seconds; `name` is the option's. Raises SettingError."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        raise SettingError(f"{name} {text!r} is no day", hint="write it as 2026-05-31") from None


def period_of(since: str | None, until: str | None, zone: ZoneInfo) -> Period:
    """From the day `since` on and before the day `until`. Raises SettingError."""
    period = Period(
        None if since is None else day_start("--since", since, zone),
        None if until is None else day_start("--until", until, zone),
    )
    if period.since is not None and period.until is not None and period.since >= period.until:
        raise SettingError(f"nothing lies between {since} and {until}", hint="--until is the first day left out")
    return period
