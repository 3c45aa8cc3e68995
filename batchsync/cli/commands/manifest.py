"""`batchsync manifest …`: help for writing manifests."""

from __future__ import annotations

import click

from batchsync.cli.output import print_json
from batchsync.manifest.schema import schema as manifest_schema


@click.group("manifest", short_help="help for writing manifests")
def command() -> None:
    """Help for writing manifests."""


@command.command("schema")
def schema() -> int:
    """Print a JSON Schema (draft 2020-12) of YAML and JSON manifests, with which editors check and complete them.

    For VS Code's YAML extension and others, the manifest's first line is then
    `# yaml-language-server: $schema=batchsync.schema.json`.

    \b
    batchsync manifest schema > batchsync.schema.json
    """
    print_json(manifest_schema())
    return 0
