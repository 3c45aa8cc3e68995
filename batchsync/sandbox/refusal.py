"""How the simulated vendor says no: a status, a code of its own, and words."""

from __future__ import annotations


class Refusal(Exception):
    """An answer with an error `status`, a body of `code` and `message`, and perhaps a `Retry-After` as it is sent."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.code = code
        self.message = message


def invalid(message: str) -> Refusal:
    return Refusal(400, "invalid_request", message)


def not_found(what: str) -> Refusal:
    return Refusal(404, "not_found", f"{what} not found")
