"""`batchsync sandbox`: serve a simulated Magic Hour API on loopback."""

from __future__ import annotations

from pathlib import Path

import click

from batchsync.cli import options as o
from batchsync.cli.output import say
from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.faults import KINDS, OFTEN, OPERATIONS, Fault
from batchsync.sandbox.serve import serve_forever

FAULTS = f"""A fault is OPERATION:KIND, then how (a value, or options in parentheses), then how often.

\b
submit:cut_after:chance=0.05              1 in 20 is done, and never answered
submit:rate_limit(retry_after=2):times=3  the first three
project:status:503:every=10               each tenth look
render:error(no_source_face):match=intro  where intro is in a name or an input

OPERATION is {", ".join(OPERATIONS[:-1])} or {OPERATIONS[-1]}. KIND is {", ".join(KINDS)}. How often is
{", ".join(f"{name}=…" for name in OFTEN)}; they combine."""


@click.command("sandbox", short_help="serve a simulated Magic Hour API on loopback", epilog=FAULTS)
@o.option("--port", type=click.IntRange(0, 65535), default=8377, show_default=True, help="Of the API; 0 is any.")
@o.option("--state-dir", type=click.Path(path_type=Path), help="Keep projects, files and credits here.")
@o.option("--credits", type=click.IntRange(min=0), default=1_000_000, show_default=True, help="The first balance.")
@o.option(
    "--tier",
    type=click.Choice(["free", "creator", "pro", "business"]),
    default="creator",
    show_default=True,
    help="The account's plan.",
)
@o.option("--render-time", type=o.Duration(), default="1.5s", show_default=True, help="The median time of a render.")
@o.option("--seed", type=int, default=0, show_default=True, help="Of everything random.")
@o.option("--fault", "faults", multiple=True, metavar="FAULT", help="A fault to order, as told below. Repeatable.")
def command(
    port: int, state_dir: Path | None, credits: int, tier: str, render_time: float, seed: int, faults: tuple[str, ...]
) -> int:
    """Serve a simulated Magic Hour API on loopback, until it is interrupted. Nothing is really lip-synced.

    \b
    batchsync sandbox --fault submit:cut_after:chance=0.05
    MAGIC_HOUR_API_KEY=any batchsync run night.csv --api-url http://127.0.0.1:8377
    """
    config = SandboxConfig(credits=credits, tier=tier, render_seconds=render_time, seed=seed)
    serve_forever(
        config,
        port=port,
        state_dir=state_dir,
        faults=[Fault.parse(text) for text in faults],
        on_ready=lambda sandbox: say(f"The sandbox listens at {sandbox.api_url}"),
    )
    return 0
