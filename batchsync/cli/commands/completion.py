"""`batchsync completion SHELL`: what a shell needs to complete commands, options, jobs and tags."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from batchsync.cli.output import say
from batchsync.cli.shells import VARIABLE

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="what a shell needs to complete commands, options and jobs")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print the script with which a shell completes commands, options, and the jobs and tags of the ledger.

    It is to be read by each new shell:

    \b
    batchsync completion bash >> ~/.bashrc               bash 4.4 or newer
    batchsync completion zsh >> ~/.zshrc                 after its compinit
    batchsync completion fish > ~/.config/fish/completions/batchsync.fish
    """
    script = get_completion_class(shell)
    assert script is not None
    say(script(ctx.find_root().command, {}, "batchsync", VARIABLE).source())
    return 0
