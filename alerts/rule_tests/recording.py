"""Tests of the recording rules: what each holds for events whose number is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from mnemoscope import promql
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.model.objectives import Objective
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Matcher

from .. import record_names
from ..model import Pack
from ..rules import recording as records
from ..rules.burn_rate import RAW_WINDOWS, WINDOWS
from . import series
from .burn_rate import BASE, Events, Stretch, coarse
from .model import Query, Scenario
from .series import Clock, Phase, Series, milliseconds

PRECISION = 6
"""Decimals that are compared; promtool itself compares to the last bit."""

PER_SECOND = 1000
SHARE = Fraction(1, 100)


def scenarios(settings: Settings, pack: Pack) -> Iterator[Scenario]:
    """The tests of every record."""
    for quantile in records.QUANTILES:
        yield from _quantile(settings, quantile)
    for metric, parts in records.BY_TRACK:
        for part in parts:
            yield _by_track(settings, metric, part)
    for objective in settings.all_objectives():
        yield from (replace(scenario, clock=coarse(settings)) for scenario in _objective(settings, objective))


def _query(at: int, record: str, labels: Mapping[str, str], *samples: tuple[Mapping[str, str], float]) -> Query:
    """A rounded query: the last bits of a sum depend on the order in which it is added up."""
    expr = f"round({series.named(record, labels) if labels else record}, {10**-PRECISION:.{PRECISION}f})"
    scale = 10**PRECISION
    rounded = [(series.named("", found), math.floor(value * scale + 0.5) / scale) for found, value in samples]
    return Query(at, record, expr, tuple(rounded))


def _quantile(settings: Settings, quantile: records.RecordedQuantile) -> Iterator[Scenario]:
    metric, clock = quantile.metric, Clock.of(settings)
    at = clock.evaluated(2 * milliseconds(settings.rate_window))
    bound = metric.buckets[len(metric.buckets) // 2]
    labels = series.samples_of(metric)
    masses = series.quantile_masses(metric, Fraction(quantile.percent, 100), Fraction(str(bound)), PER_SECOND)
    rates = [count for _, count in series.cumulative(metric, [Fraction(m) for m in masses])]
    every = [
        series.selector(settings, metric, {**series.identity(settings, instance), **labels}, "bucket", le)
        for instance in "ab"
        for le in [*map(series.bound_text, metric.buckets), "+Inf"]
    ]
    left = {name: value for name, value in labels.items() if name not in quantile.dropped}
    kept = {**series.kept(settings, series.identity(settings)), **left}
    buckets = record_names.rate(settings, quantile.level, metric, "bucket")
    name = record_names.quantile(settings, quantile.level, metric, quantile.percent)
    yield Scenario(
        f"{metric.name}: instances are added up, and the quantile is found",
        "records-quantiles",
        tuple(series.counters(clock, every, [Phase(at, tuple(rates * 2))])),
        queries=(
            _query(at, buckets, {"le": "+Inf"}, ({**kept, "le": "+Inf"}, 2.0 * PER_SECOND)),
            _query(at, name, {}, (kept, bound)),
        ),
    )
    yield Scenario(
        f"{metric.name}: no quantile, rather than NaN, while nothing happens",
        "records-quantiles",
        tuple(Series(each, series.constant(1000, clock, at)) for each in every),
        queries=(_query(at, buckets, {"le": "+Inf"}, ({**kept, "le": "+Inf"}, 0.0)), _query(at, name, {})),
    )


def _by_track(settings: Settings, metric: Metric, part: promql.Part) -> Scenario:
    clock = Clock.of(settings)
    at = clock.evaluated(2 * milliseconds(settings.rate_window))
    labels = series.samples_of(metric) | ({"le": series.bound_text(metric.buckets[0])} if part == "bucket" else {})
    rates = {"a": 100, "b": 200, "c": 40, "d": 7}
    tracks = {"a": "stable", "b": "stable", "c": "canary"}
    targets = {instance: series.identity(settings, instance) for instance in rates}
    info = [
        Series(
            series.selector(
                settings, c.ROLLOUT_INFO, {**targets[instance], **series.samples_of(c.ROLLOUT_INFO, track=track)}
            ),
            series.constant(1, clock, at),
        )
        for instance, track in tracks.items()
    ]
    given = [series.selector(settings, metric, {**target, **labels}, part) for target in targets.values()]
    name = record_names.by_track(settings, metric, part)
    kept = {**series.kept(settings, targets["a"]), **labels}
    return Scenario(
        f"{name} tells tracks apart, and leaves out an instance without one",
        "records-tracks",
        (*series.counters(clock, given, [Phase(at, tuple(Fraction(rate) for rate in rates.values()))]), *info),
        queries=(
            _query(at, name, {"track": "canary"}, ({**kept, "track": "canary"}, 40.0)),
            _query(at, name, {"track": "stable"}, ({**kept, "track": "stable"}, 300.0)),
        ),
    )


def _objective(settings: Settings, objective: Objective) -> Iterator[Scenario]:
    clock, interval = coarse(settings), milliseconds(settings.evaluation_interval)
    at = clock.evaluated(2 * BASE)
    target = series.identity(settings)
    kept = series.kept(settings, target)
    events = Events.of(settings, objective, target)
    bad = float(SHARE * PER_SECOND)
    errors, all_ = record_names.slo_errors(settings, objective), record_names.slo_total(settings, objective)
    ratios = [record_names.slo_ratio(settings, objective, window) for window in record_names.SLO_WINDOWS]
    # A rate over five minutes reaches its height after five minutes; before, it is what came of it so far.
    moments = range(clock.first_rate, at + 1, clock.evaluation)
    summed = sum(min(moment, BASE) / BASE * bad for moment in moments) * interval / 1000
    counted = {window.long: bad * at / 1000 if window.long in RAW_WINDOWS else summed for window in WINDOWS}
    yield Scenario(
        f"{objective.key}: one event in a hundred is bad",
        "records-objectives",
        tuple(series.counters(clock, events.names, [events.phase(Stretch(at, SHARE, Fraction(PER_SECOND)))])),
        queries=(
            _query(at, all_, {}, (kept, float(PER_SECOND))),
            _query(at, errors, {}, (kept, bad)),
            *(_query(at, ratio, {}, (kept, float(SHARE))) for ratio in ratios),
            *(
                _query(at, record_names.slo_bad_events(settings, objective, window), {}, (kept, number))
                for window, number in counted.items()
            ),
        ),
    )
    fine = series.counters(clock, events.names, [events.phase(Stretch(at, Fraction(0), Fraction(PER_SECOND)))])
    if objective.within is None:
        fine = [each for each in fine if str(Matcher("outcome", "=", "error")) not in each.series]
    yield Scenario(
        f"{objective.key}: the ratio is zero, not absent, while all events are good",
        "records-objectives",
        tuple(fine),
        queries=(_query(at, errors, {}, (kept, 0.0)), *(_query(at, ratio, {}, (kept, 0.0)) for ratio in ratios)),
    )
    yield Scenario(
        f"{objective.key}: there is no ratio, rather than NaN, while nothing happens",
        "records-objectives",
        tuple(Series(name, series.constant(1000, clock, at)) for name in events.names),
        queries=tuple(_query(at, ratio, {}) for ratio in ratios),
    )
