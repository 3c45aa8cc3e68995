"""How much of an unannounced limit the pace uses, and how often it is told no: many limits, on a simulated clock.

    python tests/bench/limits.py [words…] [--minutes N] [--seed N]

Each row is one kind of limit; `words` choose the rows that contain them all. `used` is the share of what the limit
allowed that was let through after the first minute (after a change: from its second minute on), `429` the share
of answers that were refused, of all and after that minute. Rows that miss 85 % or 3 % end with a mark. Nothing here
opens a socket or sleeps: requests leave as the pace lets them, reach the vendor 20 to 70 ms later (or as a row says)
and are answered after 30 to 80 ms more; there is always more to do than the limit allows.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from batchsync.runner.pace import Pace

LEAST_USED = 0.85
MOST_REFUSED = 0.03
NOTE_SECONDS = 10.0
EPOCH = 1_790_000_000.0


class Limit(Protocol):
    """A vendor's limit: whether it lets a request through at `now`, and how long it would have it wait."""

    def admit(self, now: float) -> bool: ...
    def wait(self, now: float) -> float: ...


@dataclass
class Fixed:
    """So many in each window; windows begin at multiples of their length."""

    limit: int
    window: float
    began: float = -1.0
    count: int = 0

    def admit(self, now: float) -> bool:
        began = now // self.window * self.window
        if began != self.began:
            self.began, self.count = began, 0
        self.count += 1
        return self.count <= self.limit

    def wait(self, now: float) -> float:
        return self.began + self.window - now


@dataclass
class Sliding:
    """So many within any window."""

    limit: int
    window: float
    recent: deque[float] = field(default_factory=deque)

    def admit(self, now: float) -> bool:
        while self.recent and self.recent[0] <= now - self.window:
            self.recent.popleft()
        if len(self.recent) >= self.limit:
            return False
        self.recent.append(now)
        return True

    def wait(self, now: float) -> float:
        return self.recent[0] + self.window - now


@dataclass
class Bucket:
    """A token bucket: `rate` a second, and `burst` saved up at most."""

    rate: float
    burst: float
    tokens: float = -1.0
    at: float = 0.0

    def admit(self, now: float) -> bool:
        self.tokens = self.burst if self.tokens < 0 else min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def wait(self, now: float) -> float:
        return (1 - self.tokens) / self.rate


@dataclass
class Free:
    """No limit."""

    def admit(self, now: float) -> bool:
        return True

    def wait(self, now: float) -> float:
        return 0.0


def exact(wait: float, now: float) -> float | None:
    return wait


def whole(wait: float, now: float) -> float | None:
    """Whole seconds, rounded up."""
    return float(-(-wait // 1))


def date(wait: float, now: float) -> float | None:
    """A date is in whole seconds: it may be up to a second too early."""
    return max(0.0, float(int(EPOCH + now + wait)) - (EPOCH + now))


TOLD: dict[str, Callable[[float, float], float | None]] = {
    "exact": exact,
    "whole": whole,
    "date": date,
    "none": lambda wait, now: None,
    "day": lambda wait, now: 86400.0,
    "zero": lambda wait, now: 0.0,
    "five": lambda wait, now: 5.0,
}


@dataclass
class Case:
    """A row: limits and the seconds at which they come into force, what a 429 tells, and who asks."""

    name: str
    limits: list[tuple[float, Limit, float]]  # from when, which, and how many a second it allows
    told: str
    starts: tuple[float, ...] = (0.0,)
    ceiling: float | None = None
    way: tuple[float, float] = (0.02, 0.07)  # least and most seconds until a request reaches the vendor
    in_flight: int | None = None
    one_ledger: bool = False  # through which those who ask share what they have found out


@dataclass
class Client:
    pace: Pace
    went: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    in_flight: int = 0
    asked_at: float = -1.0  # when it will ask the pace again


def simulate(case: Case, seconds: float, seed: int) -> list[Client]:
    """Let everybody send as fast as their pace lets them."""
    dice, order = random.Random(seed), itertools.count()
    clients = [Client(Pace(case.ceiling, start)) for start in case.starts]
    noted: dict[int, float] = {}
    events: list[tuple[float, int, str, Client, float, float | None]] = []

    def at(when: float, what: str, client: Client, left: float = 0.0, answer: float | None = None) -> None:
        heapq.heappush(events, (when, next(order), what, client, left, answer))

    for client, start in zip(clients, case.starts, strict=True):
        client.asked_at = start
        at(start, "begin", client)
        at(start + NOTE_SECONDS, "note", client)
    while events and events[0][0] < seconds:
        now, _, what, client, left, answer = heapq.heappop(events)
        if what == "arrive":
            limit = next(limit for since, limit, _ in reversed(case.limits) if now >= since)
            let_in = limit.admit(now)
            (client.went if let_in else client.refused).append(now)
            told = None if let_in else TOLD[case.told](limit.wait(now), now)
            at(now + dice.uniform(0.03, 0.08), "well" if let_in else "no", client, left, told)
            continue
        if what == "begin" and noted:
            client.pace = Pace(case.ceiling, now, sum(noted.values()) / (len(noted) + 1))
        elif what == "note":
            at(now + NOTE_SECONDS, "note", client)
            if case.one_ledger and client.pace.limit is not None and client.pace.in_use(now):
                noted[clients.index(client)] = client.pace.limit
                client.pace.share(sum(noted.values()) / len(noted))
        elif what == "well":
            client.in_flight -= 1
            client.pace.succeeded(now, left)
        elif what == "no":
            client.in_flight -= 1
            client.pace.limited(now, left, answer)
        elif what == "ask" and now < client.asked_at:
            continue
        while (wait := client.pace.wait(now)) == 0.0 and client.in_flight < (case.in_flight or 10**9):
            if not client.pace.take(now, 1):
                break
            client.in_flight += 1
            at(now + dice.uniform(*case.way), "arrive", client, now)
        if 0 < wait < float("inf") and (client.asked_at <= now or now + wait < client.asked_at):
            client.asked_at = now + wait + dice.uniform(0.0, 0.002)
            at(client.asked_at, "ask", client)
    return clients


# --- The rows -----------------------------------------------------------------------------------------------


def cases() -> Iterator[Case]:
    per_second, per_minute = (5, 20, 100), (60, 300, 600, 3000)
    sizes = [(n, 1.0) for n in per_second] + [(n, 60.0) for n in per_minute]
    for told in TOLD:
        for limit, window in sizes:
            unit = "s" if window == 1.0 else "min"
            rate = limit / window
            yield Case(f"fixed {limit}/{unit} {told}", [(0, Fixed(limit, window), rate)], told)
            yield Case(f"sliding {limit}/{unit} {told}", [(0, Sliding(limit, window), rate)], told)
        for rate, burst in ((1, 10), (5, 5), (10, 50), (20, 200), (100, 100)):
            yield Case(f"bucket {rate}/s burst {burst} {told}", [(0, Bucket(rate, burst), rate)], told)
    for told in ("whole", "none"):
        for rate in (3, 10):  # no two closer than 1 / rate: ways that differ by 50 ms leave 67 % of 10/s
            for apart in (5, 15, 50):
                name = f"bucket {rate}/s burst 1 ways {apart} ms apart {told}"
                yield Case(name, [(0, Bucket(rate, 1), rate)], told, way=(0.02, 0.02 + apart / 1000))
        for kind, window in ((Fixed, 1.0), (Fixed, 60.0), (Sliding, 60.0)):
            unit = "s" if window == 1.0 else "min"
            for before, after in ((20, 10), (10, 20), (8, 20), (10, 40), (50, 5), (5, 50)):
                n, m = int(before * window), int(after * window)
                name = f"change {kind.__name__.lower()} {n}->{m}/{unit} {told}"
                yield Case(name, [(0, kind(n, window), before), (300.0, kind(m, window), after)], told)
        yield Case(f"change fixed 10/s->free {told}", [(0, Fixed(10, 1.0), 10), (300.0, Free(), 300)], told)
        for limit, window in ((10, 1.0), (50, 1.0), (120, 60.0), (600, 60.0), (3000, 60.0)):
            unit = "s" if window == 1.0 else "min"
            for kind in (Fixed, Sliding):
                name = f"two {kind.__name__.lower()} {limit}/{unit} {told}"
                yield Case(name, [(0, kind(limit, window), limit / window)], told, (0.0, 0.3))
                yield Case(f"{name} later", [(0, kind(limit, window), limit / window)], told, (0.0, 90.0))
                for start in (0.3, 90.0):
                    alike = [(0.0, kind(limit, window), limit / window)]
                    words = f"{name} {'later ' if start > 1 else ''}ledger"
                    yield Case(words, alike, told, (0.0, start), one_ledger=True)
        yield Case(f"two bucket 20/s burst 20 {told} later", [(0, Bucket(20, 20), 20)], told, (0.0, 90.0))
    yield Case("ceiling 2 fixed 600/min whole", [(0, Fixed(600, 60.0), 2)], "whole", ceiling=2.0)
    yield Case("ceiling 12 fixed 600/min whole", [(0, Fixed(600, 60.0), 10)], "whole", ceiling=12.0)
    yield Case("ceiling 50 fixed 20/s none", [(0, Fixed(20, 1.0), 20)], "none", ceiling=50.0)
    yield Case("in flight 16 fixed 600/min whole", [(0, Fixed(600, 60.0), 10)], "whole", in_flight=16)


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:5.1f}" if whole else "    -"


def judged(case: Case, seconds: float, seed: int) -> tuple[str, bool]:
    """What a case came to, and whether it holds."""
    clients = simulate(case, seconds, seed)
    went = [len(client.went) for client in clients]
    begin, _, rate = case.limits[-1]
    start = max(begin, max(case.starts)) + 60.0
    used = [sum(t >= start for t in client.went) for client in clients]
    allowed = rate * (seconds - start)
    first = sum(start - 60 <= t < start for client in clients for t in client.went) / (rate * 60)
    no = sum(len(client.refused) for client in clients)
    late = sum(t >= start for client in clients for t in client.refused)
    share = used[0] / max(1, sum(used))
    good = sum(used) >= LEAST_USED * allowed and late <= MOST_REFUSED * (sum(used) + late)
    good = good and no <= MOST_REFUSED * (sum(went) + no) and (len(clients) == 1 or 0.35 <= share <= 0.65)
    text = f"{case.name:<42} used {percent(sum(used), allowed)}  first minute {100 * first:6.1f}"
    text += f"  429 {percent(no, sum(went) + no)}  later {percent(late, sum(used) + late)}"
    text += f"  share {percent(used[0], sum(used))}" if len(clients) > 1 else ""
    return text + ("" if good else "  <<<"), good


def free_start() -> str:
    """How soon 300 requests a second are reached where there is no limit."""
    (client,) = simulate(Case("free", [(0, Free(), 300)], "none"), 10.0, 1)
    when = next((t for t, u in zip(client.went, client.went[300:], strict=False) if u - t <= 1.0), float("inf"))
    thousand = client.went[999] if len(client.went) > 999 else float("inf")
    return f"no limit: 300/s from {when:.1f} s on, 1,000 requests in {thousand:.1f} s"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*")
    parser.add_argument("--minutes", type=float, default=13.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(free_start())
    results = []
    for case in cases():
        if all(word in case.name for word in options.words):
            text, good = judged(case, options.minutes * 60, options.seed)
            results.append(good)
            print(text, flush=True)
    print(f"{sum(results)} of {len(results)} rows hold")


if __name__ == "__main__":
    main()
