"""What a command costs as a process of its own: for the scripts beside this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

RSS_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of `ru_maxrss`

# A small process in between: what a process is said to have used at most begins with what its parent had.
LAUNCHER = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[2:])
wall, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as told:
    json.dump([code, wall, used.ru_utime + used.ru_stime, used.ru_maxrss], told)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process: seconds, seconds of CPU, and the most memory that it had in bytes."""

    wall: float
    cpu: float
    peak: float


def cost_of(
    command: Sequence[str],
    folder: Path,
    *,
    env: Mapping[str, str] = MappingProxyType({}),
    out: int | IO[Any] = subprocess.DEVNULL,
    fine: Collection[int] = (0,),
) -> Cost:
    """Run a command in `folder` to its end, with `env` added to the environment and its output in `out`.

    Raises SystemExit with what it said if its exit code isn't `fine`.
    """
    with tempfile.NamedTemporaryFile() as told:
        launch = [sys.executable, "-S", "-E", "-c", LAUNCHER, told.name, *command]
        done = subprocess.run(
            launch, cwd=folder, env=os.environ | env, stdout=out, stderr=subprocess.PIPE, text=True, check=True
        )
        code, wall, cpu, rss = json.load(told)
    if code not in fine:
        raise SystemExit(f"{' '.join(command)} ended with {code}: {done.stderr}")
    return Cost(wall, cpu, rss * RSS_BYTES)
