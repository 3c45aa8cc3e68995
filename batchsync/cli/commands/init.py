"""`batchsync init [FILE]`: write a commented starter manifest."""

from __future__ import annotations

from pathlib import Path

import click

from batchsync.cli.output import say
from batchsync.errors import SettingError
from batchsync.manifest.starter import starter


@click.command("init", short_help="write a commented starter manifest")
@click.argument("file", default="manifest.yaml", type=click.Path(path_type=Path))
def command(file: Path) -> int:
    """Write a commented starter manifest to FILE (manifest.yaml). An existing file is never overwritten.

    \b
    batchsync init
    batchsync init jobs/spring.yaml
    """
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(starter())
    except FileExistsError:
        raise SettingError(f"{file} exists already", hint="choose another name; nothing was changed") from None
    except OSError as error:
        raise SettingError(f"{file} can't be written: {error.strerror}") from None
    say(f"Wrote {file}. Fill it in, then: batchsync plan {file}")
    return 0
