"""What the simulated vendor is like: its account, how long renders take and links live, how much it lets through."""

from __future__ import annotations

from dataclasses import dataclass

from batchsync.errors import SettingError

TIERS = ("free", "creator", "pro", "business")
DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """Settings of a sandbox; the defaults suit a demo. Raises SettingError for values that can't be meant.

    credits, tier, email  the account at its first start (a kept state remembers its own credits)
    queue_seconds         how long a project is `queued`
    render_seconds        median of the time it then takes to render
    render_sigma          spread of that time: the sigma of its lognormal distribution, 0 for always the same
    fps                   the true frame rate of every video; None: one that follows from the video's content
    outputs               files that a finished project offers
    upload_url_seconds, download_url_seconds, asset_seconds   lives of signed URLs and of uploaded files
    keys                  the API keys it accepts; empty: any
    rate_limit            API requests within any `rate_window` seconds; beyond that 429. None: no limit
    rate_fixed            whether those windows follow one another, as by a clock, instead of any one counting
    rate_retry_after      whether such a 429 carries `Retry-After`
    keep_alive_seconds    after how long an idle connection is closed
    seed                  of everything that looks random
    """

    credits: int = 1_000_000
    tier: str = "creator"
    email: str = "sandbox@example.com"
    queue_seconds: float = 0.3
    render_seconds: float = 1.5
    render_sigma: float = 0.3
    fps: float | None = None
    outputs: int = 1
    upload_url_seconds: float = DAY
    download_url_seconds: float = DAY
    asset_seconds: float = 7 * DAY
    keys: frozenset[str] = frozenset()
    rate_limit: int | None = None
    rate_window: float = 1.0
    rate_fixed: bool = False
    rate_retry_after: bool = True
    keep_alive_seconds: int = 65
    seed: int = 0

    def __post_init__(self) -> None:
        if self.tier not in TIERS:
            raise SettingError(f"the sandbox knows no tier {self.tier!r}", hint=f"one of {', '.join(TIERS)}")
        for name in ("credits", "queue_seconds", "render_seconds", "render_sigma"):
            if getattr(self, name) < 0:
                raise SettingError(f"the sandbox's {name} can't be negative")
        if self.fps is not None and self.fps <= 0:
            raise SettingError("the sandbox's fps must be above 0")
        if self.outputs < 1 or (self.rate_limit is not None and self.rate_limit < 1) or self.rate_window <= 0:
            raise SettingError("the sandbox's outputs, rate_limit and rate_window must be above 0")
