"""What the three simulated origins share: the world, the faults in force, who may come in, and what is counted."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from batchsync.clock import Clock
from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.faults import REQUESTS, Faults
from batchsync.sandbox.refusal import Refusal
from batchsync.sandbox.signing import fault_of, sign
from batchsync.sandbox.world import World

SHORTEST_SECRET = 8  # shorter "keys" of tests occur in headers by chance


@dataclass(frozen=True, slots=True)
class Origins:
    """Scheme, host and port of each origin."""

    api: str
    uploads: str
    downloads: str


class Front:
    """The front desk. Only the serving loop calls it, but for `state`, which any thread may."""

    def __init__(self, world: World, faults: Faults, origins: Origins) -> None:
        self.world = world
        self.faults = faults
        self.origins = origins
        self.limiter = Limiter(world.config, world.clock)
        self.closing = asyncio.Event()
        self._keys: set[bytes] = {key.encode() for key in world.config.keys}
        self._outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._present: Counter[str] = Counter()
        self._peak: Counter[str] = Counter()

    # --- Who may come in ------------------------------------------------------------------------------------

    def check_key(self, request: Request) -> None:
        """Let in a request to the API that carries a key; raises Refusal (401)."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip()
        known = self.world.config.keys
        if scheme.lower() != "bearer" or not key or (known and key not in known):
            raise Refusal(401, "unauthorized", "The API key is missing or not valid.")
        self._keys.add(key.encode())

    def check_no_key(self, request: Request, origin: str) -> None:
        """Refuse and record a request to storage that carries a key; raises Refusal (400)."""
        where = "the Authorization header" if "authorization" in request.headers else None
        target = request.scope["raw_path"] + b"?" + request.scope["query_string"]
        for key in self._keys:
            if len(key) >= SHORTEST_SECRET and key in target:
                where = "the URL"
            elif len(key) >= SHORTEST_SECRET and any(key in value for _, value in request.scope["headers"]):
                where = where or "a header"
        if where is not None:
            self.world.leaked(origin, where)
            raise Refusal(400, "InvalidArgument", f"The API key came with a request to storage, in {where}.")

    # --- Signed URLs ----------------------------------------------------------------------------------------

    def signed(self, origin: str, path: str, seconds: float) -> tuple[str, float]:
        """A URL that is good for `seconds`, and when it ends (epoch seconds)."""
        expires = self.world.now() + seconds
        return sign(self.world.secret, origin, path, expires, self.world.generation), expires

    def check_signed(self, origin: str, request: Request) -> None:
        """Raises Refusal (403) for a URL that was tampered with or has expired."""
        world = self.world
        query = dict(request.query_params)
        code = fault_of(world.secret, origin, request.scope["path"], query, world.now(), world.generation)
        if code is not None:
            raise Refusal(403, code, "The URL is not valid, or not any more.")

    # --- What is counted ------------------------------------------------------------------------------------

    def began(self, operation: str) -> None:
        self._present[operation] += 1
        self._peak[operation] = max(self._peak[operation], self._present[operation])

    def ended(self, operation: str) -> None:
        self._present[operation] -= 1

    def count(self, operation: str, outcome: str) -> None:
        """One more request with that outcome: a status, or `cut`, `stalled`, `gone` (the client left)."""
        self._outcomes[operation][outcome] += 1

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the sandbox."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.closing.wait(), seconds)

    def state(self) -> dict[str, Any]:
        """All that a judge may want to know, as plain data."""
        world = self.world
        now, leaks = world.now(), world.leaks()
        projects = world.projects()
        return {
            "account": {"id": world.account_id, "tier": world.config.tier, "credits": world.balance()},
            "granted": world.granted,
            "projects": [
                {
                    "id": project.id,
                    "name": project.ask.name,
                    "status": project.status(now),
                    "credits_charged": project.charged,
                    "estimate": project.ask.estimate,
                    "created_at": project.created_at,
                    "ends_at": project.ends_at,
                    "fps": project.fps,
                    "enabled": project.enabled,
                    "video": project.ask.video,
                    "audio": project.ask.audio,
                    "start_seconds": project.ask.start_seconds,
                    "end_seconds": project.ask.end_seconds,
                    "max_fps_limit": project.ask.max_fps,
                    "generation_mode": str(project.ask.mode),
                }
                for project in projects
            ],
            "uploads": {a.path: {"puts": a.puts, "size": a.size, "sha256": a.digest} for a in world.assets()},
            "requests": {name: dict(self._outcomes[name]) for name in REQUESTS},
            "peak": {name: self._peak[name] for name in REQUESTS},
            "leaks": len(leaks),
            "leaked": leaks,
            "faults": self.faults.tally(),
        }


class Limiter:
    """So many requests within any window of so many seconds, or within each of those that follow one another."""

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._recent: deque[float] = deque()

    def admit(self) -> None:
        """Count one request in; raises Refusal (429) beyond the limit."""
        limit, window = self._config.rate_limit, self._config.rate_window
        if limit is None:
            return
        now = self._clock.monotonic()
        # Windows that follow one another begin at multiples of their length.
        begin = now - now % window if self._config.rate_fixed else math.nextafter(now - window, math.inf)
        while self._recent and self._recent[0] < begin:
            self._recent.popleft()
        if len(self._recent) < limit:
            self._recent.append(now)
            return
        wait = math.ceil((begin if self._config.rate_fixed else self._recent[0]) + window - now)
        retry_after = str(wait) if self._config.rate_retry_after else None
        raise Refusal(429, "too_many_requests", "Too many requests.", retry_after=retry_after)
