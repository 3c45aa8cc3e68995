"""The answers of the simulated vendor: the world's values in the shapes of the OpenAPI file."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from xml.sax.saxutils import escape

from starlette.responses import JSONResponse, Response

from batchsync.sandbox.project import MESSAGES, Project
from batchsync.sandbox.refusal import Refusal
from batchsync.sandbox.world import World

PRICES = {"creator": 1900, "pro": 3900, "business": 9900}  # US cents a month


def iso(seconds: float) -> str:
    """Epoch seconds as `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(seconds: float) -> str:
    """Epoch seconds as `Sat, 31 Jan 2026 12:00:00 GMT`."""
    return formatdate(seconds, usegmt=True)


def account(world: World) -> dict[str, Any]:
    tier = world.config.tier
    subscription = {
        "name": tier.capitalize(),
        "status": "active",
        "price": {"amount": PRICES.get(tier, 0), "currency": "usd"},
        "discount": None,
        "billing_interval": "month",
        "current_period_end": None,
        "cancel_at_period_end": False,
    }
    return {
        "id": world.account_id,
        "email": world.config.email,
        "tier": tier,
        "credits": max(0, world.balance()),
        "subscription": None if tier == "free" else subscription,
    }


def created(project: Project) -> dict[str, Any]:
    estimate = project.ask.estimate
    return {"id": project.id, "credits_charged": estimate, "estimated_frame_cost": estimate}


def details(project: Project, now: float, downloads: list[dict[str, str]]) -> dict[str, Any]:
    """A project as it stands at `now`, with the links that it offers."""
    status = project.status(now)
    error = None
    if status == "error":
        code = project.fate.error_code or "unknown_error"
        error = {
            "code": code,
            "message": project.fate.error_message or MESSAGES.get(code, f"The render failed: {code}"),
        }
    return {
        "id": project.id,
        "name": project.ask.name,
        "status": status,
        "type": "LIP_SYNC",
        "created_at": iso(project.created_at),
        "width": -1,
        "height": -1,
        "enabled": project.enabled,
        "start_seconds": project.ask.start_seconds,
        "end_seconds": project.ask.end_seconds,
        "credits_charged": project.charged,
        "fps": project.shown_fps(now),
        "error": error,
        "downloads": downloads,
        "total_frame_cost": project.charged,
        "download": downloads[0] if downloads else None,
    }


def refused(refusal: Refusal) -> Response:
    """An error as the API gives it."""
    body = {"code": refusal.code, "message": refusal.message}
    headers = {} if refusal.retry_after is None else {"retry-after": refusal.retry_after}
    return JSONResponse(body, refusal.status, headers)


def refused_by_storage(refusal: Refusal) -> Response:
    """An error as an object store gives it: XML."""
    inside = f"<Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message>"
    headers = {} if refusal.retry_after is None else {"retry-after": refusal.retry_after}
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inside}</Error>'
    return Response(text, refusal.status, headers, media_type="application/xml")


def page(status: int) -> Response:
    """An error as a proxy in front gives it: HTML."""
    text = f"<!DOCTYPE html>\n<html><head><title>{status}</title></head><body><h1>Error {status}</h1></body></html>\n"
    return Response(text, status, media_type="text/html")
