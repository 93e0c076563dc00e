"""Tests of the threshold alerts: each value is set relative to the limit that the site has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Kind, Metric, Unit
from mnemoscope.model.objectives import Threshold
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Part

from ..model import Alert, Pack
from ..rules import recording as records
from ..rules import thresholds
from . import series
from .model import Check, Scenario, due, fired
from .series import Clock, Phase, Series, milliseconds


@dataclass(frozen=True, slots=True)
class Reading:
    """Series whose value a rule computes.

    Attributes:
        names: the series.
        phase: rates at which the rule finds the given value, for a duration in milliseconds.
        value: what it finds exactly; the quantile of whole events may lie a little below what was asked for.
    """

    names: tuple[str, ...]
    phase: Callable[[int, Fraction], Phase]
    value: Callable[[Fraction], float]


@dataclass(frozen=True, slots=True)
class Signal:
    """How to feed one zone: labels of the metric, and the reading they make."""

    labels: Mapping[str, str]
    reading: Callable[[Settings, Mapping[str, str]], Reading]


def _volume(settings: Settings) -> int:
    # Divisible by whatever a share of events and the window may ask for.
    return 1_000_000 * milliseconds(settings.rate_window)


def _quantile(metric: Metric, **chosen: str) -> Signal:
    recorded = records.quantile_of(metric)
    labels = series.samples_of(metric, **chosen)
    q = Fraction(recorded.percent, 100)

    def reading(settings: Settings, target: Mapping[str, str]) -> Reading:
        every = {**target, **labels}
        volume = _volume(settings)

        def masses(value: Fraction) -> list[int]:
            return series.quantile_masses(metric, q, value, volume)

        def phase(duration: int, value: Fraction) -> Phase:
            buckets = [count for _, count in series.cumulative(metric, [Fraction(m) for m in masses(value)])]
            return Phase(duration, (*buckets, Fraction(volume)))

        bounds = [*map(series.bound_text, metric.buckets), "+Inf"]
        names = [series.selector(settings, metric, every, "bucket", bound) for bound in bounds]
        return Reading(
            (*names, series.selector(settings, metric, every, "count")),
            phase,
            lambda value: series.quantile_of_masses(metric, float(q), masses(value)),
        )

    return Signal({name: v for name, v in labels.items() if name not in recorded.dropped}, reading)


def _share(metric: Metric, kept: str, label: str, counted: str, other: str) -> Signal:
    """Events told apart by a label; the value is the share of those that carry `counted`."""
    labels = series.samples_of(metric)

    def reading(settings: Settings, target: Mapping[str, str]) -> Reading:
        part: Part = "" if metric.kind is Kind.COUNTER else "count"
        every = {**target, **labels}
        volume = _volume(settings)
        return Reading(
            tuple(series.selector(settings, metric, {**every, label: v}, part) for v in (counted, other)),
            lambda duration, value: Phase(duration, (value * volume, (1 - value) * volume)),
            float,
        )

    return Signal({kept: labels[kept]}, reading)


def _mean(metric: Metric) -> Signal:
    def reading(settings: Settings, target: Mapping[str, str]) -> Reading:
        volume = _volume(settings)
        return Reading(
            tuple(series.selector(settings, metric, target, part) for part in ("sum", "count")),
            lambda duration, value: Phase(duration, (value * volume, Fraction(volume))),
            float,
        )

    return Signal({}, reading)


SIGNALS: Mapping[str, Signal] = {
    "LockWaitHigh": _quantile(c.LOCK_WAIT_DURATION),
    "IndexWriteSlow": _quantile(c.INDEX_WRITE_DURATION),
    "CacheHitRatioLow": _share(c.CACHE_LOOKUPS, "cache", "result", "hit", "miss"),
    "StorageErrorRatioHigh": _share(c.STORAGE_OPERATION_DURATION, "backend", "outcome", "error", "ok"),
    "BlendedRecallLatencyP99Breach": _quantile(c.RECALL_DURATION, path="blended"),
    "ConceptQualityViolation": _mean(c.CONCEPT_QUALITY),
    "FanEffectExcessive": _quantile(c.FAN_ASSOCIATIONS),
}
"""What feeds each alert that counts events; the peak gauge has a course of its own."""


def scenarios(settings: Settings, pack: Pack) -> Iterator[Scenario]:
    """The tests of every threshold alert in the pack."""
    for zone in thresholds.ZONES:
        rules = pack.rules_of(zone.name)
        if rules and zone.name in SIGNALS:
            yield from _Course(settings, rules, SIGNALS[zone.name]).scenarios()
        elif rules:
            yield from _peaks(settings, rules)


def _beyond(rule: Alert) -> Fraction:
    """A value a little on the wrong side of the limit, and within what can be measured."""
    threshold, limit = _limits(rule)
    if threshold.worse == "below":
        return series.beneath(limit)
    return series.beyond(limit, Fraction(1) if threshold.unit is Unit.RATIO else _largest(threshold.metric))


def _within(rule: Alert) -> Fraction:
    """A value a hair on the right side of the limit."""
    threshold, limit = _limits(rule)
    return limit * (1 + series.HAIR if threshold.worse == "below" else 1 - series.HAIR)


def _largest(metric: Metric) -> Fraction:
    return Fraction(str(metric.buckets[-1]))


def _limits(rule: Alert) -> tuple[Threshold, Fraction]:
    if rule.threshold is None or rule.limit is None:
        raise ValueError(f"alert {rule.name}: a threshold alert has a threshold and a limit")
    return rule.threshold, Fraction(rule.limit)


def _good(rule: Alert) -> Fraction:
    threshold, _ = _limits(rule)
    limit = Fraction(threshold.yellow)
    return (1 + limit) / 2 if threshold.worse == "below" else limit / 2


def _holding(rules: Sequence[Alert], value: float) -> list[Alert]:
    """The rules that `value` is beyond."""
    return [rule for rule in rules if _beyond_limit(rule, value)]


def _beyond_limit(rule: Alert, value: float) -> bool:
    threshold, limit = _limits(rule)
    return value > float(limit) if threshold.worse == "above" else value < float(limit)


class _Course:
    """The scenarios of one alert that counts events over the rate window."""

    def __init__(self, settings: Settings, rules: Sequence[Alert], signal: Signal) -> None:
        self.rules = rules
        self.name = rules[0].name
        self.clock = Clock.of(settings)
        self.window = milliseconds(settings.rate_window)
        self.min_events = settings.min_events
        target = series.identity(settings)
        self.labels = {**series.kept(settings, target), **signal.labels}
        self.reading = signal.reading(settings, target)
        self.active = self.clock.first_rate
        self.last = max(due(self.clock, rule, self.active) for rule in rules)

    def scenarios(self) -> Iterator[Scenario]:
        for rule in self.rules:
            yield self._fires(rule, _beyond(rule))
            yield self._within_the_limit(rule)
        yield self._too_few()
        if self.rules[0].threshold is not None and self.rules[0].threshold.worse == "below":
            yield self._never_good()
        end = self.last + self.clock.evaluation
        yield self._silent("there are no series at all", (), end)
        yield self._silent("nothing happens", self._flat(end), end)

    def _check(self, at: int, value: float) -> Check:
        holding = _holding(self.rules, value)
        return Check(at, self.name, fired(self.rules, holding, self.active, at, self.labels, value))

    def _fires(self, rule: Alert, asked: Fraction) -> Scenario:
        value = self.reading.value(asked)
        at = due(self.clock, rule, self.active)
        checks = [self._check(at, value)]
        if at - self.clock.evaluation >= 0:
            before = at - self.clock.evaluation
            checks.insert(0, self._check(before, value) if before >= self.active else Check(before, self.name))
        bad = self.reading.phase(at, asked)
        healthy = self.window + 2 * (self.clock.scrape + self.clock.evaluation)
        good = self.reading.phase(healthy, _good(rule))
        checks.append(Check(self.clock.evaluated(at + self.window + self.clock.scrape), self.name))
        return Scenario(
            f"{rule.severity} fires beyond its limit once it has held long enough, and recovers",
            self.name,
            tuple(series.counters(self.clock, self.reading.names, [bad, good])),
            tuple(checks),
        )

    def _within_the_limit(self, rule: Alert) -> Scenario:
        within = _within(rule)
        at = due(self.clock, rule, self.active) + self.clock.evaluation
        phase = self.reading.phase(at, within)
        return Scenario(
            f"{rule.severity} stays silent a hair within its limit",
            self.name,
            tuple(series.counters(self.clock, self.reading.names, [phase])),
            (self._check(at, self.reading.value(within)),),
        )

    def _too_few(self) -> Scenario:
        end = self.last + self.window
        worst = _beyond(self.rules[-1])
        phase = self.reading.phase(end, worst)
        # Nine in ten of the events that a window must hold.
        total = Fraction(9, 10) * self.min_events * 1000 / self.window
        volume = phase.rates[0] + phase.rates[1] if len(phase.rates) == 2 and self._parts() else phase.rates[-1]
        slow = series.slower(phase, total / volume)
        return self._silent(
            "there are too few events to judge",
            tuple(series.counters(self.clock, self.reading.names, [slow])),
            end,
        )

    def _parts(self) -> bool:
        """Whether the series are parts of a whole, and not a sum or buckets beside a count."""
        return self.name in ("CacheHitRatioLow", "StorageErrorRatioHigh")

    def _never_good(self) -> Scenario:
        at = self.last
        phase = self.reading.phase(at, Fraction(0))
        if self._parts():
            names, phase = self.reading.names[1:], Phase(at, phase.rates[1:])
        else:
            names = self.reading.names
        return Scenario(
            "fires when not one event is good",
            self.name,
            tuple(series.counters(self.clock, names, [phase])),
            (self._check(at, 0.0),),
        )

    def _flat(self, end: int) -> tuple[Series, ...]:
        return tuple(Series(name, series.constant(1000, self.clock, end)) for name in self.reading.names)

    def _silent(self, when: str, given: tuple[Series, ...], at: int) -> Scenario:
        return Scenario(f"stays silent when {when}", self.name, given, (Check(self.clock.evaluated(at), self.name),))


def _peaks(settings: Settings, rules: Sequence[Alert]) -> Iterator[Scenario]:
    """Tests of the peak gauge: two instances, of which the busier one counts, never their sum."""
    clock, name = Clock.of(settings), rules[0].name
    window = milliseconds(settings.rate_window)
    target, other = series.identity(settings, "a"), series.identity(settings, "b")
    labels = series.kept(settings, target)
    names = [series.selector(settings, c.COMPLETION_IN_FLIGHT_PEAK, each) for each in (target, other)]
    last = max(due(clock, rule, 0) for rule in rules)

    def given(value: Fraction, until: int, after: int = 0) -> tuple[Series, ...]:
        quiet = f" 0x{clock.samples(after)}" if after else ""
        busy, calm = (series.constant(value * share, clock, until) + quiet for share in (1, Fraction(4, 5)))
        return Series(names[0], busy), Series(names[1], calm)

    def check(at: int, value: Fraction) -> Check:
        holding = _holding(rules, float(value))
        return Check(at, name, fired(rules, holding, 0, at, labels, float(value)))

    for rule in rules:
        limit = _limits(rule)[1]
        value, at = limit + max(limit, Fraction(1)) * series.EXCESS, due(clock, rule, 0)
        before = [check(at - clock.evaluation, value)] if at else []
        over = Check(clock.evaluated(at + window + 2 * clock.scrape), name)
        yield Scenario(
            f"{rule.severity} fires beyond its limit once it has held long enough, and recovers",
            name,
            given(value, at, window + 4 * (clock.scrape + clock.evaluation)),
            (*before, check(at, value), over),
        )
        yield Scenario(
            f"{rule.severity} stays silent exactly at its limit, and does not add instances up",
            name,
            given(limit, at + clock.evaluation),
            (check(at + clock.evaluation, limit),),
        )
    yield Scenario("stays silent when there are no series at all", name, (), (Check(last + clock.evaluation, name),))
