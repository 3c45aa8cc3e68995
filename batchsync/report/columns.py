"""The columns of a report, for every format: what each is called, what it means, how it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from batchsync.model.text import dollars
from batchsync.report.credits import Report, Usage

Value = int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column. The lower its `rank`, the sooner it is shown where there is little room; None: only if asked for.

    `rare` columns are left out, too, where they are zero throughout.
    """

    name: str
    title: str
    meaning: str
    of: Callable[[Usage], Value]
    rank: int | None
    rare: bool = False
    form: str = ",d"
    shown: Callable[[Usage], Value] | None = None  # to people, where that isn't just `of` in another form

    def values(self, groups: Sequence[Usage]) -> list[Value]:
        """The numbers that people see."""
        return list(map(self.shown or self.of, groups))

    def text(self, usage: Usage) -> str:
        """A cell for people."""
        return self.texts([usage])[0]

    def texts(self, groups: Sequence[Usage], width: int = 0) -> list[str]:
        """The cells of groups, at least so wide: each number is written once, however often it comes up."""
        values = self.values(groups)
        texts = {value: written(value, self.form).rjust(width) for value in set(values)}
        return [texts[value] for value in values]


def written(value: Value, form: str) -> str:
    """A number for people; `usd` is a form, too."""
    if value is None:
        return "–"
    if form == "usd":
        return dollars(value)
    return f"{value:{form}}"


def _usd_per(name: str) -> Callable[[Usage], Value]:
    def of(usage: Usage) -> Value:
        value = usage.usd_of(getattr(usage, name))
        return None if value is None else round(value, 6)

    return of


def _usd(usage: Usage) -> Value:
    return None if usage.micros is None else usage.micros / 1_000_000


def _cents(usage: Usage) -> Value:
    return None if usage.cents is None else usage.cents / 100


def _plain(name: str, meaning: str, rank: int | None, *, title: str = "", rare: bool = False) -> Column:
    return Column(name, title or name, meaning, attrgetter(name), rank, rare)


def _ratio(name: str, title: str, meaning: str, rank: int, *, digits: int = 2, form: str = ",.1f") -> Column:
    """A number that isn't whole: rounded as data, and to one place for people."""

    def of(usage: Usage) -> Value:
        value = getattr(usage, name)
        return None if value is None else round(value, digits)

    data = {"per_clip": "credits_per_clip", "per_minute": "credits_per_minute"}.get(name, name)
    return Column(data, title, meaning, of, rank, form=form, shown=attrgetter(name))


COLUMNS = (
    _plain("jobs", "jobs that were last submitted in the period", 1),
    _plain("complete", "of them, those whose files are here", 2),
    _plain("failed", "of them, those that failed or were canceled", 4, rare=True),
    _plain("canceled", "of the failed ones, those that were canceled at the vendor", 15, rare=True),
    _plain("held", "of them, those of which nobody knows whether they were created", 5, rare=True),
    _plain("estimated", "credits expected for these jobs, at 30 frames per second", 9),
    _plain("charged", "credits that the vendor took, with its later corrections", 7),
    _plain("adjusted", "of them, the corrections: at the true frame rate in the end", None),
    _plain("refunded", "credits that it gave back", 8, rare=True),
    _plain("net", "charged less refunded: what the account lost for these jobs", 0),
    _plain("settled", "of the net, what is final: the vendor has finished with the project", 12),
    _plain("unknown", "credits that submissions of unknown outcome may have cost beyond the net", 6, rare=True),
    _plain("wasted", "of the net, credits that bought no usable file", 6, rare=True),
    _ratio("minutes", "minutes", "length of the finished clips", 13, digits=3),
    _ratio("per_clip", "per clip", "credits for a finished clip: all that these jobs cost, failed tries too", 10),
    _ratio("per_minute", "per minute", "credits for a minute of finished clips", 11),
    _plain("clips_estimated", "credits that were estimated for the rendered jobs", None, title="clips est."),
    _plain("clips_settled", "credits that the same jobs settled at", None, title="clips settled"),
    Column("delta", "delta", "settled less estimated", attrgetter("delta"), None, form="+,d"),
    _ratio("delta_percent", "delta %", "that, in percent of the estimate", 14, form="+,.1f"),
)
MONEY = (
    Column("usd", "money", "dollars that the net costs", _usd, 3, form="usd", shown=_cents),
    Column("usd_per_clip", "a clip", "dollars for a finished clip", _usd_per("per_clip"), 10, form="usd"),
    Column("usd_per_minute", "a minute", "dollars for a minute of them", _usd_per("per_minute"), 11, form="usd"),
)
DATA = (*COLUMNS, *MONEY)
SETTLEMENT = ("clips_estimated", "clips_settled", "delta", "delta_percent")  # names of those that compare


def for_people(report: Report, *, every: bool = False) -> list[Column]:
    """The columns that say something about a report; `every` for those that are only shown if asked for, too."""
    columns = [*COLUMNS, *(MONEY if report.totals.micros is not None else ())]
    if every:
        return columns
    return [
        column
        for column in columns
        if column.rank is not None and not (column.rare and not any(map(column.of, report.groups)))
    ]
