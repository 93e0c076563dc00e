"""Tests of the alerts on lock faults: first events, further ones, restarts, gaps, and what is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from mnemoscope.instrumentation import catalog as c
from mnemoscope.model.settings import Settings

from ..model import Alert, Pack
from ..rules import locks
from . import series
from .expected import Firing
from .model import Check, Scenario, due
from .series import Clock, Series, milliseconds

CLOCK = Clock(60_000, 60_000)
"""Windows of hours need no seconds."""

GAP = "stale _x2"
"""Scrapes that failed, in promtool's notation."""

MEMORY = milliseconds(locks.MEMORY)
EARLY = MEMORY // 6
"""When a first event happens: the series has been there for less than the window."""

LATE = 3 * MEMORY
"""When something happens to a process that has been there for longer than two windows."""


def scenarios(settings: Settings, pack: Pack) -> Iterator[Scenario]:
    """The tests of both alerts, where the pack has them."""
    if rules := pack.rules_of(locks.DEADLOCK):
        yield from _Deadlocks(settings, rules).scenarios()
    for rule in pack.rules_of(locks.INVERSION):
        yield from _Inversions(settings, rule).scenarios()


class _Course:
    """What the tests of both alerts share: series whose totals are given, and checks of what fires."""

    def __init__(self, settings: Settings, rules: Sequence[Alert]) -> None:
        self.settings = settings
        self.rules = rules
        self.name = rules[0].name
        self.metric = c.LOCK_DEADLOCKS if self.name == locks.DEADLOCK else c.LOCK_ORDER_INVERSIONS
        self.own = series.samples_of(self.metric)
        self.labels = {**series.kept(settings, series.identity(settings)), **self.own}

    def total(self, values: str, instance: str = "a", **own: str) -> Series:
        """The totals of one instance."""
        labels: Mapping[str, str] = {**series.identity(self.settings, instance), **self.own, **own}
        return Series(series.selector(self.settings, self.metric, labels), values)

    def fires(self, since: int, value: float, *, holding: Sequence[Alert] | None = None) -> Check:
        """The rules in `holding` fire, once `value` has been there since `since` for as long as all of them ask."""
        holding = self.rules if holding is None else holding
        at = max(due(CLOCK, rule, since) for rule in holding)
        return Check(at, self.name, tuple(Firing(rule, self.labels, value) for rule in holding))

    def silent(self, at: int) -> Check:
        return Check(CLOCK.evaluated(at), self.name)

    def scenario(self, name: str, given: Sequence[Series], *checks: Check) -> Scenario:
        return Scenario(name, self.name, tuple(given), checks, clock=CLOCK)


class _Deadlocks(_Course):
    def scenarios(self) -> Iterator[Scenario]:
        for rule in self.rules:
            yield from self._zone(rule)
        some = _whole(self.rules[-1])
        yield self.scenario(
            "stays silent when a process restarts, loses a few scrapes or is new, whatever happened long ago",
            [
                self.total(_steps((0, CLOCK.scrape), (some, LATE), (0, 2 * MEMORY))),
                self.total(_steps((0, CLOCK.scrape), (some, LATE)) + f" {GAP} {some}x{CLOCK.samples(2 * MEMORY)}", "b"),
                self.total(f"_x{CLOCK.samples(LATE)} {_steps((0, 2 * MEMORY))}", "c"),
            ],
            *(self.silent(LATE + after) for after in (0, CLOCK.scrape, *_around(MEMORY), 2 * MEMORY)),
        )
        yield self.scenario(
            "adds the deadlocks of instances up, at once, even if they happened before the first scrape",
            [
                self.total(_steps((1, LATE))),
                self.total(_steps((some, LATE)), "b"),
            ],
            self.fires(0, some + 1.0),
            self.silent(MEMORY),
        )
        few = _whole(self.rules[0])
        yield self.scenario(
            "makes no more deadlocks of two samples than there were",
            [self.total(f"0 {few} _x2")],
            self.fires(CLOCK.scrape, few, holding=self._holding(few)),
            Check(2 * CLOCK.scrape, self.name, self._all(self._holding(few), few)),
        )
        yield self.scenario("stays silent when nothing deadlocks", [self.total(_steps((0, LATE)))], self.silent(LATE))
        yield self.scenario("stays silent when there are no series at all", [], self.silent(LATE))

    def _zone(self, rule: Alert) -> Iterator[Scenario]:
        count = _whole(rule)
        holding = self._holding(count)
        for when, begins in (("in a young process", EARLY), ("in an old process", LATE)):
            last = begins + CLOCK.scrape
            yield self.scenario(
                f"{rule.severity} fires from its limit on {when}, at once, is remembered, and recovers",
                [self.total(_steps((0, begins), (count, 2 * MEMORY)))],
                self.silent(begins),
                self.fires(last, count, holding=holding),
                Check(begins + MEMORY - CLOCK.scrape, self.name, self._all(holding, count)),
                self.silent(last + MEMORY),
            )
        yield self.scenario(
            f"{rule.severity} says whole numbers where a scrape is late",
            [self.total(_steps((0, LATE), (count, 3 * CLOCK.scrape)) + " _x2")],
            Check(LATE + 4 * CLOCK.scrape, self.name, self._all(holding, count)),
        )
        below = self._holding(count - 1)
        yield self.scenario(
            f"{rule.severity} stays silent below its limit",
            [self.total(_steps((0, EARLY), (count - 1, MEMORY)))],
            Check(2 * EARLY, self.name, self._all(below, count - 1)),
        )

    def _holding(self, count: int) -> list[Alert]:
        return [rule for rule in self.rules if count >= _limit(rule)]

    def _all(self, holding: Sequence[Alert], value: float) -> tuple[Firing, ...]:
        return tuple(Firing(rule, self.labels, value) for rule in holding)


class _Inversions(_Course):
    def __init__(self, settings: Settings, rule: Alert) -> None:
        super().__init__(settings, [rule])

    def scenarios(self) -> Iterator[Scenario]:
        remembered = due(CLOCK, self.rules[0], LATE) + MEMORY - CLOCK.scrape
        none = f"_x{CLOCK.samples(LATE)}"
        yield self.scenario(
            "fires for a pair's first inversion, with which its series begins, is remembered, and recovers",
            [self.total(f"{none} 1x{CLOCK.samples(2 * MEMORY)}")],
            self.silent(LATE - CLOCK.scrape),
            self.fires(LATE, 1.0),
            self._still(LATE + MEMORY - CLOCK.scrape),
            self.silent(LATE + MEMORY),
        )
        yield self.scenario(
            "fires when a known pair is found once more, is remembered, and recovers",
            [self.total(_steps((1, LATE - CLOCK.scrape), (2, 2 * MEMORY)))],
            self.silent(LATE - CLOCK.scrape),
            self.fires(LATE, 1.0),
            self.silent(LATE + MEMORY),
        )
        yield self.scenario(
            "remembers a pair whose process is gone",
            [self.total(f"{none} 1x4 stale")],
            self._still(remembered - 10 * CLOCK.scrape),
            self.silent(LATE + MEMORY + 4 * CLOCK.scrape),
        )
        yield self.scenario(
            "stays silent when a process restarts and finds again, alone or beside others, what was known",
            [
                self.total(_steps((1, LATE)) + f" stale _x20 1x{CLOCK.samples(2 * MEMORY)}"),
                self.total(f"{none} 1x{CLOCK.samples(2 * MEMORY)}", "b"),
            ],
            *(self.silent(LATE + after) for after in (0, 30 * CLOCK.scrape, *_around(MEMORY), 2 * MEMORY)),
        )
        yield self.scenario(
            "stays silent when known pairs lose a few scrapes",
            [self.total(_steps((1, LATE)) + f" {GAP} 1x{CLOCK.samples(2 * MEMORY)}")],
            *(self.silent(LATE + after) for after in (CLOCK.scrape, *_around(MEMORY), 2 * MEMORY)),
        )
        yield self.scenario(
            "names the new pair and no other",
            [
                self.total(_steps((1, LATE + MEMORY)), first="known", second="pair"),
                self.total(f"{none} 1x{CLOCK.samples(MEMORY)}"),
            ],
            self.fires(LATE, 1.0),
        )
        yield self.scenario(
            "stays silent while a pair's series stands at zero",
            [self.total(f"{none} {_steps((0, MEMORY))}")],
            self.silent(LATE + EARLY),
        )
        yield self.scenario("stays silent when there are no series at all", [], self.silent(LATE))

    def _still(self, at: int) -> Check:
        return Check(at, self.name, tuple(Firing(rule, self.labels, 1.0) for rule in self.rules))


def _limit(rule: Alert) -> Decimal:
    if rule.limit is None:
        raise ValueError(f"alert {rule.name}: a rule on deadlocks has a limit")
    return rule.limit


def _whole(rule: Alert) -> int:
    """The fewest events that reach the limit."""
    return -int(-_limit(rule) // 1)


def _steps(*totals: tuple[int, int]) -> str:
    """Totals in turn, each for a while (milliseconds), the last sample of it included; the first begins at 0."""
    parts = []
    for at, (value, span) in enumerate(totals):
        parts.append(f"{value}x{CLOCK.samples(span) - (at > 0)}")
    return " ".join(parts)


def _around(moment: int) -> tuple[int, ...]:
    """Evaluations before, at and after a moment, where a gap is as old as the window."""
    return tuple(moment + steps * CLOCK.evaluation for steps in range(-1, 4))
