"""Every command of the program, for tests that hold for all of them."""

from __future__ import annotations

import click

from batchsync.cli.main import COMMANDS, cli


def commands() -> dict[str, click.Command]:
    """Every command by the words it is called with."""
    found: dict[str, click.Command] = {}
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        inner = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{name} {sub}": leaf for sub, leaf in inner.items()} or {name: command}
    return found
