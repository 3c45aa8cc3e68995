"""A plan in words and as JSON, for `plan` and for the question that `run` asks."""

from __future__ import annotations

import textwrap
from typing import Any

from batchsync.cli.output import clean, counted, duration, number, problem_json, size
from batchsync.model.states import State
from batchsync.model.text import dollars
from batchsync.planning.forecast import Expected, Forecast
from batchsync.planning.plan import Plan
from batchsync.planning.pricing import USAGE, Price

WIDTH = 80
_LABEL = 10
_UNDER_WAY = (State.SUBMITTING, State.RENDERING, State.RENDERED)
_ENDED = (State.FAILED, State.CANCELED, State.HELD)


def plan_lines(plan: Plan, ahead: Forecast, price: Price | None) -> list[str]:
    """What a plan says, for people: a row for each thing, at most 80 columns wide."""
    rows = [
        ("Jobs", _jobs(plan)),
        ("Paid anew", _again(plan)),
        ("Uploads", _uploads(plan, ahead)),
        ("Credits", _credits(plan, ahead)),
        ("Money", _money(ahead, price)),
        ("Balance", _balance(ahead)),
        ("Time", _time(ahead)),
    ]
    return [line for label, sentences in rows for line in _row(label, sentences)]


def _row(label: str, sentences: list[str]) -> list[str]:
    lines = [part for sentence in sentences for part in textwrap.wrap(sentence, WIDTH - _LABEL)]
    return [f"{label if number == 0 else '':<{_LABEL}}{line}" for number, line in enumerate(lines)]


def _jobs(plan: Plan) -> list[str]:
    parts = [counted(len(plan.jobs), "job"), f"{number(len(plan.new))} new", f"{number(plan.complete)} complete"]
    others = {"waiting": _waiting(plan), "under way": _count(plan, *_UNDER_WAY), "changed": len(plan.changed)}
    others |= {state.value: _count(plan, state) for state in _ENDED}
    told = [" · ".join([*parts, *(f"{number(count)} {name}" for name, count in others.items() if count)])]
    if plan.duplicates:
        entries = "1 entry is" if plan.duplicates == 1 else f"{number(plan.duplicates)} entries are"
        told.append(f"{entries} the same as another: rendered once")
    return told


def _count(plan: Plan, *states: State) -> int:
    return sum(plan.states.get(state, 0) for state in states)


def _waiting(plan: Plan) -> int:
    """Jobs that the ledger knows as they are and that are not submitted yet."""
    return len(plan.waiting) - len(plan.new) - len(plan.changed)


def _again(plan: Plan) -> list[str]:
    jobs, credits, _ = plan.paid_again
    if not jobs:
        return []
    return [f"{counted(jobs, 'job')} for the same work as others: about {number(credits)} credits again"]


def _uploads(plan: Plan, ahead: Forecast) -> list[str]:
    files, count = plan.uploads
    told = [f"{counted(files, 'file')}, {size(count)}, each distinct file once"]
    if ahead.uploads is None:
        told.append("how many of them are at the vendor still isn't known: which account it is isn't known")
    elif ahead.uploads.files < files:
        left, rest = ahead.uploads
        told.append(f"{counted(left, 'file')}, {size(rest)} of them to send; the others are at the vendor still")
    return told


def _credits(plan: Plan, ahead: Forecast) -> list[str]:
    if not plan.waiting:
        return ["nothing is left to pay for"]
    told = [
        f"{number(plan.credits_estimated)} at submission (the vendor counts 30 frames per second)",
        _in_the_end(ahead.expected),
    ]
    if ahead.at_most is not None and ahead.at_most != ahead.expected.credits:
        told.append(f"{number(ahead.at_most)} at most")
    return told


def _in_the_end(expected: Expected) -> str:
    jobs = expected.by_rate + expected.by_ratio + expected.unknown
    if expected.credits is None:
        told = f"in the end unknown: {number(expected.unknown)} of {counted(jobs, 'job')} "
        told += "has no known frame rate" if expected.unknown == jobs == 1 else "have no known frame rate"
        return told + (f"; the others {number(expected.known)}" if expected.unknown < jobs else "")
    told = f"{number(expected.credits)} expected in the end (at the true frame rates"
    if expected.by_ratio:
        told += f"; {number(expected.by_ratio)} of {counted(jobs, 'job')} as others settled in this ledger"
    return told + ")"


def _money(ahead: Forecast, price: Price | None) -> list[str]:
    if price is None:
        return [_unpriced(ahead)]
    assert ahead.usd_estimated is not None
    told = f"{dollars(ahead.usd_estimated)} at submission, "
    told += "unknown" if ahead.usd_expected is None else f"{dollars(ahead.usd_expected)} expected"
    told += f" in the end ({clean(price.text)})"
    if len(price.bands) == 1:
        return [told]
    return [told, f"after {number(ahead.used_this_month)} credits that this ledger used this month (Pacific time)"]


def _unpriced(ahead: Forecast) -> str:
    """What would tell the money: the price of the account's tier, if that is known and has one."""
    if ahead.tier not in USAGE:
        return "unknown without a price, such as --price usage:creator"
    # An account that wasn't asked is taken for the one of the last run.
    whose = "this account" if ahead.balance is not None else "the account of the last run"
    return f"unknown without a price: --price usage:{ahead.tier} or plan:{ahead.tier} fits {whose}, tier {ahead.tier}"


def _balance(ahead: Forecast) -> list[str]:
    if ahead.balance is None:
        return ["unknown"]
    short = f": {number(ahead.missing)} credits too few" if ahead.missing else ""
    return [f"{number(ahead.balance)} credits{short}"]


def _time(ahead: Forecast) -> list[str]:
    if not ahead.renders:
        return ["nothing is left to render"]
    whose = "the median of this ledger" if ahead.own else "the vendor's usual time"
    return [
        f"about {duration(ahead.seconds)} of rendering: {counted(ahead.renders, 'job')}, "
        f"{number(ahead.max_in_flight)} at once, {duration(ahead.usual)} each ({whose})"
    ]


def plan_json(plan: Plan, ahead: Forecast) -> dict[str, Any]:
    """A plan as the contract's JSON, and more beside it; what isn't known is null."""
    files, count = plan.uploads
    left, expected = ahead.uploads, ahead.expected
    return {
        "jobs": len(plan.jobs),
        "new": len(plan.new),
        "already_complete": plan.complete,
        "waiting": _waiting(plan),
        "under_way": _count(plan, *_UNDER_WAY),
        "changed": len(plan.changed),
        "duplicates": plan.duplicates,
        **{state.value: _count(plan, state) for state in _ENDED},
        "paid_again": {"jobs": plan.paid_again.jobs, "credits": plan.paid_again.credits},
        "uploads": {"files": files, "bytes": count},
        "uploads_left": None if left is None else {"files": left.files, "bytes": left.bytes},
        "credits_estimated": plan.credits_estimated,
        "credits_expected": expected.credits,
        "credits_at_most": ahead.at_most,
        "frame_rates": {"known": expected.by_rate, "as_settled": expected.by_ratio, "unknown": expected.unknown},
        "used_this_month": ahead.used_this_month,
        "usd_estimated": None if ahead.usd_estimated is None else float(ahead.usd_estimated),
        "usd_expected": None if ahead.usd_expected is None else float(ahead.usd_expected),
        "tier": ahead.tier,
        "balance": ahead.balance,
        "credits_missing": ahead.missing,
        "render_seconds": {"usual": ahead.usual, "expected": ahead.seconds},
        "warnings": [problem_json(problem) for problem in plan.problems if problem.severity == "warning"],
    }
