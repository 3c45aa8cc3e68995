"""How long renders take, learned from those seen, and the ages at which looking at one pays. Pure.

What is learned is a life table: for each span of a render's age, how many renders came to it and how many ended in
it. A render that goes on counts as much as one that ends, so a vendor that slows down is noticed while it does.
The ages to look at are then the cheapest there are, by the price of a look in seconds of lag. Nothing is left to
chance: ages differ as much as the moments of submission do, so looks spread by themselves.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache

from batchsync.model.renders import USUAL_SECONDS, RenderKind

# What one look less is worth in seconds of lag: 13 looks and 7 s are thought equally dear. Who lets looks be closer
# than is usual has them cheaper.
LOOK_SECONDS = 7 / 13

# What is believed until renders were seen: the vendor's median, spread as render times are; or that all goes fast.
USUAL_STEEPNESS = 4.0  # of the log-logistic distribution: half of all renders between 0.76 and 1.32 medians
FAST_CHANCE = 0.1  # that all goes fast, where looks may be USUAL_GAP_SECONDS apart; more where they may be closer
USUAL_GAP_SECONDS = 5.0
BELIEF = 5.0  # how many renders it takes to doubt all that
NEARNESS = 4.0  # what was found at a younger age counts at an older one by this power of (younger / older)
CALM = 1.0  # ends found lately are set beside so many renders that came through their whole age without an end

TRUST = 5.0  # how many renders of a kind count as much as all that is known of less special kinds
MEMORY = 100.0  # how many renders a span remembers: older ones fade
SUREST = 0.99  # the highest chance that a render ends in a span: there is always one that doesn't
NEWS = 128  # after so many questions, at the latest, a plan is made anew

# Spans grow with the root of the age, as the gaps between looks should: 5 s at the usual time, 10 s at 20 minutes.
SPAN = 0.15
SPANS = 566
_EDGES = [(n * SPAN) ** 2 for n in range(SPANS + 1)]
_WIDTH = [2 / (n + 0.5) for n in range(SPANS)]  # of each span, as a share of the age there
_KEPT = [(n / (n + 1)) ** (2 * NEARNESS) for n in range(SPANS)]  # at each span, of what was found before it
LONGEST_SECONDS = _EDGES[-1]  # two hours; nothing is learned of what comes later
LONGEST_GAP_SECONDS = 180.0  # whatever is known: a vendor may become faster as suddenly as slower


@dataclass(slots=True)
class _Table:
    """By span: how many renders came to it, how many ended in it. `plan`: by span, the age to look at next."""

    came: list[float] = field(default_factory=lambda: [0.0] * SPANS)
    ended: list[float] = field(default_factory=lambda: [0.0] * SPANS)
    plan: list[float] = field(default_factory=list)
    asked: int = 0
    stale: int = 0  # the question at which the plan is made anew

    def add(self, passed: Iterable[tuple[int, float, float]]) -> None:
        """Count what passed in which spans: renders that came, and that ended; both may be parts of one."""
        for span, came, ended in passed:
            keep = 1.0 - came / MEMORY
            self.came[span] = self.came[span] * keep + came
            self.ended[span] = self.ended[span] * keep + ended


class RenderTimes:
    """Learns from renders, kind by kind; all times in seconds, ages counted from the submission.

    Looks at one render are never closer than `least_gap`.
    """

    def __init__(self, least_gap: float) -> None:
        self.least_gap = least_gap
        self._tables: defaultdict[tuple[str | int, ...], _Table] = defaultdict(_Table)

    def went_on(self, kind: RenderKind, since: float, age: float) -> None:
        """A render was seen running at the age `since`, and at `age` again."""
        passed = [(span, part, 0.0) for span, part in _spans(since, age)]
        for table in self._of(kind):
            table.add(passed)

    def ended(self, kind: RenderKind, since: float, age: float) -> None:
        """A render was seen running at the age `since` and ended at `age`: any moment between is as likely."""
        spans = _spans(since, age)
        whole = sum(part for _, part in spans)
        passed, left = [], 1.0
        for span, part in spans:
            passed.append((span, part * left, part / whole))
            left -= part / whole
        for table in self._of(kind):
            table.add(passed)

    def next_age(self, kind: RenderKind, age: float) -> float:
        """The age at which to look next at a render that runs at `age`."""
        self._of(kind)[-1].asked += 1
        return self.planned_age(kind, age)

    def planned_age(self, kind: RenderKind, age: float) -> float:
        """The same for a render that was asked for before: to ask again is no reason to make a plan anew."""
        tables = self._of(kind)
        own = tables[-1]
        if own.asked >= own.stale:
            own.plan = self._plan(self._left(tables))
            own.stale = own.asked + min(own.asked // 4 + 1, NEWS)
        planned = own.plan[round(_place(age))] if age < LONGEST_SECONDS else math.inf
        return age + max(self.least_gap, min(planned - age, LONGEST_GAP_SECONDS))

    def plan_anew(self) -> None:
        """Make each plan anew when it is next asked for: much was learned."""
        for table in self._tables.values():
            table.stale = 0

    def _of(self, kind: RenderKind) -> list[_Table]:
        """The tables that a kind counts in, from all renders' to its own, which clips share within a factor √2."""
        length = math.ceil(2 * math.log2(max(kind.clip_seconds, 0.5)))
        return [self._tables[()], self._tables[kind.mode,], self._tables[kind.mode, length]]

    def _left(self, tables: list[_Table]) -> list[float]:
        """The share of renders that is still running at each edge of the spans."""
        usual, slowly, everyone = _usual(self.least_gap), _slowly(), tables[0]
        # Where far fewer ended at ages not long before than should have, what was believed of later ages is as wrong.
        # That none has ended fast is no such news: how fast that would be, nobody believed to know.
        foreseen = aged = ended = 0.0
        left = [1.0]
        for span in range(SPANS):
            foreseen = foreseen * _KEPT[span] + everyone.came[span] * slowly[span]
            aged = aged * _KEPT[span] + everyone.came[span] * _WIDTH[span]
            ended = ended * _KEPT[span] + everyone.ended[span]
            chance = usual[span] * min(1.0, (BELIEF + ended) / (BELIEF + foreseen))
            # Where many have ended, many more will a little later, however few were believed to.
            chance = max(chance, ended / (aged + CALM) * _WIDTH[span])
            for table in tables:
                chance = (table.ended[span] + TRUST * chance) / (table.came[span] + TRUST)
            left.append(left[-1] * (1.0 - min(SUREST, chance)))
        return left

    def _plan(self, left: list[float]) -> list[float]:
        """For a render that runs at each edge: the next age to look at, so that looks and lag together cost least.

        From the last edge back to the first: after a look that finds it running, the best is known already.
        """
        # How long renders run from an edge on, on average: what they are short of the whole time to a look is lag.
        rest = [0.0] * (SPANS + 1)
        for span in range(SPANS - 1, -1, -1):
            rest[span] = rest[span + 1] + (left[span] + left[span + 1]) / 2 * (_EDGES[span + 1] - _EDGES[span])
        price = LOOK_SECONDS * min(1.0, self.least_gap / USUAL_GAP_SECONDS)
        cost, plan, latest = [0.0] * (SPANS + 1), [LONGEST_SECONDS] * SPANS, SPANS
        for now in range(SPANS - 1, -1, -1):
            running, soonest = left[now], _EDGES[now] + self.least_gap
            best, found = math.inf, latest
            # The older a render is, the later the best next look: so it is never later than the one found last.
            for look in range(latest, now, -1):
                # As soon as may be counts as at the edge that is nearest to it.
                if _EDGES[look] + _EDGES[min(look + 1, SPANS)] < 2 * soonest and best < math.inf:
                    break
                lag = running * (_EDGES[look] - _EDGES[now]) - (rest[now] - rest[look])
                if lag + cost[look] < best:
                    best, found = lag + cost[look], look
            cost[now], plan[now], latest = best + price * running, _EDGES[found], found
        return plan


@cache
def _usual(gap: float) -> list[float]:
    """For each span, the chance that a render which comes to it ends in it, before any was seen.

    `gap` is the least between two looks: who wants it short expects renders that are worth it.
    """
    haste = min(1.0, gap / USUAL_GAP_SECONDS)
    fast = 1.0 - (1.0 - FAST_CHANCE) * haste
    return _chances(lambda age: _slow(age) * (1.0 - fast + fast * min(1.0, haste / age) if age else 1.0))


@cache
def _slowly() -> list[float]:
    """Likewise, where nothing goes fast."""
    return _chances(_slow)


def _chances(left: Callable[[float], float]) -> list[float]:
    return [1.0 - left(_EDGES[n + 1]) / left(_EDGES[n]) for n in range(SPANS)]


def _slow(age: float) -> float:
    """The share of renders that still runs at an age, where nothing goes fast."""
    return float(1.0 / (1.0 + (age / USUAL_SECONDS) ** USUAL_STEEPNESS))


def _place(age: float) -> float:
    """Where an age lies, counted in spans."""
    return min(math.sqrt(max(0.0, age)) / SPAN, SPANS - 1.0)


def _spans(since: float, age: float) -> list[tuple[int, float]]:
    """The spans between two ages, each with the part of it that lies between."""
    first, last = _place(since), max(_place(age), _place(since) + 1e-9)
    spans = [(span, 1.0) for span in range(int(first), math.ceil(last))]
    spans[-1] = (spans[-1][0], last - spans[-1][0])
    spans[0] = (spans[0][0], spans[0][1] - (first - spans[0][0]))
    return spans
