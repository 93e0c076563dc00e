"""Tests of the recording rules: the value of each record for a known number of events."""

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
from ..rules import recording
from ..rules.burn_rate import RAW_WINDOWS, WINDOWS
from . import buckets, series
from .burn_rate import BASE_WINDOW, EventSeries, Traffic, coarse
from .clock import Clock, milliseconds
from .scenario import Query, Scenario
from .series import Phase, Series

PRECISION = 6
"""Decimals that a test compares; promtool itself compares to the last bit."""

EVENTS_PER_SECOND = 1000
BAD_SHARE = Fraction(1, 100)


def scenarios(settings: Settings, pack: Pack) -> Iterator[Scenario]:
    """Yield the tests of every record."""
    for quantile in recording.QUANTILES:
        yield from _quantile(settings, quantile)
    for metric, parts in recording.BY_TRACK:
        for part in parts:
            yield _by_track(settings, metric, part)
    for objective in settings.all_objectives():
        yield from (replace(scenario, clock=coarse(settings)) for scenario in _objective(settings, objective))


def _query(at: int, record: str, labels: Mapping[str, str], *samples: tuple[Mapping[str, str], float]) -> Query:
    """Return a query that rounds: the last bits of a sum depend on the order in which it is added up."""
    expr = f"round({series.full_name(record, labels) if labels else record}, {10**-PRECISION:.{PRECISION}f})"
    scale = 10**PRECISION
    rounded = [(series.full_name("", found), math.floor(value * scale + 0.5) / scale) for found, value in samples]
    return Query(at, record, expr, tuple(rounded))


def _quantile(settings: Settings, quantile: recording.RecordedQuantile) -> Iterator[Scenario]:
    metric, clock = quantile.metric, Clock.of(settings)
    at = clock.evaluated(2 * milliseconds(settings.rate_window))
    bound = metric.buckets[len(metric.buckets) // 2]
    labels = series.labels_of(metric)
    q = Fraction(quantile.percent, 100)
    rates = buckets.cumulative(buckets.masses_of_quantile(metric, q, Fraction(str(bound)), EVENTS_PER_SECOND))
    counters = [
        series.metric_series(settings, metric, {**series.identity(settings, instance), **labels}, "bucket", le)
        for instance in "ab"
        for le in buckets.bounds(metric)
    ]
    own = {name: value for name, value in labels.items() if name not in quantile.dropped}
    kept = {**series.without_instance(settings, series.identity(settings)), **own}
    rate_record = record_names.rate(settings, quantile.level, metric, "bucket")
    quantile_record = record_names.quantile(settings, quantile.level, metric, quantile.percent)
    yield Scenario(
        f"{metric.name}: instances are added up, and the quantile is found",
        "records-quantiles",
        tuple(series.counters(clock, counters, [Phase(at, tuple(rates * 2))])),
        queries=(
            _query(at, rate_record, {"le": "+Inf"}, ({**kept, "le": "+Inf"}, 2.0 * EVENTS_PER_SECOND)),
            _query(at, quantile_record, {}, (kept, bound)),
        ),
    )
    yield Scenario(
        f"{metric.name}: no quantile, rather than NaN, while nothing happens",
        "records-quantiles",
        tuple(Series(counter, series.constant(1000, clock, at)) for counter in counters),
        queries=(
            _query(at, rate_record, {"le": "+Inf"}, ({**kept, "le": "+Inf"}, 0.0)),
            _query(at, quantile_record, {}),
        ),
    )


def _by_track(settings: Settings, metric: Metric, part: promql.Part) -> Scenario:
    clock = Clock.of(settings)
    at = clock.evaluated(2 * milliseconds(settings.rate_window))
    labels = series.labels_of(metric) | ({"le": buckets.bound_text(metric.buckets[0])} if part == "bucket" else {})
    rates = {"a": 100, "b": 200, "c": 40, "d": 7}
    tracks = {"a": "stable", "b": "stable", "c": "canary"}
    targets = {instance: series.identity(settings, instance) for instance in rates}
    info = [
        Series(
            series.metric_series(
                settings, c.ROLLOUT_INFO, {**targets[instance], **series.labels_of(c.ROLLOUT_INFO, track=track)}
            ),
            series.constant(1, clock, at),
        )
        for instance, track in tracks.items()
    ]
    given = [series.metric_series(settings, metric, {**target, **labels}, part) for target in targets.values()]
    name = record_names.by_track(settings, metric, part)
    kept = {**series.without_instance(settings, targets["a"]), **labels}
    return Scenario(
        f"{name} separates tracks, and leaves out an instance without a track",
        "records-tracks",
        (*series.counters(clock, given, [Phase(at, tuple(Fraction(rate) for rate in rates.values()))]), *info),
        queries=(
            _query(at, name, {"track": "canary"}, ({**kept, "track": "canary"}, 40.0)),
            _query(at, name, {"track": "stable"}, ({**kept, "track": "stable"}, 300.0)),
        ),
    )


def _objective(settings: Settings, objective: Objective) -> Iterator[Scenario]:
    clock, interval = coarse(settings), milliseconds(settings.evaluation_interval)
    at = clock.evaluated(2 * BASE_WINDOW)
    target = series.identity(settings)
    kept = series.without_instance(settings, target)
    events = EventSeries.of(settings, objective, target)
    bad = float(BAD_SHARE * EVENTS_PER_SECOND)
    errors, all_ = record_names.slo_errors(settings, objective), record_names.slo_total(settings, objective)
    ratios = [record_names.slo_ratio(settings, objective, window) for window in record_names.SLO_WINDOWS]
    # A rate over five minutes reaches its height after five minutes; until then it rises in proportion.
    moments = range(clock.first_rate, at + 1, clock.evaluation)
    summed = sum(min(moment, BASE_WINDOW) / BASE_WINDOW * bad for moment in moments) * interval / 1000
    counted = {window.long: bad * at / 1000 if window.long in RAW_WINDOWS else summed for window in WINDOWS}
    one_in_a_hundred = events.phase(Traffic(at, BAD_SHARE, Fraction(EVENTS_PER_SECOND)))
    yield Scenario(
        f"{objective.key}: one event in a hundred is bad",
        "records-objectives",
        tuple(series.counters(clock, events.names, [one_in_a_hundred])),
        queries=(
            _query(at, all_, {}, (kept, float(EVENTS_PER_SECOND))),
            _query(at, errors, {}, (kept, bad)),
            *(_query(at, ratio, {}, (kept, float(BAD_SHARE))) for ratio in ratios),
            *(
                _query(at, record_names.slo_bad_events(settings, objective, window), {}, (kept, number))
                for window, number in counted.items()
            ),
        ),
    )
    all_good = events.phase(Traffic(at, Fraction(0), Fraction(EVENTS_PER_SECOND)))
    good = series.counters(clock, events.names, [all_good])
    if objective.within is None:
        good = [each for each in good if str(Matcher("outcome", "=", "error")) not in each.name]
    yield Scenario(
        f"{objective.key}: the ratio is zero, not absent, while all events are good",
        "records-objectives",
        tuple(good),
        queries=(_query(at, errors, {}, (kept, 0.0)), *(_query(at, ratio, {}, (kept, 0.0)) for ratio in ratios)),
    )
    yield Scenario(
        f"{objective.key}: there is no ratio, rather than NaN, while nothing happens",
        "records-objectives",
        tuple(Series(name, series.constant(1000, clock, at)) for name in events.names),
        queries=tuple(_query(at, ratio, {}) for ratio in ratios),
    )
