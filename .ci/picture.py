"""The README's picture: a real run of 60 jobs in a real terminal, half way and at its end, as a small SVG.

    PATH=.venv/bin:$PATH python .ci/picture.py .github/run.svg

Needs tmux, and the `batchsync` that is first on the PATH.
"""

from __future__ import annotations

import csv
import itertools
import re
import shutil
import subprocess
import sys
import tempfile
import time
from html import escape
from pathlib import Path

COLUMNS, ROWS = 90, 16
CELL, LINE, EDGE, SIZE = 8.4, 19, 16, 14
MEDIA = Path(__file__).resolve().parent.parent / "manifests" / "media"
JOBS = 60
COMMAND = "batchsync run night.csv --sandbox --max-in-flight 12 --max-credits 10000"
SHOWN_HOME = "~/night"  # stands for the temporary folder of the run
COLOURS = {31: "#ff7b72", 32: "#3fb950", 33: "#d29922", 34: "#79c0ff", 35: "#d2a8ff", 36: "#56d4dd", 37: "#e6edf3"}
TEXT, BACK = "#c9d1d9", "#0d1117"
CODE = re.compile(r"\x1b\[([0-9;]*)m")


class Terminal:
    """A terminal of its own, in which `folder` is the current folder."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ["tmux", "-L", f"picture-{folder.name}", "-f", "/dev/null"]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self._do("new-session", "-d", *size, "-c", str(folder), "env", "PS1=$ ", "bash", "--norc", "--noprofile")

    def _do(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True)  # noqa: S603
        return done.stdout

    def type(self, line: str) -> None:
        self._do("send-keys", line, "Enter")

    def screen(self) -> list[str]:
        return self._do("capture-pane", "-e", "-p").rstrip().split("\n")

    def wait(self, seen: str, seconds: float = 120) -> list[str]:
        """The screen as soon as `seen`, a pattern, is on it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            lines = self.screen()
            if re.search(seen, CODE.sub("", "\n".join(lines))):
                return lines
            time.sleep(0.1)
        sys.exit("\n".join([f"{seen} never came; the terminal shows:", *self.screen()]))

    def close(self) -> None:
        self._do("kill-server")


def write_work(folder: Path) -> None:
    """A manifest `night.csv` of different jobs, and its media."""
    shutil.copytree(MEDIA, folder / "media")
    videos, voices = sorted(MEDIA.glob("*.mp4")), sorted(MEDIA.glob("voice-*"))
    ends = [round(1 + n / 10, 1) for n in range(JOBS)]
    with (folder / "night.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "video", "audio", "end_seconds"])
        for n, (end, video, voice) in enumerate(itertools.product(ends, videos, voices)):
            if n < JOBS:
                rows.writerow([f"clip-{n:03d}", f"media/{video.name}", f"media/{voice.name}", end])


def parts(line: str) -> list[tuple[str, str | None]]:
    """A line of the terminal as (text, colour)."""
    text, *rest = CODE.split(line)
    found: list[tuple[str, str | None]] = [(text, None)]
    colour = None
    for codes, text in zip(rest[::2], rest[1::2], strict=True):
        for number in (codes or "0").split(";"):
            colour = COLOURS.get(int(number))  # none for 0 and 39, which end it
        found.append((text, colour))
    return found


def svg(lines: list[str], title: str) -> str:
    """Lines as a picture. Every part has its place and length, so that it looks the same in any font."""
    width, height = COLUMNS * CELL + 2 * EDGE, len(lines) * LINE + 2 * EDGE
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        f' height="{height:g}" role="img" font-size="{SIZE}" fill="{TEXT}"'
        ' font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{BACK}" stroke="#30363d"/>',
    ]
    for row, line in enumerate(lines):
        column = 0
        for text, colour in parts(line):
            bare = text.lstrip(" ")
            at = EDGE + (column + len(text) - len(bare)) * CELL
            column += len(text)
            if bare := bare.rstrip(" "):
                paint = f' fill="{colour}"' if colour else ""
                out.append(
                    f'<text x="{at:g}" y="{EDGE + (row + 0.75) * LINE:g}" textLength="{len(bare) * CELL:g}"'
                    f' lengthAdjust="spacingAndGlyphs" xml:space="preserve"{paint}>{escape(bare)}</text>'
                )
    return "\n".join([*out, "</svg>", ""])


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_work(folder)
        terminal = Terminal(folder)
        try:
            terminal.type(f"clear; {COMMAND}")
            half = terminal.wait(rf"(?m)^(2[5-9]|[34]\d)/{JOBS} .* left")
            end = terminal.wait("Files in")
        finally:
            terminal.close()
    typed = f"\x1b[32m$\x1b[0m {COMMAND}"
    shown = [typed, *(line for line in half if line.strip() and not line.startswith("$")), ""]
    shown += [line for line in end if line.strip() and not line.startswith("$")]
    target.parent.mkdir(exist_ok=True)
    lines = [line.replace(str(folder), SHOWN_HOME) for line in shown]
    target.write_text(svg(lines, f"{COMMAND}: half way, and at its end"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
