"""The simulated vendor itself, without sockets: account, uploaded assets and projects, on a clock.

There are no tasks and no timers. A project's status follows from the time, and whoever looks at the world
first settles the credits of every project that has ended by then. Every change is an event: written to the
journal, then applied; at the next start the same events are applied again.
Nothing is really lip-synced: a project's output is the uploaded video itself, or a small built-in sample.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
import secrets
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchsync.clock import Clock, SystemClock
from batchsync.model.job import Mode
from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.faults import Fault
from batchsync.sandbox.journal import Journal
from batchsync.sandbox.project import Ask, Fate, Project
from batchsync.sandbox.refusal import Refusal, not_found
from batchsync.sandbox.store import Incoming, Store

TRUE_RATES = (24.0, 25.0, 30000 / 1001, 30.0)
PAID_MODES = frozenset({Mode.STANDARD, Mode.PRO})
ID_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(slots=True)
class Asset:
    """An uploaded file: the name jobs call it by, the stored file, how often it was sent. `size` in bytes."""

    path: str
    file: str
    size: int
    digest: str
    stored_at: float
    puts: int = 1
    expired: bool = False


class World:
    """One simulated account and all that belongs to it. Safe to use from several threads.

    With `state_dir` it goes on where it was, however it ended; without, it lives in a temporary directory.
    Raises SettingError if that directory is in use or its journal can't be read.
    """

    def __init__(self, config: SandboxConfig, *, clock: Clock | None = None, state_dir: Path | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self._temporary = state_dir is None
        self.directory = state_dir or Path(tempfile.mkdtemp(prefix="batchsync-sandbox-"))
        self._lock = threading.RLock()
        self._last = 0.0
        self._assets: dict[str, Asset] = {}
        self._projects: dict[str, Project] = {}
        self._ends: list[tuple[float, str]] = []
        self._leaks: list[dict[str, str]] = []
        self.balance_now = self.granted = self.generation = 0
        self.account_id = self.secret = ""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._journal = Journal(self.directory / "journal.jsonl")
        # Only now, as the store sweeps what another sandbox of that directory may be receiving.
        self.store = Store(self.directory / "assets")
        for event in self._journal.events:
            self._apply(event)
        if not self._journal.events:
            self._record("opened", credits=config.credits, account_id=new_id(), secret=secrets.token_hex(32))

    def close(self) -> None:
        self._journal.close()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    # --- Account --------------------------------------------------------------------------------------------

    def balance(self) -> int:
        """Credits left: always what was granted, less what all projects cost. Below 0 after a dear settlement."""
        with self._lock:
            self._settle(self.now())
            return self.balance_now

    def set_balance(self, credits: int) -> None:
        with self._lock:
            self._record("credits", balance=credits)

    # --- Assets ---------------------------------------------------------------------------------------------

    def stored(self, path: str, incoming: Incoming) -> Asset:
        """An upload is whole: keep it as `path`. What an older one of that name became part of stays as it was."""
        with self._lock:
            puts = self._assets[path].puts + 1 if path in self._assets else 1
            file = f"{hashlib.sha256(path.encode()).hexdigest()[:24]}-{puts}"
            size, digest = incoming.size, incoming.digest
            incoming.keep(file)
            self._record("stored", path=path, file=file, size=size, digest=digest, puts=puts)
            return self._assets[path]

    def asset(self, path: str) -> Asset | None:
        """An uploaded file that can still be used, or None."""
        asset = self._assets.get(path)
        if asset is None or asset.expired or self.now() >= asset.stored_at + self.config.asset_seconds:
            return None
        return asset

    def assets(self) -> tuple[Asset, ...]:
        with self._lock:
            return tuple(self._assets.values())

    def expire(self, *, assets: bool = False, urls: bool = False) -> None:
        """Make uploaded assets unusable, or every URL signed so far void."""
        with self._lock:
            self._record("expired", assets=assets, urls=urls)

    # --- Projects -------------------------------------------------------------------------------------------

    def create(self, ask: Ask, fault: Fault | None = None) -> Project:
        """Take the estimate and make the project. Raises Refusal (402), and then nothing has changed."""
        with self._lock:
            now = self.now()
            self._settle(now)
            if ask.mode in PAID_MODES and self.config.tier == "free":
                raise Refusal(402, "plan_upgrade_required", f"The {ask.mode} mode needs a paid plan.")
            if ask.estimate > self.balance_now:
                wanted = f"{ask.estimate} credits are needed, {max(0, self.balance_now)} are left."
                raise Refusal(402, "insufficient_credits", f"Not enough credits: {wanted}")
            asset = self._assets.get(ask.video)
            project = Project(
                id=new_id(),
                ask=ask,
                fate=self._fate(asset.digest if asset else ask.video, fault),
                created_at=now,
                source=asset.file if asset else None,
                outputs=self.config.outputs,
            )
            self._record("created", project=project.record())
            return self._projects[project.id]

    def project(self, project_id: str) -> Project:
        """A project, settled if it has ended. Raises Refusal (404)."""
        with self._lock:
            self._settle(self.now())
            if project_id not in self._projects:
                raise not_found("Video project")
            return self._projects[project_id]

    def projects(self) -> tuple[Project, ...]:
        """Every project ever made, in the order of their making."""
        with self._lock:
            self._settle(self.now())
            return tuple(self._projects.values())

    def cancel(self, project_id: str) -> bool:
        """Cancel a project as its owner would on the web, with a full refund; False if it had already ended."""
        with self._lock:
            if self.project(project_id).settled:
                return False
            self._record("canceled", id=project_id)
            return True

    def delete(self, project_id: str) -> None:
        with self._lock:
            self.project(project_id)
            self._record("deleted", id=project_id)

    # --- Leaks ----------------------------------------------------------------------------------------------

    def leaked(self, origin: str, where: str) -> None:
        """Someone sent the API key to an origin that must not have it."""
        with self._lock:
            self._record("leaked", origin=origin, where=where)

    def leaks(self) -> list[dict[str, str]]:
        with self._lock:
            return list(self._leaks)

    # --- Time, chance and events ----------------------------------------------------------------------------

    def now(self) -> float:
        """Epoch seconds that never go back, not even over a restart with a clock that was put back."""
        self._last = max(self._last, self.clock.now())
        return self._last

    def _fate(self, content: str, fault: Fault | None) -> Fate:
        config = self.config
        chance = random.Random(f"{config.seed}:{len(self._projects)}")  # noqa: S311  (to be repeatable)
        render = 0.0
        if config.render_seconds:
            render = chance.lognormvariate(math.log(config.render_seconds), config.render_sigma)
        rate = TRUE_RATES[hashlib.sha256(content.encode()).digest()[0] % len(TRUE_RATES)]
        fps = rate if config.fps is None else config.fps
        plain = Fate(config.queue_seconds, render, fps)
        if fault is None:
            return plain
        if fault.kind == "slow":
            return Fate(config.queue_seconds, render + fault.seconds, fps)
        if fault.kind == "cancel":
            late = fault.late
            return Fate(config.queue_seconds, render / 2, fps, "canceled", refund=fault.refund, late_seconds=late)
        if fault.kind == "error":
            code = fault.code or "unknown_error"
            how = (code, fault.message, fault.refund)
            return Fate(config.queue_seconds, render, fps, "error", *how, late_seconds=fault.late)
        return Fate(config.queue_seconds, render, fps, empty_looks=fault.looks)

    def _settle(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            self._close_account_of(self._projects[heapq.heappop(self._ends)[1]])

    def _close_account_of(self, project: Project) -> None:
        if not project.settled:
            project.settled = True
            final = project.final_charge()
            self.balance_now += project.charged - final
            project.charged = final

    def _record(self, kind: str, **what: Any) -> None:
        event = {"event": kind, "at": self.now(), **what}
        self._journal.append(event)
        self._apply(event)

    def _apply(self, event: dict[str, Any]) -> None:
        at = event["at"]
        self._last = max(self._last, at)
        self._settle(at)
        match event["event"]:
            case "opened":
                self.granted = self.balance_now = event["credits"]
                self.account_id, self.secret = event["account_id"], event["secret"]
            case "credits":
                self.granted += event["balance"] - self.balance_now
                self.balance_now = event["balance"]
            case "stored":
                names = ("path", "file", "size", "digest", "puts")
                self._assets[event["path"]] = Asset(stored_at=at, **{name: event[name] for name in names})
            case "expired":
                self.generation += event["urls"]
                for asset in self._assets.values():
                    asset.expired = asset.expired or event["assets"]
            case "created":
                self._begin(Project.from_record(event["project"]))
            case "canceled":
                project = self._projects[event["id"]]
                project.canceled_at = at
                self._close_account_of(project)
            case "deleted":
                self._projects[event["id"]].enabled = False
            case "leaked":
                self._leaks.append({"origin": event["origin"], "where": event["where"]})

    def _begin(self, project: Project) -> None:
        project.charged = project.ask.estimate
        self.balance_now -= project.charged
        self._projects[project.id] = project
        heapq.heappush(self._ends, (project.settles_at, project.id))


def new_id() -> str:
    """An id of the vendor's shape. Never repeatable: two sandboxes must not give the same id to two projects."""
    return "c" + "".join(secrets.choice(ID_LETTERS) for _ in range(24))
