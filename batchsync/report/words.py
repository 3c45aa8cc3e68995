"""A report in words: its head, and what its sums come to. Every format for people says these."""

from __future__ import annotations

from batchsync.ledger.statement import BalanceRow
from batchsync.model.text import clean, counted, dollars, number
from batchsync.planning.pricing import Price
from batchsync.report.credits import Report
from batchsync.report.head import Head


def grouping(by: str) -> str:
    """What a report is grouped by, in words."""
    return clean(f"tag {by.removeprefix('tag:')}" if by.startswith("tag:") else by)


def title(by: str) -> str:
    """What a report is called."""
    return f"Credit usage by {grouping(by)}"


def head_rows(head: Head) -> list[tuple[str, list[str]]]:
    """The head in words: a label, and its sentences."""
    return [
        ("Account", [_account(head)]),
        ("Period", [_period(head), "credits count when they moved, jobs when they were last submitted"]),
        ("Ledger", [clean(head.ledger) + (" (simulated credits)" if head.vendor == "sandbox" else "")]),
        ("Balance", _balance(head)),
        ("Unexplained", _difference(head)),
        *([("Money", _money(head.price))] if head.price else []),
    ]


def _account(head: Head) -> str:
    found = head.statement.closing or head.statement.opening
    if found is None:
        return "not known: no balance was recorded"
    if head.statement.accounts > 1:
        return f"{head.statement.accounts} accounts in this period, the last of them {_named(found)}"
    return _named(found)


def _named(balance: BalanceRow) -> str:
    return f"{clean(balance.account_id or 'of no known number')}, tier {clean(balance.tier or 'not known')}"


def _period(head: Head) -> str:
    zone = head.zone.key
    since, until = head.period.since, head.period.until
    if since is None and until is None:
        if head.moved is None:
            return f"all that the ledger knows; no credits have moved yet ({zone} time)"
        first, last = (head.time(at) for at in head.moved)
        return f"all that the ledger knows: credits moved from {first} to {last} ({zone} time)"
    parts = [f"from {head.time(since)}"] if since is not None else []
    parts += [f"before {head.time(until)}"] if until is not None else []
    none = "" if head.moved else "; no credits moved in it"
    return f"{' and '.join(parts)} ({zone} time){none}"


def _balance(head: Head) -> list[str]:
    opening, closing = head.statement.opening, head.statement.closing
    if opening is None:
        return ["not known: none was recorded"]
    told = [f"opening {number(opening.credits)} credits, read {head.time(opening.at)}"]
    if closing is None:
        return [*told, "closing not known: no other balance was recorded by the end of the period"]
    return [*told, f"closing {number(closing.credits)} credits, read {head.time(closing.at)}"]


def _difference(head: Head) -> list[str]:
    found = head.statement
    if found.opening is None or found.closing is None:
        return ["not known: that takes two balances"]
    if found.known is None or found.unexplained is None:
        return ["not known: the balances are of more than one account"]
    lost, left = found.opening.credits - found.closing.credits, found.unexplained
    told = [
        f"{number(left)} credits: between these two balances the account {_lost(lost)}, "
        f"and this ledger knows of {number(found.known)}"
    ]
    if left > found.lost_credits:
        told.append("nothing in this ledger explains it; other use of the account would")
    elif left > 0:
        told.append("submissions of unknown outcome may explain it, as other use of the account would")
    elif left < 0:
        told.append("it lost less than these jobs took; a top-up, or credits that were given back, would explain it")
    if found.lost_jobs:
        sent = counted(found.lost_jobs, "submission")
        told.append(f"{sent} of unknown outcome may have cost up to {number(found.lost_credits)} credits")
    if not (found.opening.quiet and found.closing.quiet):
        told.append("jobs were in flight when a balance was read: what they took may show on either side of it")
    return told


def _lost(credits: int) -> str:
    return f"lost {number(credits)}" if credits >= 0 else f"gained {number(-credits)}"


def _money(price: Price) -> list[str]:
    source = f", prices as of {price.as_of}" if price.as_of else " dollars per credit"
    told = [f"{clean(price.text)}{source}"]
    if len(price.bands) > 1:
        told.append(
            "its bands go by month of Pacific time, in the order in which credits moved; other use of the account, "
            "which would bring the cheaper bands sooner, isn't known"
        )
    return told


def summary(report: Report) -> list[str]:
    """What the totals come to, in sentences."""
    total = report.totals
    if not report.groups:
        return ["Nothing was submitted, and no credits moved."]
    told = [
        f"{number(total.net)} credits net" + (f", {dollars(total.cents / 100)}" if total.cents is not None else "")
    ]
    if total.per_clip is not None:
        told[0] += f"; {counted(total.complete, 'finished clip')} at {total.per_clip:,.1f} credits each"
        told[0] += f"{_usd(total.usd_of(total.per_clip))}"
    if total.per_minute is not None:
        told[0] += f", {total.per_minute:,.1f} a minute{_usd(total.usd_of(total.per_minute))}"
    if total.delta_percent is not None:
        how = f"{abs(total.delta_percent):.1f} % {'above' if total.delta > 0 else 'below'} the estimate of"
        how = how if total.delta else "exactly the estimate of"
        told.append(
            f"rendered jobs settled at {number(total.clips_settled)} credits, {how} {number(total.clips_estimated)}"
        )
    if total.net != total.settled:
        told.append(f"{number(total.net - total.settled)} credits of it are of jobs that the vendor still renders")
    if total.wasted:
        told.append(f"{number(total.wasted)} credits bought no usable file")
    if total.unknown:
        told.append(f"up to {number(total.unknown)} credits more are unknown: what lost submissions may have cost")
    return told


def _usd(value: float | None) -> str:
    return "" if value is None else f" ({dollars(value)})"
