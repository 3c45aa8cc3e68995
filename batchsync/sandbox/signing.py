"""Signed URLs that expire, as object stores hand them out."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, urlencode


def sign(secret: str, origin: str, path: str, expires: float, generation: int) -> str:
    """The URL of `path` (from its slash on) at `origin`, good until `expires` (epoch seconds)."""
    query = {"expires": f"{expires:.3f}", "generation": str(generation)}
    query["signature"] = _signature(secret, origin, path, query["expires"], query["generation"])
    return f"{origin}{quote(path)}?{urlencode(query)}"


def fault_of(
    secret: str, origin: str, path: str, query: Mapping[str, str], now: float, generation: int
) -> str | None:
    """Why such a URL isn't good (any more), None where it is. `path` is unquoted."""
    expires, issued = query.get("expires", ""), query.get("generation", "")
    wanted = _signature(secret, origin, path, expires, issued)
    if not hmac.compare_digest(wanted.encode(), query.get("signature", "").encode()):
        return "SignatureDoesNotMatch"
    # Both are numbers of our own making, as the signature says.
    return "ExpiredToken" if now >= float(expires) or int(issued) < generation else None


def _signature(secret: str, *parts: str) -> str:
    return hmac.new(secret.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()
