"""Tests of the threshold alerts: each value lies beyond, or just within, the limit that the site has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model.settings import Settings
from mnemoscope.model.signals import Peak, Share
from mnemoscope.model.thresholds import Threshold

from ..model import Alert, Pack
from . import series
from .clock import Clock, milliseconds
from .scenario import Check, Scenario, due, fired
from .series import Phase, Series
from .signals import events_per_second, feed


def scenarios(settings: Settings, pack: Pack) -> Iterator[Scenario]:
    """Yield the tests of every threshold alert in the pack."""
    for threshold in settings.all_thresholds():
        alert = threshold.alert
        rules = pack.rules_of(alert.name) if alert else ()
        if alert is not None and rules:
            kind = _PeakScenarios if isinstance(alert.signal, Peak) else _EventScenarios
            yield from kind(settings, threshold, rules).scenarios()


class _AlertScenarios:
    """What the scenarios of all threshold alerts share."""

    def __init__(self, settings: Settings, threshold: Threshold, rules: Sequence[Alert]) -> None:
        self.settings = settings
        self.threshold = threshold
        self.rules = rules
        self.name = rules[0].name
        self.clock = Clock.of(settings)
        self.window = milliseconds(settings.rate_window)

    def beyond_limit(self, rule: Alert, value: float) -> bool:
        limit = float(_limit(rule))
        return value > limit if self.threshold.worse == "above" else value < limit

    def check(self, at: int, value: float, since: int, labels: dict[str, str]) -> Check:
        """Expect at `at` what fires when the signal has had `value` since `since`."""
        holding = [rule for rule in self.rules if self.beyond_limit(rule, value)]
        return Check(at, self.name, fired(holding, since, at, labels, value))


class _EventScenarios(_AlertScenarios):
    """The scenarios of an alert that counts events over the rate window."""

    def __init__(self, settings: Settings, threshold: Threshold, rules: Sequence[Alert]) -> None:
        super().__init__(settings, threshold, rules)
        target = series.identity(settings)
        self.feed = feed(settings, threshold, target)
        self.labels = {**series.without_instance(settings, target), **self.feed.labels}
        self.active = self.clock.first_rate
        self.last = max(due(self.clock, rule, self.active) for rule in rules)

    def scenarios(self) -> Iterator[Scenario]:
        for rule in self.rules:
            yield self._fires(rule)
            yield self._within_the_limit(rule)
        yield self._too_few_events()
        if self.threshold.worse == "below":
            yield self._never_good()
        end = self.last + self.clock.evaluation
        yield self._silent("there are no series at all", (), end)
        idle = tuple(Series(name, series.constant(1000, self.clock, end)) for name in self.feed.counters)
        yield self._silent("nothing happens", idle, end)

    def _fires(self, rule: Alert) -> Scenario:
        bad, good = self._bad(rule), self._good()
        at = due(self.clock, rule, self.active)
        checks = [self._check(at, bad)]
        before = at - self.clock.evaluation
        if before >= 0:
            checks.insert(0, self._check(before, bad) if before >= self.active else Check(before, self.name))
        checks.append(Check(self.clock.evaluated(at + self.window + self.clock.scrape), self.name))
        healthy = self.window + 2 * (self.clock.scrape + self.clock.evaluation)
        return Scenario(
            f"{rule.severity} fires beyond its limit once it has held long enough, and recovers",
            self.name,
            self._counters(Phase(at, self.feed.rates(bad)), Phase(healthy, self.feed.rates(good))),
            tuple(checks),
        )

    def _within_the_limit(self, rule: Alert) -> Scenario:
        limit = _limit(rule)
        within = limit * (1 + series.MARGIN if self.threshold.worse == "below" else 1 - series.MARGIN)
        at = due(self.clock, rule, self.active) + self.clock.evaluation
        return Scenario(
            f"{rule.severity} stays silent just within its limit",
            self.name,
            self._counters(Phase(at, self.feed.rates(within))),
            (self._check(at, within),),
        )

    def _too_few_events(self) -> Scenario:
        end = self.last + self.window
        worst = Phase(end, self.feed.rates(self._bad(self.rules[-1])))
        # Nine in ten of the events that a window must hold.
        allowed = Fraction(9, 10) * self.settings.min_events * 1000 / self.window
        slow = series.slower(worst, allowed / events_per_second(self.settings))
        return self._silent("there are too few events to judge", self._counters(slow), end)

    def _never_good(self) -> Scenario:
        counters, rates = self.feed.counters, self.feed.rates(Fraction(0))
        if self.threshold.alert is not None and isinstance(self.threshold.alert.signal, Share):
            # An event that never happened has no series.
            counters, rates = counters[1:], rates[1:]
        return Scenario(
            "fires when not one event is good",
            self.name,
            tuple(series.counters(self.clock, counters, [Phase(self.last, rates)])),
            (self._check(self.last, Fraction(0)),),
        )

    def _bad(self, rule: Alert) -> Fraction:
        """Return a value a little beyond the limit, and within what can be measured."""
        limit = _limit(rule)
        if self.threshold.worse == "below":
            return series.beneath(limit)
        if self.threshold.unit is Unit.RATIO:
            return series.beyond(limit, Fraction(1))
        return series.beyond(limit, Fraction(str(self.threshold.metric.buckets[-1])))

    def _good(self) -> Fraction:
        limit = Fraction(self.threshold.yellow)
        return (1 + limit) / 2 if self.threshold.worse == "below" else limit / 2

    def _counters(self, *phases: Phase) -> tuple[Series, ...]:
        return tuple(series.counters(self.clock, self.feed.counters, phases))

    def _check(self, at: int, value: Fraction) -> Check:
        return self.check(at, self.feed.exact(value), self.active, self.labels)

    def _silent(self, when: str, given: tuple[Series, ...], at: int) -> Scenario:
        return Scenario(f"stays silent when {when}", self.name, given, (Check(self.clock.evaluated(at), self.name),))


class _PeakScenarios(_AlertScenarios):
    """The scenarios of an alert on a gauge: of two instances the higher one counts, never their sum."""

    def __init__(self, settings: Settings, threshold: Threshold, rules: Sequence[Alert]) -> None:
        super().__init__(settings, threshold, rules)
        own = series.labels_of(threshold.metric)
        targets = [series.identity(settings, instance) for instance in "ab"]
        self.labels = {**series.without_instance(settings, targets[0]), **own}
        self.gauges = [series.metric_series(settings, threshold.metric, {**target, **own}) for target in targets]

    def scenarios(self) -> Iterator[Scenario]:
        for rule in self.rules:
            yield self._fires(rule)
            yield self._at_the_limit(rule)
        last = max(due(self.clock, rule, 0) for rule in self.rules)
        silent = Check(last + self.clock.evaluation, self.name)
        yield Scenario("stays silent when there are no series at all", self.name, (), (silent,))

    def _fires(self, rule: Alert) -> Scenario:
        limit, at = _limit(rule), due(self.clock, rule, 0)
        value = limit + max(limit, Fraction(1)) * series.EXCESS
        before = [self._check(at - self.clock.evaluation, value)] if at else []
        over = Check(self.clock.evaluated(at + self.window + 2 * self.clock.scrape), self.name)
        return Scenario(
            f"{rule.severity} fires beyond its limit once it has held long enough, and recovers",
            self.name,
            self._given(value, at, self.window + 4 * (self.clock.scrape + self.clock.evaluation)),
            (*before, self._check(at, value), over),
        )

    def _at_the_limit(self, rule: Alert) -> Scenario:
        limit, at = _limit(rule), due(self.clock, rule, 0) + self.clock.evaluation
        return Scenario(
            f"{rule.severity} stays silent exactly at its limit, and does not add instances up",
            self.name,
            self._given(limit, at),
            (self._check(at, limit),),
        )

    def _given(self, value: Fraction, until: int, calm: int = 0) -> tuple[Series, ...]:
        after = f" 0x{self.clock.samples(calm)}" if calm else ""
        return tuple(
            Series(gauge, series.constant(value * share, self.clock, until) + after)
            for gauge, share in zip(self.gauges, (Fraction(1), Fraction(4, 5)), strict=True)
        )

    def _check(self, at: int, value: Fraction) -> Check:
        return self.check(at, float(value), 0, self.labels)


def _limit(rule: Alert) -> Fraction:
    if rule.limit is None:
        raise ValueError(f"alert {rule.name}: a threshold alert has a limit")
    return Fraction(rule.limit)
