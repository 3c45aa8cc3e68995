"""The console script: finds the command, loads only that one, and turns errors into words and exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

import click

from batchsync import __version__
from batchsync.errors import EXIT_CODES, BatchsyncError
from batchsync.model.collector import collector_paused

# Each command is a module of its own in `commands`, loaded when it is used: starting up stays quick.
COMMANDS = {
    "init": "write a commented starter manifest",
    "plan": "read, check and estimate a manifest; send nothing that costs anything",
    "run": "take every job of a manifest to its end; running it again resumes",
    "resume": "take every unfinished job of the ledger to its end",
    "status": "how the jobs stand, and what was spent",
    "jobs": "a row per job",
    "show": "one job's whole history",
    "retry": "put failed or canceled jobs back",
    "resolve": "settle a held job",
    "report": "credit usage",
    "account": "the vendor account's tier and balance",
    "manifest": "help for writing manifests",
    "sandbox": "serve a simulated Magic Hour API on loopback",
    "ledger": "look after the ledger itself",
    "completion": "what a shell needs to complete commands, options and jobs",
}


class Commands(click.Group):
    """A group that knows its commands' names and imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        with collector_paused():
            module = importlib.import_module(f"batchsync.cli.commands.{name}")
        gc.freeze()  # what is imported stays
        command: click.Command = module.command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        # click itself would load every command to complete a name.
        names = [CompletionItem(name, help=told) for name, told in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="batchsync")
def cli() -> None:
    """Bulk lip-sync through the Magic Hour API: resumable, never pays twice, accounts for every credit."""


def main(args: list[str] | None = None) -> NoReturn:
    """Run a command line and exit with its code: the console script, and `python -m batchsync`."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)  # as Ctrl-C, also while files are still being read
    if "_BATCHSYNC_COMPLETE" in os.environ:
        importlib.import_module("batchsync.cli.shells")
    try:
        code: Any = cli.main(args, prog_name="batchsync", standalone_mode=False)
    except click.exceptions.Abort:
        with suppress(OSError, ValueError):
            click.echo("Interrupted. What was done is kept: the same command goes on where it was.", err=True)
            sys.stdout.flush()
        os._exit(3)  # threads that still read large files would be waited for
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BatchsyncError as error:
        from batchsync.cli.output import print_error

        print_error(error)
        sys.exit(error.exit_code)
    _let_nothing_change_the_code()
    sys.exit(code if isinstance(code, int) else 0)


def _let_nothing_change_the_code() -> None:
    """The interpreter gives up its handlers as it ends, and a signal then is a death; ignored ones stay ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
