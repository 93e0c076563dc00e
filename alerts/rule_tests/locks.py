"""Tests of the alerts on lock faults: first events, further events, restarts, failed scrapes, and recovery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from mnemoscope.instrumentation import catalog as c
from mnemoscope.model.settings import Settings

from ..model import Alert, Pack
from ..rules import locks
from . import series
from .clock import Clock, milliseconds
from .expected import Firing
from .scenario import Check, Scenario, due
from .series import Series

CLOCK = Clock(60_000, 60_000)
"""Windows of hours need no seconds."""

FAILED_SCRAPES = "stale _x2"
"""In promtool's notation."""

LOOKBACK = milliseconds(locks.LOOKBACK)

EARLY = LOOKBACK // 6
"""A moment at which the series is younger than the window."""

LATE = 3 * LOOKBACK
"""A moment at which the series is older than two windows."""


def scenarios(settings: Settings, pack: Pack) -> Iterator[Scenario]:
    """Yield the tests of both alerts, if the pack has them."""
    if rules := pack.rules_of(locks.DEADLOCK):
        yield from _DeadlockScenarios(settings, rules).scenarios()
    for rule in pack.rules_of(locks.INVERSION):
        yield from _InversionScenarios(settings, rule).scenarios()


class _LockScenarios:
    """What the tests of both alerts share: series with given totals, and checks of what fires."""

    def __init__(self, settings: Settings, rules: Sequence[Alert]) -> None:
        self.settings = settings
        self.rules = rules
        self.name = rules[0].name
        self.metric = c.LOCK_DEADLOCKS if self.name == locks.DEADLOCK else c.LOCK_ORDER_INVERSIONS
        self.own = series.labels_of(self.metric)
        self.labels = {**series.without_instance(settings, series.identity(settings)), **self.own}

    def total(self, values: str, instance: str = "a", **own: str) -> Series:
        """Return the counter of one instance, with these samples."""
        labels: Mapping[str, str] = {**series.identity(self.settings, instance), **self.own, **own}
        return Series(series.metric_series(self.settings, self.metric, labels), values)

    def fires(self, since: int, value: float, *, holding: Sequence[Alert] | None = None) -> Check:
        """Expect the rules in `holding`, which have held since `since`, as soon as the pending time of all is over."""
        holding = self.rules if holding is None else holding
        return self.still_fires(max(due(CLOCK, rule, since) for rule in holding), value, holding)

    def still_fires(self, at: int, value: float, holding: Sequence[Alert] | None = None) -> Check:
        """Expect the rules in `holding` at a moment at which their pending time is over."""
        holding = self.rules if holding is None else holding
        return Check(at, self.name, tuple(Firing(rule, self.labels, value) for rule in holding))

    def silent(self, at: int) -> Check:
        return Check(CLOCK.evaluated(at), self.name)

    def scenario(self, name: str, given: Sequence[Series], *checks: Check) -> Scenario:
        return Scenario(name, self.name, tuple(given), checks, clock=CLOCK)


class _DeadlockScenarios(_LockScenarios):
    def scenarios(self) -> Iterator[Scenario]:
        for rule in self.rules:
            yield from self._from_limit(rule)
        some = _whole(self.rules[-1])
        past = _totals((0, CLOCK.scrape), (some, LATE))
        yield self.scenario(
            "stays silent when a process restarts, misses a few scrapes or is new, whatever happened long ago",
            [
                self.total(_totals((0, CLOCK.scrape), (some, LATE), (0, 2 * LOOKBACK))),
                self.total(f"{past} {FAILED_SCRAPES} {some}x{CLOCK.samples(2 * LOOKBACK)}", "b"),
                self.total(f"_x{CLOCK.samples(LATE)} {_totals((0, 2 * LOOKBACK))}", "c"),
            ],
            *(self.silent(LATE + after) for after in (0, CLOCK.scrape, *_around(LOOKBACK), 2 * LOOKBACK)),
        )
        yield self.scenario(
            "adds up the deadlocks of instances immediately, even if they happened before the first scrape",
            [
                self.total(_totals((1, LATE))),
                self.total(_totals((some, LATE)), "b"),
            ],
            self.fires(0, some + 1.0),
            self.silent(LOOKBACK),
        )
        few = _whole(self.rules[0])
        yield self.scenario(
            "counts no more deadlocks than happened, even from two samples",
            [self.total(f"0 {few} _x2")],
            self.fires(CLOCK.scrape, few, holding=self._holding(few)),
            self.still_fires(2 * CLOCK.scrape, few, self._holding(few)),
        )
        yield self.scenario("stays silent when nothing deadlocks", [self.total(_totals((0, LATE)))], self.silent(LATE))
        yield self.scenario("stays silent when there are no series at all", [], self.silent(LATE))

    def _from_limit(self, rule: Alert) -> Iterator[Scenario]:
        count = _whole(rule)
        holding = self._holding(count)
        for when, begins in (("in a young process", EARLY), ("in an old process", LATE)):
            last = begins + CLOCK.scrape
            yield self.scenario(
                f"{rule.severity} fires at its limit immediately {when}, keeps firing for the window, and recovers",
                [self.total(_totals((0, begins), (count, 2 * LOOKBACK)))],
                self.silent(begins),
                self.fires(last, count, holding=holding),
                self.still_fires(begins + LOOKBACK - CLOCK.scrape, count, holding),
                self.silent(last + LOOKBACK),
            )
        yield self.scenario(
            f"{rule.severity} shows whole numbers if a scrape is late",
            [self.total(_totals((0, LATE), (count, 3 * CLOCK.scrape)) + " _x2")],
            self.still_fires(LATE + 4 * CLOCK.scrape, count, holding),
        )
        below = self._holding(count - 1)  # a milder rule may fire
        yield self.scenario(
            f"{rule.severity} stays silent below its limit",
            [self.total(_totals((0, EARLY), (count - 1, LOOKBACK)))],
            self.still_fires(2 * EARLY, count - 1, below),
        )

    def _holding(self, count: int) -> list[Alert]:
        return [rule for rule in self.rules if count >= _limit(rule)]


class _InversionScenarios(_LockScenarios):
    def __init__(self, settings: Settings, rule: Alert) -> None:
        super().__init__(settings, [rule])

    def scenarios(self) -> Iterator[Scenario]:
        remembered = due(CLOCK, self.rules[0], LATE) + LOOKBACK - CLOCK.scrape
        none = f"_x{CLOCK.samples(LATE)}"
        yield self.scenario(
            "fires for the first inversion of a pair, with which its series begins, and recovers",
            [self.total(f"{none} 1x{CLOCK.samples(2 * LOOKBACK)}")],
            self.silent(LATE - CLOCK.scrape),
            self.fires(LATE, 1.0),
            self.still_fires(LATE + LOOKBACK - CLOCK.scrape, 1.0),
            self.silent(LATE + LOOKBACK),
        )
        yield self.scenario(
            "fires when a known pair is found once more, and recovers",
            [self.total(_totals((1, LATE - CLOCK.scrape), (2, 2 * LOOKBACK)))],
            self.silent(LATE - CLOCK.scrape),
            self.fires(LATE, 1.0),
            self.silent(LATE + LOOKBACK),
        )
        yield self.scenario(
            "keeps firing for a pair whose process has ended",
            [self.total(f"{none} 1x4 stale")],
            self.still_fires(remembered - 10 * CLOCK.scrape, 1.0),
            self.silent(LATE + LOOKBACK + 4 * CLOCK.scrape),
        )
        yield self.scenario(
            "stays silent when a restarted process finds a known pair again, alone or beside others",
            [
                self.total(_totals((1, LATE)) + f" stale _x20 1x{CLOCK.samples(2 * LOOKBACK)}"),
                self.total(f"{none} 1x{CLOCK.samples(2 * LOOKBACK)}", "b"),
            ],
            *(self.silent(LATE + after) for after in (0, 30 * CLOCK.scrape, *_around(LOOKBACK), 2 * LOOKBACK)),
        )
        yield self.scenario(
            "stays silent when known pairs miss a few scrapes",
            [self.total(_totals((1, LATE)) + f" {FAILED_SCRAPES} 1x{CLOCK.samples(2 * LOOKBACK)}")],
            *(self.silent(LATE + after) for after in (CLOCK.scrape, *_around(LOOKBACK), 2 * LOOKBACK)),
        )
        yield self.scenario(
            "names the new pair and no other",
            [
                self.total(_totals((1, LATE + LOOKBACK)), first="known", second="pair"),
                self.total(f"{none} 1x{CLOCK.samples(LOOKBACK)}"),
            ],
            self.fires(LATE, 1.0),
        )
        yield self.scenario(
            "stays silent while the series of a pair is zero",
            [self.total(f"{none} {_totals((0, LOOKBACK))}")],
            self.silent(LATE + EARLY),
        )
        yield self.scenario("stays silent when there are no series at all", [], self.silent(LATE))


def _limit(rule: Alert) -> Decimal:
    if rule.limit is None:
        raise ValueError(f"alert {rule.name}: a rule on deadlocks has a limit")
    return rule.limit


def _whole(rule: Alert) -> int:
    """Return the fewest events that reach the limit."""
    return -int(-_limit(rule) // 1)


def _totals(*totals: tuple[int, int]) -> str:
    """Return the samples of totals in turn, each for a while (milliseconds) up to and with its last sample."""
    parts = []
    for at, (value, span) in enumerate(totals):
        parts.append(f"{value}x{CLOCK.samples(span) - (at > 0)}")
    return " ".join(parts)


def _around(moment: int) -> tuple[int, ...]:
    """Return evaluations before, at and after a moment."""
    return tuple(moment + steps * CLOCK.evaluation for steps in range(-1, 4))
