"""How fast and in how much memory files go up and down: batchsync's own code beside `curl`, then a whole run.

    python tests/bench/transfer.py [--gb 2] [--rounds 5] [--run-gb 5] [--files 4]

A small storage server, in a process of its own, reads and discards uploads and sends a sparse file down. Downloads
take real room on the disk, in the folder for temporary files (TMPDIR), and are removed at once. Each side of a
comparison is a process of its own, in turns: `curl`, then batchsync, with its start taken off where it can be.
`curl` doesn't wait for the disk and batchsync does, so downloads are also compared with `curl` and `sync` after it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import aclosing, closing, suppress
from pathlib import Path

from processes import cost_of

GB = 1_000_000_000
PIECE = 1 << 20


# --- The server: a storage, and as much of the API as one kind of job needs ----------------------------------


class Server:
    """Serves on loopback. `size` is that of every file it sends."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.projects = 0
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self.file.truncate(size)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.here = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        print(self.here, flush=True)
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            reader = connection.makefile("rb", buffering=0)
            while head := self._head(reader):
                method, path = head.split(b" ", 2)[:2]
                length = int(next(iter(re.findall(rb"(?i)content-length: *(\d+)", head)), 0))
                if method == b"PUT":
                    self._discard(connection, length)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                elif path.startswith(b"/file"):
                    self._send_file(connection)
                else:
                    body = json.dumps(self._answer(path.decode(), reader.read(length) if length else b"")).encode()
                    top = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                    connection.sendall(top.encode() + body)

    @staticmethod
    def _head(reader: socket.SocketIO) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = reader.read(1)
            if not byte:
                return b""
            head += byte
        return head

    @staticmethod
    def _discard(connection: socket.socket, length: int) -> None:
        buffer = bytearray(PIECE)
        while length:
            length -= connection.recv_into(buffer, min(length, PIECE)) or length

    def _send_file(self, connection: socket.socket) -> None:
        connection.sendall(f'HTTP/1.1 200 OK\r\nContent-Length: {self.size}\r\nETag: "1"\r\n\r\n'.encode())
        offset = 0
        while offset < self.size:
            offset += os.sendfile(connection.fileno(), self.file.fileno(), offset, min(1 << 26, self.size - offset))

    def _answer(self, path: str, body: bytes) -> object:
        until = "2099-01-01T00:00:00Z"
        if path == "/v1/account":
            return {"id": "a", "email": "a@example.com", "tier": "business", "credits": 10**9}
        if path == "/v1/files/upload-urls":
            items = json.loads(body)["items"]
            names = [f"api-assets/{os.urandom(8).hex()}/{item['type']}.{item['extension']}" for item in items]
            return {
                "items": [
                    {"upload_url": f"{self.here}/{name}", "file_path": name, "expires_at": until} for name in names
                ]
            }
        if path == "/v1/lip-sync":
            self.projects += 1
            return {"id": f"project{self.projects}", "credits_charged": 60, "estimated_frame_cost": 60}
        link = {"url": f"{self.here}/file", "expires_at": until}
        project = {"id": path.rpartition("/")[2], "status": "complete", "credits_charged": 60, "fps": 30}
        return project | {"enabled": True, "downloads": [link]}


# --- One side of a comparison ---------------------------------------------------------------------------------


async def up(url: str, path: Path) -> float:
    """Seconds that batchsync takes to upload a file that is still the one that was planned."""
    from batchsync.model.job import MediaFacts
    from batchsync.runner.reading import Source, pieces
    from batchsync.vendor.magichour import MagicHour
    from batchsync.vendor.port import UploadSlot

    stat = os.stat(path)
    facts = MediaFacts(str(path), stat.st_size, stat.st_mtime_ns, "digest")
    vendor = MagicHour(url, "key")
    started = time.perf_counter()
    with closing(Source(path, "digest", facts)) as source:
        async with aclosing(pieces(source)) as chunks:
            await vendor.put(UploadSlot(f"{url}/up", "up", 0.0), chunks, source.size)
    return time.perf_counter() - started


async def down(url: str, path: Path) -> float:
    """Seconds that batchsync takes to have a file on the disk, with its digest."""
    from anyio.lowlevel import checkpoint

    from batchsync.runner.receiving import receive
    from batchsync.vendor.magichour import MagicHour
    from batchsync.vendor.port import Download

    vendor = MagicHour(url, "key")
    started = time.perf_counter()
    async with vendor.download(Download(f"{url}/file", None)) as body:
        await receive(path, 0, body.chunks(), checkpoint)  # nobody has to hear that it begins
    return time.perf_counter() - started


def timed(words: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a process; batchsync says its own wall time, without its start."""
    with tempfile.TemporaryFile() as out:
        cost = cost_of(words, Path.cwd(), out=out)
        out.seek(0)
        own = out.read()
    return (float(own) if own else cost.wall), cost.cpu


def compare(folder: Path, size: int, rounds: int) -> None:
    source, target = folder / "source.mp4", folder / "target.mp4"
    with source.open("wb") as file:
        file.truncate(size)
    server, url = start_server(size)
    me = [sys.executable, __file__]
    curl = ["curl", "-sS", "-o"]
    ways = {
        "up: curl": [*curl, "/dev/null", "-H", "Expect:", "-T", str(source), f"{url}/up"],
        "up: batchsync": [*me, "--up", url, str(source)],
        "down: curl": [*curl, str(target), f"{url}/file"],
        "down: curl + sync": ["sh", "-c", f"curl -sS -o {target} {url}/file && sync {target}"],
        "down: batchsync": [*me, "--down", url, str(target)],
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, words in ways.items():
            times[name].append(timed(words))
            target.unlink(missing_ok=True)
            os.sync()
    server.kill()
    medians = {name: statistics.median(wall for wall, _ in values) for name, values in times.items()}
    for name, values in times.items():
        cpu = statistics.median(cpu for _, cpu in values)
        base = [other for other in ways if "curl" in other and other.split(":")[0] == name.split(":")[0]]
        beside = ", ".join(f"{medians[name] / medians[other]:.2f} × {other.partition(': ')[2]}" for other in base)
        print(f"{name:18} {size / medians[name] / 1e6:6.0f} MB/s  CPU {cpu:5.2f} s  {beside}")


# --- A whole run ----------------------------------------------------------------------------------------------


def whole_run(folder: Path, size: int, files: int) -> None:
    """As many jobs as `files`, each with a video of `size` bytes up and down at once: time, CPU, peak memory."""
    for n in range(files):
        with (folder / f"video-{n}.mp4").open("wb") as file:
            file.write(b"video %d" % n)
            file.truncate(size)
        (folder / f"voice-{n}.mp3").write_bytes(b"voice %d" % n)
    rows = [f"j{n},video-{n}.mp4,voice-{n}.mp3,2" for n in range(files)]
    (folder / "jobs.csv").write_text("\n".join(["id,video,audio,end_seconds", *rows]))
    server, url = start_server(size)
    words = [sys.executable, "-m", "batchsync", "run", "jobs.csv", "--api-url", url, "--yes", "--json"]
    cost = cost_of(words, folder, env={"MAGIC_HOUR_API_KEY": "key"})
    server.kill()
    print(
        f"run: {files} × {size / GB:g} GB up and down: "
        f"{cost.wall:.1f} s, CPU {cost.cpu:.1f} s, peak RSS {cost.peak / 2**20:.0f} MiB"
    )


def start_server(size: int) -> tuple[subprocess.Popen[str], str]:
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(size)], stdout=subprocess.PIPE, text=True)
    return server, server.stdout.readline().strip()  # type: ignore[union-attr]


def main() -> None:
    words = sys.argv[1:]
    if words[:1] == ["--serve"]:
        Server(int(words[1])).serve()
    if words[:1] in (["--up"], ["--down"]):
        import anyio

        print(anyio.run(up if words[0] == "--up" else down, words[1], Path(words[2])))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--gb", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run-gb", type=float, default=5)
    parser.add_argument("--files", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if asked.rounds:
            compare(Path(name), int(asked.gb * GB), asked.rounds)
        if asked.files:
            whole_run(Path(name), int(asked.run_gb * GB), asked.files)


if __name__ == "__main__":
    main()
