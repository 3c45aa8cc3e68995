"""`resolve --suggest` in words: what the account's balance says about each held job. It changes nothing."""

from __future__ import annotations

import time
from typing import Any

import anyio

from batchsync.cli.connect import Connection
from batchsync.cli.options import iso, local
from batchsync.cli.output import clean, number, say
from batchsync.errors import SettingError
from batchsync.ledger.ledger import Ledger
from batchsync.model.evidence import Doubt, Finding, Reading, Span, Weighed, weigh
from batchsync.vendor.port import Account, VendorTrouble


def weigh_held(ledger: Ledger, connection: Connection, job: str | None) -> list[Weighed]:
    """Judge the held jobs (or one of them) by the account. Raises SettingError where there is nothing to compare."""
    doubts = ledger.read(lambda v: v.doubts())
    held = [doubt for doubt in doubts if doubt.held]
    if job is not None:
        wanted = ledger.read(lambda v: v.job(job)).id
        held = [doubt for doubt in held if doubt.job_id == wanted]
        if not held:
            raise SettingError(f"job {wanted} is not held: there is nothing to find out")
    if not held:
        return []
    _wait_for(held)
    now = _now(ledger, connection)

    found = ledger.read(lambda v: weigh(v.evidence(now)))
    wanted_ids = {doubt.submission_id for doubt in held}
    return [weighed for weighed in found if weighed.doubt.submission_id in wanted_ids]


def _wait_for(held: list[Doubt]) -> None:
    """Give the vendor the time that it may still need for the last of them."""
    wait = max(doubt.started_at + doubt.settling for doubt in held) - time.time()
    if 0 < wait <= max(doubt.settling for doubt in held):
        say(f"The vendor may still be at work on the last one: asking in {wait:.0f} s.", err=True)
        time.sleep(wait)


def _now(ledger: Ledger, connection: Connection) -> Reading:
    """The balance now; quiet if nothing of the ledger is in flight."""
    before = ledger.read(lambda v: v.standing())
    account = _account(connection)
    after = ledger.read(lambda v: v.standing())
    if account.credits is None:
        raise SettingError("the vendor doesn't tell the balance: there is nothing to compare")
    return Reading(time.time(), account.id, account.credits, after.last_entry, after.is_quiet_since(before))


def _account(connection: Connection) -> Account:
    async def ask() -> Account:
        vendor = connection.vendor()
        try:
            return await vendor.account()
        finally:
            await vendor.aclose()

    try:
        return anyio.run(ask)
    except VendorTrouble as failure:
        raise SettingError(
            f"the account can't be read: {failure.trouble.message}", hint="nothing was changed; try again later"
        ) from None


def print_weighed(found: list[Weighed]) -> None:
    """Each held job with its finding, its reason and the next step."""
    if not found:
        say("No job is held.")
    for weighed in found:
        doubt = weighed.doubt
        say(f"{clean(doubt.job_id)} (token {doubt.token}, sent {local(doubt.started_at)}): {weighed.finding.value}")
        if weighed.span is not None:
            say(f"  {_compared(weighed.span)}")
        say(f"  {_costs(doubt)}; {weighed.why}.")
        say(f"  {_next(weighed)}")
    if found:
        say("Nothing was changed: the balance is evidence, and the decision is yours.")


def _compared(span: Span) -> str:
    left = f"{number(span.unexplained)} are unexplained" if span.unexplained else "nothing is unexplained"
    return (
        f"The account had {number(span.first.credits)} credits at {local(span.first.at)} and "
        f"{number(span.last.credits)} at {local(span.last.at)}. Known jobs took {number(span.known)} of them; {left}."
    )


def _costs(doubt: Doubt) -> str:
    amounts = sorted(doubt.costs)
    if len(amounts) > 3:
        return f"It would have taken {number(amounts[0])} to {number(amounts[-1])} credits"
    return f"It would have taken {' or '.join(number(amount) for amount in amounts)} credits"


def _next(weighed: Weighed) -> str:
    job = clean(weighed.doubt.job_id)
    if weighed.finding is Finding.CREATED:
        return f"Find its token in the vendor's library, then: batchsync resolve {job} --project ID"
    if weighed.finding is Finding.NOT_CREATED:
        return f"batchsync resolve {job} --not-created lets it be sent (again)"
    return "Look for its token in the vendor's library."


def weighed_json(weighed: Weighed) -> dict[str, Any]:
    """A finding as data; credits and ISO times."""
    span = weighed.span
    return {
        "job": weighed.doubt.job_id,
        "token": weighed.doubt.token,
        "finding": weighed.finding.value,
        "why": weighed.why,
        "submitted_at": iso(weighed.doubt.started_at),
        "may_have_cost": sorted(weighed.doubt.costs),
        "compared": None
        if span is None
        else {
            "from": iso(span.first.at),
            "to": iso(span.last.at),
            "lost": span.lost,
            "known": span.known,
            "unexplained": span.unexplained,
        },
    }
