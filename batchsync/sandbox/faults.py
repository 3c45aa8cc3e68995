"""Faults to order: where the sandbox goes wrong, how, and how often; as values, and as text.

    OPERATION:KIND[:VALUE][(NAME=VALUE, …)][:times=N][:every=K][:chance=P][:after=N][:match=TEXT]

    submit:cut_after:chance=0.05                      one submission in twenty is done, and never answered
    submit:rate_limit(retry_after=2):times=3          the first three are told to come back in two seconds
    project:status:503:every=10                       each tenth look
    render:error:no_source_face(refund=0.5):match=c7  renders of projects with c7 in their name or inputs

OPERATION is `upload_urls`, `put`, `submit`, `project`, `delete`, `account`, `download`, `render`,
or `any` for every request but not `render`. KIND is one of these; VALUE, which may also
stand first within the parentheses, is short for the option marked with *:

    status        answers with an HTTP error            status*=500, code, message, retry_after, done
    rate_limit    429                                   retry_after*=1: seconds, `date`, `none`, `absurd`, or any text
    html          a proxy's HTML page                   status*=502, done
    cut_before    closes the connection, undone         how=reset|eof
    cut_after     does it, then closes the connection   how=reset|eof
    cut_body      stops in the middle of the body       at*=0.5, how=eof|reset; of a PUT: in the middle of reading it
    stall         never answers                         done; at: the share that is sent, of a download or with done;
                                                        of a PUT: the share that is read
    slow          does it all, later                    seconds*=1; of a render: how much longer it takes
    garbage       does it; 200 with an unreadable body
    no_id         makes the project; 200 without its id             (submit)
    error_with_id makes the project; an error that names it  status*=500  (submit)
    expired_url   gives URLs that have expired; of a PUT or a download: refuses a good one as expired
    wrong_length  announces more bytes than it has                  (download)
    no_length     announces no length; with `how` its end isn't marked either: the connection's end is the body's
                                                        how*=eof|reset, at=1: the share before it  (download)
    no_range      ignores Range                                     (download)
    replaced      gives another file, with a validator of its own   (download)
    redirect      sends it on, once             to*=path|origin: elsewhere on that origin, or to another; status=302
                                                                    (download)
    error         the render fails                      code*=unknown_error, message, refund=1 (share given back),
                                                        late=0 (seconds until it is)
    cancel        the render is canceled half-way       refund=1, late=0
    empty_downloads  complete, but without downloads at first       looks*=1

`done=yes` means that what was asked for has been done all the same (a 504 after the project was made);
without it nothing has been. How often: `times` the first N, `every` each K-th, `chance` a share, `after` not
the first N, `match` only where the text occurs in the path or, for submissions, in the body. They combine.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from batchsync.errors import SettingError

REQUESTS = ("upload_urls", "put", "submit", "project", "delete", "account", "download")
RENDER = ("render",)
OPERATIONS = (*REQUESTS, *RENDER, "any")


@dataclass(frozen=True, slots=True)
class Kind:
    """Where a kind of fault may stand, the options it has, and which of them a bare value is short for."""

    operations: tuple[str, ...] = REQUESTS
    options: tuple[str, ...] = ()
    value: str | None = None


KINDS: dict[str, Kind] = {
    "status": Kind(options=("status", "code", "message", "retry_after", "done"), value="status"),
    "rate_limit": Kind(options=("retry_after",), value="retry_after"),
    "html": Kind(options=("status", "done"), value="status"),
    "cut_before": Kind(options=("how",), value="how"),
    "cut_after": Kind(options=("how",), value="how"),
    "cut_body": Kind(options=("at", "how"), value="at"),
    "stall": Kind(options=("done", "at")),
    "slow": Kind((*REQUESTS, *RENDER), options=("seconds",), value="seconds"),
    "garbage": Kind(),
    "no_id": Kind(("submit",)),
    "error_with_id": Kind(("submit",), options=("status",), value="status"),
    "expired_url": Kind(("upload_urls", "put", "project", "download")),
    "wrong_length": Kind(("download",)),
    "no_length": Kind(("download",), options=("how", "at"), value="how"),
    "no_range": Kind(("download",)),
    "replaced": Kind(("download",)),
    "redirect": Kind(("download",), options=("to", "status"), value="to"),
    "error": Kind(RENDER, options=("code", "message", "refund", "late"), value="code"),
    "cancel": Kind(RENDER, options=("refund", "late"), value="refund"),
    "empty_downloads": Kind(RENDER, options=("looks",), value="looks"),
}
OFTEN = ("times", "every", "chance", "after", "match")
NUMBERS: dict[str, tuple[type[int] | type[float], float, float]] = {
    "status": (int, 200, 599),
    "at": (float, 0, 1),
    "seconds": (float, 0, 1e9),
    "refund": (float, 0, 1),
    "late": (float, 0, 1e9),
    "looks": (int, 1, 1_000_000),
    "times": (int, 1, 1_000_000_000),
    "every": (int, 1, 1_000_000_000),
    "chance": (float, 0, 1),
    "after": (int, 0, 1_000_000_000),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, as the module's docstring tells. Options that are None have the kind's default."""

    operation: str
    kind: str
    status: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: str | None = None
    done: bool = False
    how: str | None = None
    at: float | None = None
    to: str | None = None
    seconds: float = 1.0
    refund: float = 1.0
    late: float = 0.0
    looks: int = 1
    times: int | None = None
    every: int | None = None
    chance: float | None = None
    after: int = 0
    match: str | None = None

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise _bad(self.operation, "no such operation", ", ".join(OPERATIONS))
        if self.kind not in KINDS:
            raise _bad(self.kind, "no such kind of fault", ", ".join(KINDS))
        where = KINDS[self.kind].operations
        if self.operation not in where and not (self.operation == "any" and where[: len(REQUESTS)] == REQUESTS):
            raise _bad(
                f"{self.operation}:{self.kind}", "that can't go wrong there", f"{self.kind} of {', '.join(where)}"
            )
        if self.how not in (None, "reset", "eof"):
            raise _bad(f"how={self.how}", "no such way to cut", "how=reset or how=eof")
        if self.to not in (None, "path", "origin"):
            raise _bad(f"to={self.to}", "no such place", "to=path or to=origin")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """A fault from its text; raises SettingError that says what is wrong and what would be right."""
        operation, _, rest = text.strip().partition(":")
        found = re.fullmatch(r"(?s)([a-z_]+)(?::([^:=()]+))?(?:\(([^()]*)\))?((?::[a-z]+=[^:]*)*)", rest.strip())
        if found is None:
            raise _bad(
                text, "not a fault", "OPERATION:KIND[:VALUE][(NAME=VALUE, …)][:times=N], as submit:status:503:times=2"
            )
        name, value, options, often = found.groups()
        kind = KINDS.get(name)
        if kind is None:
            raise _bad(name, "no such kind of fault", ", ".join(KINDS))
        parts = [part.strip() for part in (options or "").split(",") if part.strip()]
        if value is None and parts and "=" not in parts[0]:
            value = parts.pop(0)
        given: dict[str, Any] = {}
        if value is not None:
            if kind.value is None:
                raise _bad(text, f"{name} takes no value", _choice(kind.options))
            given[kind.value] = _read(kind.value, value.strip())
        for part in parts:
            _take(given, part, kind.options, name)
        for part in often.split(":")[1:]:
            _take(given, part, OFTEN, "how often")
        return cls(operation, name, **given)

    def __str__(self) -> str:
        """The text that `parse` reads as this fault."""
        changed = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        inside = ", ".join(f"{key}={_show(changed[key])}" for key in KINDS[self.kind].options if key in changed)
        often = "".join(f":{key}={_show(changed[key])}" for key in OFTEN if key in changed)
        return f"{self.operation}:{self.kind}{f'({inside})' if inside else ''}{often}"


class Faults:
    """The faults in force. Deterministic: how a fault falls depends on the seed and on how often it could have."""

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Put these in force instead; counting begins afresh."""
        with self._lock:
            self._faults = tuple(faults)
            self._seen = [0] * len(self._faults)
            self._fired = [0] * len(self._faults)

    def draw(self, operation: str, subject: str = "") -> Fault | None:
        """The fault that befalls this request (or render), if any: the first in their order that is due."""
        due: int | None = None
        with self._lock:
            for index, fault in enumerate(self._faults):
                if self._concerns(fault, operation, subject):
                    self._seen[index] += 1
                    if due is None and self._is_due(index, fault):
                        due = index
            if due is None:
                return None
            self._fired[due] += 1
            return self._faults[due]

    def tally(self) -> list[dict[str, Any]]:
        """For each fault its text, how many requests it could have befallen, and how many it did."""
        with self._lock:
            rows = zip(self._faults, self._seen, self._fired, strict=True)
            return [{"fault": str(fault), "seen": seen, "fired": fired} for fault, seen, fired in rows]

    def _concerns(self, fault: Fault, operation: str, subject: str) -> bool:
        at_home = fault.operation == operation or (fault.operation == "any" and operation in REQUESTS)
        return at_home and (fault.match is None or fault.match in subject)

    def _is_due(self, index: int, fault: Fault) -> bool:
        count = self._seen[index] - fault.after
        if count < 1 or (fault.times is not None and self._fired[index] >= fault.times):
            return False
        if fault.every is not None and count % fault.every:
            return False
        roll = random.Random(f"{self._seed}:{index}:{fault}:{count}").random()  # noqa: S311  (to be repeatable)
        return fault.chance is None or roll < fault.chance


def _take(given: dict[str, Any], part: str, known: tuple[str, ...], owner: str) -> None:
    name, equals, value = part.partition("=")
    name = name.strip()
    if not equals or name not in known:
        raise _bad(part, f"{owner} has no such option", _choice(known))
    given[name] = _read(name, value.strip())


def _read(name: str, value: str) -> Any:
    if name == "done":
        if value not in ("yes", "no"):
            raise _bad(f"done={value}", "neither yes nor no", "done=yes")
        return value == "yes"
    if name not in NUMBERS:
        return value
    kind, least, most = NUMBERS[name]
    try:
        number = kind(value)
    except ValueError:
        number = kind(-1)
    if not least <= number <= most:
        whole = "a whole number" if kind is int else "a number"
        raise _bad(f"{name}={value}", "can't be used", f"{whole} from {least:g} to {most:g}")
    return number


def _show(value: object) -> str:
    return "yes" if value is True else str(value)


def _choice(names: tuple[str, ...]) -> str:
    return f"one of {', '.join(names)}" if names else "it has no options"


def _bad(value: str, what: str, hint: str) -> SettingError:
    return SettingError(f"sandbox fault {value!r}: {what}", hint=hint)
