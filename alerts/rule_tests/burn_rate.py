"""Tests of the burn-rate alerts: constant shares of bad events, and the time after the bad events stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from mnemoscope.model.objectives import Objective
from mnemoscope.model.settings import Settings

from .. import record_names
from ..model import Alert, Pack
from ..rules import burn_rate
from ..rules.burn_rate import WINDOWS, Window
from . import series
from .buckets import bound_text
from .clock import Clock, milliseconds
from .expected import Firing
from .scenario import Check, Scenario, due, fired
from .series import Phase, Series

EVENTS_PER_SECOND = 3_600_000_000
"""So many that round shares of them are whole numbers over every window computed from raw series."""

RECOVERY_FACTOR = 10_000
"""How many times more events a recovered service has, so that every window is within its limit immediately."""

MAX_EVALUATIONS = 400
"""Evaluations that one scenario may take; the longest windows would take promtool minutes."""

SHORTEST_EVALUATION = 60_000
"""Evaluation interval in milliseconds: windows of days need no seconds, and a count of events comes out lower."""

BASE_WINDOW = milliseconds(record_names.SLO_BASE_WINDOW)


def scenarios(settings: Settings, pack: Pack) -> Iterator[Scenario]:
    """Yield the tests of every burn-rate alert in the pack."""
    for objective in settings.all_objectives():
        rules = pack.rules_of(burn_rate.alert_name(objective))
        if rules:
            yield from _ObjectiveScenarios(settings, objective, rules).scenarios()


def coarse(settings: Settings) -> Clock:
    """Return the clock of a site, with at most one evaluation a minute."""
    site = Clock.of(settings)
    return replace(site, evaluation=max(site.evaluation, SHORTEST_EVALUATION))


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events for a while.

    Attributes:
        duration: in milliseconds.
        bad_share: the share of events that are bad.
        per_second: the number of events a second.
    """

    duration: int
    bad_share: Fraction
    per_second: Fraction = Fraction(EVENTS_PER_SECOND)


@dataclass(frozen=True, slots=True)
class EventSeries:
    """The series of an objective's events."""

    objective: Objective
    names: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings, objective: Objective, target: Mapping[str, str]) -> EventSeries:
        """Return the series of one instance; with a latency bound, also slow events that the objective leaves out."""
        metric = objective.metric
        labels = {**target, **series.labels_of(metric, **dict(objective.events))}
        if objective.within is None:
            parts = [{**labels, "outcome": outcome} for outcome in ("ok", "error", "cancelled")]
            return cls(objective, tuple(series.metric_series(settings, metric, part, "count") for part in parts))
        bound = bound_text(objective.within)
        names = []
        for part in (labels, {**labels, "outcome": "cancelled"}):
            names.append(series.metric_series(settings, metric, part, "bucket", bound))
            names.append(series.metric_series(settings, metric, part, "bucket", "+Inf"))
            names.append(series.metric_series(settings, metric, part, "count"))
        return cls(objective, tuple(names))

    def phase(self, traffic: Traffic) -> Phase:
        """Return the rates of the series under `traffic`."""
        all_ = traffic.per_second
        bad = traffic.bad_share * all_
        good = all_ - bad
        if self.objective.within is None:
            return Phase(traffic.duration, (good * Fraction(3, 4), bad, good / 4))
        return Phase(traffic.duration, (good, all_, all_, Fraction(0), all_, all_))


class _ObjectiveScenarios:
    """The scenarios of one objective's alert."""

    def __init__(self, settings: Settings, objective: Objective, rules: Sequence[Alert]) -> None:
        self.objective = objective
        self.rules = rules
        self.name = rules[0].name
        self.clock = coarse(settings)
        self.min_bad_events = settings.min_bad_events
        target = series.identity(settings)
        self.labels = series.without_instance(settings, target)
        self.events = EventSeries.of(settings, objective, target)
        self.idle = EventSeries.of(settings, objective, series.identity(settings, cluster="quiet-1"))
        self.active = self.clock.first_rate
        self.last = max(due(self.clock, rule, self.active) for rule in rules)

    def scenarios(self) -> Iterator[Scenario]:
        return (replace(scenario, clock=self.clock) for scenario in self._scenarios())

    def _scenarios(self) -> Iterator[Scenario]:
        for rule in self.rules:
            yield from (self._fires(rule), self._within_the_limit(rule), *self._ends(rule))
        end = self.last + self.clock.evaluation
        few = Traffic(end, Fraction(1), Fraction(4, 5) * self.min_bad_events * 1000 / end)
        flat = tuple(Series(name, series.constant(1000, self.clock, end)) for name in self.idle.names)
        yield Scenario(
            "stays silent when there are too few bad events, no events at all, or no series",
            self.name,
            (*self._given(few), *flat),
            (Check(end, self.name),),
        )

    def _fires(self, rule: Alert) -> Scenario:
        at = due(self.clock, rule, self.active)
        bad = Traffic(at, _beyond(rule))
        checks = [self._check(at, bad)]
        if at >= self.clock.evaluation:
            before = at - self.clock.evaluation
            checks.insert(0, self._check(before, bad) if before >= self.active else Check(before, self.name))
        # So many good events that every window is within its limit immediately.
        healthy = 10 * (self.clock.scrape + self.clock.evaluation)
        good = Traffic(healthy, Fraction(0), Fraction(EVENTS_PER_SECOND * RECOVERY_FACTOR))
        return Scenario(
            f"fires {_over(rule)} once it has held long enough, and recovers",
            self.name,
            self._given(bad, good),
            (*checks, self._check(self.clock.evaluated(at + good.duration), bad, good)),
        )

    def _ends(self, rule: Alert) -> Iterator[Scenario]:
        """Yield the end of the alert: the short window is clean, while the long window still holds bad events."""
        at = due(self.clock, rule, self.active)
        bad = Traffic(at, _beyond(rule))
        end = self.clock.evaluated(at + milliseconds(_window(rule).short) + BASE_WINDOW + 2 * self.clock.scrape)
        while self._near_a_limit(end, bad, Traffic(end - at, Fraction(0))):
            end += self.clock.evaluation
        good = Traffic(end - at, Fraction(0))
        if end <= MAX_EVALUATIONS * self.clock.evaluation:
            yield Scenario(
                f"ends {_over(rule)} as soon as the short window is clean",
                self.name,
                self._given(bad, good),
                (self._check(end, bad, good),),
            )

    def _within_the_limit(self, rule: Alert) -> Scenario:
        at = due(self.clock, rule, self.active) + self.clock.evaluation
        within = Traffic(at, _limit(rule) * (1 - series.MARGIN))
        return Scenario(
            f"stays silent {_over(rule)} just within the limit",
            self.name,
            self._given(within),
            (self._check(at, within),),
        )

    def _check(self, at: int, *traffic: Traffic) -> Check:
        """Return what fires at `at`, if the first traffic was the worst."""
        firing: list[Firing] = []
        for rule in self.rules:
            window, limit = _window(rule), float(_limit(rule))
            long, short = (self._bad_share(length, at, traffic) for length in (window.long, window.short))
            if long > limit and short > limit:
                firing += fired([rule], self.active, at, self.labels, long)
        return Check(at, self.name, tuple(firing))

    def _near_a_limit(self, at: int, *traffic: Traffic) -> bool:
        """Return whether a window is so near to its limit that rounding may decide."""
        return any(
            abs(self._bad_share(length, at, traffic) / float(_limit(rule)) - 1) < 0.1
            for rule in self.rules
            for length in (_window(rule).long, _window(rule).short)
        )

    def _bad_share(self, length: str, at: int, traffic: Sequence[Traffic]) -> float:
        """Return the share of bad events that the records hold at `at` over a window."""
        if len(traffic) == 1:
            return float(traffic[0].bad_share)
        window, step = milliseconds(length), self.clock.evaluation
        if length in burn_rate.RAW_WINDOWS:
            bad, all_ = _between(traffic, max(0, at - window), at)
            return float(bad / all_)
        moments = range(max(step, at - window), at + 1, step)
        rates = [_between(traffic, max(0, moment - BASE_WINDOW), moment) for moment in moments]
        return float(sum(bad for bad, _ in rates) / sum(all_ for _, all_ in rates))

    def _given(self, *traffic: Traffic) -> tuple[Series, ...]:
        phases = [self.events.phase(each) for each in traffic]
        return tuple(series.counters(self.clock, self.events.names, phases))


def _between(traffic: Sequence[Traffic], begin: int, end: int) -> tuple[Fraction, Fraction]:
    """Return bad events and all events between two moments, in thousandths."""
    bad, all_, start = Fraction(0), Fraction(0), 0
    for each in traffic:
        common = max(0, min(end, start + each.duration) - max(begin, start))
        all_ += common * each.per_second
        bad += common * each.per_second * each.bad_share
        start += each.duration
    return bad, all_


def _over(rule: Alert) -> str:
    return f"over {rule.labels['long_window']} and {rule.labels['short_window']}"


def _beyond(rule: Alert) -> Fraction:
    return series.beyond(_limit(rule), Fraction(1))


def _window(rule: Alert) -> Window:
    return next(window for window in WINDOWS if window.long == rule.labels["long_window"])


def _limit(rule: Alert) -> Fraction:
    if rule.limit is None:
        raise ValueError(f"alert {rule.name}: a burn-rate alert has a limit")
    return Fraction(rule.limit)
