"""A plan in words and as JSON, for `plan` and for the question that `run` asks."""

from __future__ import annotations

from typing import Any

from batchsync.cli.output import counted, money, number, problem_json, size
from batchsync.planning.plan import Plan
from batchsync.planning.pricing import Price


def plan_lines(plan: Plan, price: Price | None, balance: int | None) -> list[str]:
    """What a plan says, for people."""
    known = len(plan.known) - plan.complete
    parts = [counted(len(plan.jobs), "job"), f"{number(len(plan.new))} new", f"{number(plan.complete)} complete"]
    if known:
        parts.append(f"{number(known)} already under way or waiting")
    if plan.changed:
        parts.append(f"{number(len(plan.changed))} changed")
    files, count = plan.uploads
    lines = [
        " · ".join(parts),
        f"Uploads: {counted(files, 'file')}, {size(count)}, each distinct file once",
        f"Credits: {number(plan.credits_estimated)} at submission (the vendor counts 30 frames per second, "
        "and settles at the true frame rate)",
    ]
    if price is not None:
        lines.append(f"Money: {money(price.usd(plan.credits_estimated))}")
    if balance is not None:
        missing = plan.credits_estimated - balance
        enough = f", {number(missing)} too few" if missing > 0 else ""
        lines.append(f"Balance: {number(balance)} credits{enough}")
    return lines


def plan_json(plan: Plan, price: Price | None, balance: int | None) -> dict[str, Any]:
    """A plan as the contract's JSON."""
    files, count = plan.uploads
    return {
        "jobs": len(plan.jobs),
        "new": len(plan.new),
        "already_complete": plan.complete,
        "uploads": {"files": files, "bytes": count},
        "credits_estimated": plan.credits_estimated,
        "usd_estimated": None if price is None else float(price.usd(plan.credits_estimated)),
        "balance": balance,
        "warnings": [problem_json(problem) for problem in plan.problems if problem.severity == "warning"],
    }
