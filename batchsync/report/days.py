"""Days and months of a report's time zone: how the ledger shall tell them apart, and what they are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from batchsync.ledger.usage import DAY, Period, Shifts
from batchsync.ledger.views import Views

QUARTER_HOUR = 900  # every change of a time zone's offset is at a multiple of it
_EPOCH = date(1970, 1, 1).toordinal()


def shifts(views: Views, period: Period, zone: ZoneInfo) -> Shifts:
    """How far a zone was from UTC when credits moved and jobs were submitted in a period."""
    ends = views.moved_between(Period())
    first = min(ends[0], views.now) if ends else views.now
    since = first if period.since is None else max(first, period.since)
    last = max(views.now, ends[1]) if ends else views.now
    until = last if period.until is None else min(last, period.until)
    return shifts_within(since, until, zone)


def shifts_within(since: float, until: float, zone: ZoneInfo) -> Shifts:
    """How far a zone is from UTC at the times from `since` to `until`, in epoch seconds."""

    def shift(quarter: int) -> int:
        offset = datetime.fromtimestamp(quarter * QUARTER_HOUR, zone).utcoffset()
        return 0 if offset is None else round(offset.total_seconds())

    found: list[tuple[float | None, int]] = []
    step = DAY // QUARTER_HOUR
    start, end = int(since // DAY) * step, int(until // DAY + 1) * step
    before = shift(start)
    for day in range(start, end, step):
        after = shift(day + step)
        if after != before:
            change = next(quarter for quarter in range(day, day + step + 1) if shift(quarter) == after)
            found.append((float(change * QUARTER_HOUR), before))
            before = after
    return [*found, (None, before)]


@lru_cache(maxsize=1024)
def day_name(day: int | None) -> str | None:
    """A day by its number (days since the epoch began), as 2026-05-31."""
    return None if day is None else date.fromordinal(_EPOCH + day).isoformat()


def month_name(day: int | None) -> str | None:
    """The month of a day by its number, as 2026-05."""
    name = day_name(day)
    return name and name[:7]


DATES: Mapping[str, Callable[[int | None], str | None]] = {"day": day_name, "month": month_name}
