"""Tests of the burn-rate alerts: constant shares of bad events, and what is left of them once they stop."""

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
from .expected import Firing
from .model import Check, Scenario, due, fired
from .series import Clock, Phase, Series, milliseconds

VOLUME = 3_600_000_000
"""Events per second: whole numbers at round shares, over every window computed from raw series."""

FLOOD = 10_000
"""How many times more events there are when a service has recovered, so that no window still remembers."""

LONGEST = 400
"""Evaluations that one scenario may take; the longest windows would take promtool minutes."""

COARSE = 60_000
"""Evaluate no more often than this: windows of days need no seconds, and a count of events comes out lower."""

BASE = milliseconds(record_names.SLO_BASE_WINDOW)


def scenarios(settings: Settings, pack: Pack) -> Iterator[Scenario]:
    """The tests of every burn-rate alert in the pack."""
    for objective in settings.all_objectives():
        rules = pack.rules_of(burn_rate.alert_name(objective))
        if rules:
            yield from _Course(settings, objective, rules).scenarios()


def coarse(settings: Settings) -> Clock:
    """The clock of a site, evaluated once a minute at most."""
    site = Clock.of(settings)
    return replace(site, evaluation=max(site.evaluation, COARSE))


@dataclass(frozen=True, slots=True)
class Stretch:
    """For a while (milliseconds), `volume` events per second of which `share` are bad."""

    duration: int
    share: Fraction
    volume: Fraction = Fraction(VOLUME)


@dataclass(frozen=True, slots=True)
class Events:
    """Series of an objective's events, and the rates at which a share of them is bad."""

    objective: Objective
    names: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings, objective: Objective, target: Mapping[str, str]) -> Events:
        """The series of one instance; with a latency bound, also slow events that the objective leaves out."""
        metric = objective.metric
        labels = {**target, **series.samples_of(metric, **dict(objective.events))}
        if objective.within is None:
            parts = [{**labels, "outcome": outcome} for outcome in ("ok", "error", "cancelled")]
            return cls(objective, tuple(series.selector(settings, metric, part, "count") for part in parts))
        bound = series.bound_text(float(objective.within))
        found = []
        for part in (labels, {**labels, "outcome": "cancelled"}):
            found.append(series.selector(settings, metric, part, "bucket", bound))
            found.append(series.selector(settings, metric, part, "bucket", "+Inf"))
            found.append(series.selector(settings, metric, part, "count"))
        return cls(objective, tuple(found))

    def phase(self, stretch: Stretch) -> Phase:
        """The rates of the series during `stretch`."""
        bad, all_ = stretch.share * stretch.volume, stretch.volume
        if self.objective.within is None:
            good = all_ - bad
            return Phase(stretch.duration, (good * Fraction(3, 4), bad, good / 4))
        return Phase(stretch.duration, (all_ - bad, all_, all_, Fraction(0), all_, all_))


class _Course:
    """The scenarios of one objective's alert."""

    def __init__(self, settings: Settings, objective: Objective, rules: Sequence[Alert]) -> None:
        self.objective = objective
        self.rules = rules
        self.name = rules[0].name
        self.clock = coarse(settings)
        self.least = settings.min_bad_events
        target = series.identity(settings)
        self.labels = series.kept(settings, target)
        self.events = Events.of(settings, objective, target)
        self.idle = Events.of(settings, objective, series.identity(settings, cluster="quiet-1"))
        self.active = self.clock.first_rate
        self.last = max(due(self.clock, rule, self.active) for rule in rules)

    def scenarios(self) -> Iterator[Scenario]:
        return (replace(scenario, clock=self.clock) for scenario in self._scenarios())

    def _scenarios(self) -> Iterator[Scenario]:
        for rule in self.rules:
            yield from (self._fires(rule), self._within_the_limit(rule), *self._forgets(rule))
        end = self.last + self.clock.evaluation
        few = Stretch(end, Fraction(1), Fraction(4, 5) * self.least * 1000 / end)
        flat = tuple(Series(name, series.constant(1000, self.clock, end)) for name in self.idle.names)
        yield Scenario(
            "stays silent when there are too few bad events, no events at all, or no series",
            self.name,
            (*self._given(few), *flat),
            (Check(end, self.name),),
        )

    def _fires(self, rule: Alert) -> Scenario:
        at = due(self.clock, rule, self.active)
        bad = Stretch(at, _beyond(rule))
        checks = [self._check(at, bad)]
        if at >= self.clock.evaluation:
            before = at - self.clock.evaluation
            checks.insert(0, self._check(before, bad) if before >= self.active else Check(before, self.name))
        # So many good events that every window is within its limit at once.
        good = Stretch(10 * (self.clock.scrape + self.clock.evaluation), Fraction(0), Fraction(VOLUME * FLOOD))
        return Scenario(
            f"fires {_over(rule)} once it has held long enough, and recovers",
            self.name,
            self._given(bad, good),
            (*checks, self._check(self.clock.evaluated(at + good.duration), bad, good)),
        )

    def _forgets(self, rule: Alert) -> Iterator[Scenario]:
        """The long window remembers; that the short one forgets is what ends the alert."""
        at = due(self.clock, rule, self.active)
        bad = Stretch(at, _beyond(rule))
        end = self.clock.evaluated(at + milliseconds(_window(rule).short) + BASE + 2 * self.clock.scrape)
        while self._close(end, bad, Stretch(end - at, Fraction(0))):
            end += self.clock.evaluation
        good = Stretch(end - at, Fraction(0))
        if end <= LONGEST * self.clock.evaluation:
            yield Scenario(
                f"ends {_over(rule)} as soon as the short window is clean",
                self.name,
                self._given(bad, good),
                (self._check(end, bad, good),),
            )

    def _within_the_limit(self, rule: Alert) -> Scenario:
        at = due(self.clock, rule, self.active) + self.clock.evaluation
        within = Stretch(at, _limit(rule) * (1 - series.HAIR))
        return Scenario(
            f"stays silent {_over(rule)} a hair within the limit",
            self.name,
            self._given(within),
            (self._check(at, within),),
        )

    def _check(self, at: int, *course: Stretch) -> Check:
        """What fires at `at`, when the first stretch was the worst."""
        firing: list[Firing] = []
        for rule in self.rules:
            window, limit = _window(rule), float(_limit(rule))
            long, short = (self._share(length, at, course) for length in (window.long, window.short))
            if long > limit and short > limit:
                firing += fired([rule], [rule], self.active, at, self.labels, long)
        return Check(at, self.name, tuple(firing))

    def _close(self, at: int, *course: Stretch) -> bool:
        """Whether a window is so near to its limit that rounding may decide."""
        return any(
            abs(self._share(length, at, course) / float(_limit(rule)) - 1) < 0.1
            for rule in self.rules
            for length in (_window(rule).long, _window(rule).short)
        )

    def _share(self, length: str, at: int, course: Sequence[Stretch]) -> float:
        """The share of bad events that the records hold at `at` over a window."""
        if len(course) == 1:
            return float(course[0].share)
        window, step = milliseconds(length), self.clock.evaluation
        if length in burn_rate.RAW_WINDOWS:
            bad, all_ = _between(course, max(0, at - window), at)
            return float(bad / all_)
        moments = range(max(step, at - window), at + 1, step)
        rates = [_between(course, max(0, moment - BASE), moment) for moment in moments]
        return float(sum(bad for bad, _ in rates) / sum(all_ for _, all_ in rates))

    def _given(self, *course: Stretch) -> tuple[Series, ...]:
        phases = [self.events.phase(stretch) for stretch in course]
        return tuple(series.counters(self.clock, self.events.names, phases))


def _between(course: Sequence[Stretch], begin: int, end: int) -> tuple[Fraction, Fraction]:
    """Bad events and all events of a span, in thousandths."""
    bad, all_, start = Fraction(0), Fraction(0), 0
    for stretch in course:
        common = max(0, min(end, start + stretch.duration) - max(begin, start))
        all_ += common * stretch.volume
        bad += common * stretch.volume * stretch.share
        start += stretch.duration
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
