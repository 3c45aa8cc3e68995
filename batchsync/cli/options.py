"""Options that commands share. Each has an environment variable: --output-dir is BATCHSYNC_OUTPUT_DIR."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from batchsync.runner.options import Failures, RunOptions
from batchsync.vendor import API_URL

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A time span: `90s`, `15m`, `2h`, `1h30m`, or plain seconds. Its value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        text = value.strip().lower()
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        if not parts or "".join(a + b for a, b in parts) != text:
            self.fail(f"{value!r} is no duration; write it as 90s, 15m or 2h", param, ctx)
        return sum(float(amount) * _UNITS[unit] for amount, unit in parts)


class ClockTime(click.ParamType):  # type: ignore[type-arg]
    """A time of day, `HH:MM`: the next moment at which the local clock reads so, in epoch seconds."""

    name = "HH:MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", value.strip())
        if not found:
            self.fail(f"{value!r} is no time of day; write it as 07:30", param, ctx)
        now = datetime.now()
        then = now.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
        return (then if then > now else then + timedelta(days=1)).timestamp()


class FailureLimit(click.ParamType):  # type: ignore[type-arg]
    """A number of failures such as `20`, or a share of the run's jobs such as `5%`."""

    name = "failures"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Failures:
        if isinstance(value, Failures):
            return value
        found = re.fullmatch(r"(\d+)(?:(\.\d+)?\s*(%))?", value.strip(), re.ASCII)
        if not found:
            self.fail(f"{value!r} is no number of failures; write it as 20, or as a share such as 5%", param, ctx)
        amount = Fraction(found[1] + (found[2] or ""))
        if not amount:
            self.fail(f"{value!r} would submit nothing at all; 1 stops after the first failure", param, ctx)
        if found[3] and amount > 100:
            self.fail(f"{value!r} is more than all jobs; leave the option out for no limit", param, ctx)
        return Failures(share=amount / 100) if found[3] else Failures(count=int(amount))


def iso(at: float | None) -> str | None:
    """A time (epoch seconds) in UTC, as ISO 8601."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def local(at: float | None) -> str:
    """A time (epoch seconds) as the local clock shows it."""
    return "" if at is None else datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def option(*names: str, env: str | None = None, **settings: Any) -> Callable[[F], F]:
    """A click option with its environment variable: BATCHSYNC_ and its name, or `env` where that name is taken."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    return click.option(*names, envvar="BATCHSYNC_" + (env or long[2:].replace("-", "_").upper()), **settings)


def stacked(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several decorators as one, in the order in which --help shall show them."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def complete_file(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Lets the shell complete the path of a file."""
    return [CompletionItem(incomplete, type="file")]


manifest_argument = click.argument("manifest", shell_complete=complete_file)
ledger_option = option(
    "--ledger",
    default="batchsync.db",
    show_default=True,
    metavar="PATH_OR_URL",
    shell_complete=complete_file,
    help="The ledger to work with.",
)
json_option = option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
sandbox_option = option("--sandbox", is_flag=True, help="Use an embedded simulated API: no key, no credits.")
output_dir_option = option(
    "--output-dir",
    default="outputs",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where finished videos go.",
)
format_option = option(
    "--format",
    "how",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="Of what is printed.",
)
price_option = option(
    "--price",
    metavar="PRICE",
    help="usage:creator|pro|business, plan:creator|pro|business, or dollars per credit.",
)
vendor_options = stacked(
    option("--api-url", default=API_URL, show_default=True, metavar="URL", help="The vendor's API."),
    option(
        "--api-key-file",
        type=click.Path(path_type=Path),
        help="A file that holds the API key; else MAGIC_HOUR_API_KEY is used.",
    ),
)
talk_options = stacked(
    option("--quiet", "-q", is_flag=True, help="Only errors."),
    option("--no-progress", is_flag=True, help="No progress bar and no progress lines."),
    option("--log-file", type=click.Path(path_type=Path), help="Write what happens into this file too."),
    option(
        "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to log."
    ),
    click.option("-v", "--verbose", count=True, envvar="BATCHSYNC_VERBOSE", help="Say more; twice, still more."),
)
COUNT = click.IntRange(min=1)
max_in_flight_option = option(
    "--max-in-flight", type=COUNT, default=100, show_default=True, help="Jobs at the vendor at once."
)

_run_only = stacked(
    option("--rate", type=click.FloatRange(min=0, min_open=True), help="Most API requests per second."),
    max_in_flight_option,
    option("--transfers", type=COUNT, default=8, show_default=True, help="Uploads and downloads at once."),
    option(
        "--poll-interval",
        type=Duration(),
        default="5s",
        show_default=True,
        help="Shortest gap between two looks at one job.",
    ),
    option(
        "--patience",
        type=Duration(),
        default="1h",
        show_default=True,
        help="How long the vendor may be out of reach before the run stops.",
    ),
    option("--max-credits", type=click.IntRange(min=0), help="Never let the manifest's jobs cost more than this."),
    option(
        "--max-failures",
        type=FailureLimit(),
        metavar="N|N%",
        help="After so many failures, or such a share of the run's jobs, submit nothing new.",
    ),
    option("--until", type=ClockTime(), help="Stop when the local clock reads this."),
    option("--max-duration", type=Duration(), help="Stop after this long."),
    option("--limit", type=COUNT, help="Only the first N unfinished jobs: a canary."),
    option(
        "--on-ambiguous",
        type=click.Choice(["hold", "resubmit"]),
        default="hold",
        show_default=True,
        help="What to do when nobody can know whether a job was created. `resubmit` may pay twice.",
    ),
    option(
        "--on-out-of-credits",
        type=click.Choice(["stop", "wait"]),
        default="stop",
        show_default=True,
        help="What to do when the account is empty.",
    ),
    option("--plain-names", is_flag=True, help="Don't end the names at the vendor with the job's token."),
)


def run_options(function: F) -> F:
    """The options that `run` and `resume` share, gathered into one `options: RunOptions`."""
    names = [name for name in RunOptions.__slots__ if name != "output_dir"]

    def gathered(**given: Any) -> Any:
        chosen = {name: given.pop(name) for name in names}
        return function(options=RunOptions(**chosen), **given)

    gathered.__name__, gathered.__doc__ = function.__name__, function.__doc__
    inherited = getattr(function, "__click_params__", [])
    gathered.__click_params__ = inherited  # type: ignore[attr-defined]
    return _run_only(gathered)  # type: ignore[return-value]
