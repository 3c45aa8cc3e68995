"""A job's story in words: every event of its history as a line with its time, and the credits that moved with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchsync.cli.options import local
from batchsync.cli.output import clean, duration, near, size
from batchsync.model.credits import MONEY_KINDS, EntryKind
from batchsync.model.states import TRANSITIONS, Effect, Event

Row = Mapping[str, Any]
History = Mapping[str, Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of the story: when (epoch seconds), and what; `bad` if something went wrong there."""

    at: float
    text: str
    bad: bool = False


def story(history: History) -> list[Happening]:
    """What happened to a job, oldest first."""
    teller = _Teller(history)
    return [teller.tell(event) for event in history["events"]]


BAD = frozenset(
    {
        Event.SUBMIT_DEFERRED,
        Event.SUBMIT_REFUSED,
        Event.SUBMIT_LOST,
        Event.STRAY_PROJECT,
        Event.CLAIM_REFUTED,
        Event.RENDER_FAILED,
        Event.VENDOR_CANCELED,
        Event.ATTEMPT_FAILED,
        Event.GAVE_UP,
    }
)
# What a try that failed was about, by the state in which it failed.
_TRIED = {"planned": "upload", "uploaded": "submission", "rendering": "look at the render", "rendered": "download"}
# The entry that is money, by what an event does to credits.
_MOVES = {
    Effect.CHARGE: (EntryKind.CHARGE,),
    Effect.UNCHARGE: (EntryKind.SETTLE,),
    Effect.ADJUST: (EntryKind.SETTLE,),
    Effect.SETTLE: (EntryKind.SETTLE,),
    Effect.REFUND: (EntryKind.REFUND, EntryKind.SETTLE),
}


class _Teller:
    """Tells events in their order; knows what came before, and what else the history says of them."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.submissions = {row["id"]: row for row in history["submissions"]}
        self.unsaid = [row for row in history["credits"] if row["kind"] in MONEY_KINDS]
        self.charged: dict[str | None, int] = {}
        self.run_id: str | None = None
        self.project: str | None = None
        self.sent_at: float | None = None
        self.status: str | None = None

    def tell(self, event: Row) -> Happening:
        kind = Event(event["event"])
        text = TOLD[kind](self, event, event["detail"] or {})
        parts = [text] if kind is Event.ADDED else [text, *self._money(kind, event["at"])]
        if event["run_id"] not in (None, self.run_id):
            self.run_id = event["run_id"]
            parts.append(f"by run {self.run_id}")
        return Happening(event["at"], "; ".join(parts), kind in BAD)

    def _money(self, kind: Event, at: float) -> list[str]:
        """The credits that moved with an event, with what their project then comes to."""
        kinds = (EntryKind.CHARGE,) if kind is Event.STRAY_PROJECT else _MOVES.get(TRANSITIONS[kind].effect, ())
        row = next((row for row in self.unsaid if row["at"] == at and row["kind"] in kinds), None)
        if row is None:
            return []
        self.unsaid.remove(row)
        total = self.charged[row["project_id"]] = self.charged.get(row["project_id"], 0) + row["amount"]
        comes_to = "" if row["kind"] == EntryKind.CHARGE and total == row["amount"] else f", {total:,} in all"
        return [f"{_MONEY[row['kind']]} {_credits(row)}{comes_to}"]

    # --- one method for each event whose words need more than its detail ---

    def added(self, event: Row, detail: Row) -> str:
        places = [place for place in self.history["places"] if place["current"]] or self.history["places"]
        return "added" + (f" from {where(places[0])}" if places else "")

    def assets_ready(self, event: Row, detail: Row) -> str:
        files = [self._upload(media, event["at"]) for media in self.history["media"]]
        return "its files are at the vendor: " + ", ".join(files) if files else "nothing to upload"

    def _upload(self, media: Row, at: float) -> str:
        found = [row for row in self.history["uploads"] if row["digest"] == media["digest"]]
        newest = [row for row in found if row["kind"] == media["kind"] and row["uploaded_at"] <= at][-1:]
        name = f"{media['kind']} {clean(Path(media['path']).name)}"
        if not newest:
            return name
        since = newest[0]["uploaded_at"]
        there = "" if at - since < 1 else f", there since {_clock(since, at)}"
        return f"{name} ({size(newest[0]['size'])}{there})"

    def submit_started(self, event: Row, detail: Row) -> str:
        self.sent_at, self.status = event["at"], None
        sent = self.submissions.get(detail.get("submission"))
        if sent is None:
            return "submitted"
        fps = f", at {detail['max_fps_limit']:g} frames per second at most" if detail.get("max_fps_limit") else ""
        return f"submission {sent['number']}, as “{clean(sent['name'])}”{fps}"

    def accepted(self, event: Row, detail: Row) -> str:
        self.project = detail.get("project")
        return f"created as project {clean(self.project)}{self._http(detail)}"

    def not_created(self, event: Row, detail: Row) -> str:
        return f"not created{self._http(detail)}: {_fault(detail)}"

    def deferred(self, event: Row, detail: Row) -> str:
        return self.not_created(event, detail) + "; to be sent again"

    def lost(self, event: Row, detail: Row) -> str:
        if detail.get("code") == "killed":
            return "held: the run ended while it was being submitted, and nobody knows whether it was created"
        return f"held: nobody knows whether it was created{self._http(detail)}: {_fault(detail)}"

    def _http(self, detail: Row) -> str:
        sent = self.submissions.get(detail.get("submission"))
        return f" (HTTP {sent['http_status']})" if sent is not None and sent["http_status"] else ""

    def looked(self, event: Row, detail: Row) -> str:
        before, self.status = self.status, detail.get("status")
        return "restated" if before == self.status else clean(self.status)

    def render_done(self, event: Row, detail: Row) -> str:
        took = "" if self.sent_at is None else f", {duration(event['at'] - self.sent_at)} after its submission"
        return f"rendered{took}" + (f", at {detail['fps']:g} frames per second" if detail.get("fps") else "")

    def saved(self, event: Row, detail: Row) -> str:
        rows = {row["path"]: row for row in self.history["outputs"]}
        files = []
        for path in detail.get("paths") or rows:
            row = rows.get(path, {})
            facts = f" ({size(row['size'])}, sha256 {row['digest']})" if row.get("size") is not None else ""
            files.append(clean(near(path)) + facts)
        return "downloaded to " + ", ".join(files)

    def attempt_failed(self, event: Row, detail: Row) -> str:
        return f"{_TRIED.get(event['from_state'], 'try')} failed: {_fault(detail)}; to be tried again"


def _clock(then: float, now: float) -> str:
    """When something was; without its day where that is the same."""
    day, clock = local(then).split(" ")
    return clock if local(now).startswith(day) else f"{day} {clock}"


def where(place: Row) -> str:
    """The file and line of a job's row."""
    return clean(near(place["path"])) + (f":{place['line']}" if place["line"] else "")


_MONEY = {"charge": "charged", "settle": "settled", "refund": "refunded"}


def _credits(row: Row) -> str:
    amount = -row["amount"] if row["kind"] == "refund" else row["amount"]
    return f"{amount:+,} credits" if row["kind"] == "settle" else f"{amount:,} credits"


def _fault(detail: Row) -> str:
    return f"{clean(detail.get('message') or 'no reason is known')} ({clean(detail.get('code') or 'unknown')})"


def _by(detail: Row) -> str:
    by = detail.get("by", "user")
    return "by hand" if by == "user" else f"with {clean(by)}"


TOLD: Mapping[Event, Callable[[_Teller, Row, Row], str]] = {
    Event.ADDED: _Teller.added,
    Event.CHANGED: lambda t, e, d: "changed: its manifest asks for something else now",
    Event.ASSETS_READY: _Teller.assets_ready,
    Event.ASSETS_EXPIRED: lambda t, e, d: "its files are at the vendor no more: to be uploaded again",
    Event.SUBMIT_STARTED: _Teller.submit_started,
    Event.SUBMIT_ACCEPTED: _Teller.accepted,
    Event.SUBMIT_DEFERRED: _Teller.deferred,
    Event.SUBMIT_REFUSED: _Teller.not_created,
    Event.SUBMIT_LOST: _Teller.lost,
    Event.STRAY_PROJECT: lambda t, e, d: (
        f"a late answer: project {clean(d.get('project'))} was created too; it is paid for, and not followed"
    ),
    Event.RESOLVED_FOUND: lambda t, e, d: f"resolved {_by(d)}: it is project {clean(d.get('project'))}",
    Event.RESOLVED_ABSENT: lambda t, e, d: (
        "resolved by hand: it was not created, and may be sent again"
        if d.get("by", "user") == "user"
        else f"to be sent again {_by(d)}, though it may have been created"
    ),
    Event.CLAIM_REFUTED: lambda t, e, d: f"held again: the vendor knows no project {clean(d.get('project'))}",
    Event.ABANDONED: lambda t, e, d: "given up by hand: what it may have cost is not known",
    Event.STILL_RENDERING: _Teller.looked,
    Event.RENDER_DONE: _Teller.render_done,
    Event.RENDER_FAILED: lambda t, e, d: f"the render failed: {_fault(d)}",
    Event.VENDOR_CANCELED: lambda t, e, d: clean(d.get("message") or "canceled at the vendor"),
    Event.LOOK_AGAIN: lambda t, e, d: "looked up again: the links to the output were not known here, or had run out",
    Event.OUTPUT_SAVED: _Teller.saved,
    Event.ATTEMPT_FAILED: _Teller.attempt_failed,
    Event.GAVE_UP: lambda t, e, d: f"given up: {_fault(d)}",
    Event.RETRY_RENDER: lambda t, e, d: f"put back {_by(d)}: to be submitted and paid anew",
    Event.RETRY_FOLLOW: lambda t, e, d: f"put back {_by(d)}: its project is followed again",
}
