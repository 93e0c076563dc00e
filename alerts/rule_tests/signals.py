"""Counters that give each kind of signal a chosen value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from mnemoscope.instrumentation.catalog import Kind, Metric
from mnemoscope.model.settings import Settings
from mnemoscope.model.signals import Mean, Quantile, Share
from mnemoscope.model.thresholds import Threshold
from mnemoscope.promql import Part

from . import buckets, series
from .clock import milliseconds


@dataclass(frozen=True, slots=True)
class Feed:
    """The counters behind one signal.

    Attributes:
        labels: labels of the metric that the alert keeps, with their values.
        counters: the full names of the series.
        rates: returns the rate of each counter, per second, that gives the signal a value.
        exact: returns the value that the rule then finds; a quantile of whole events may lie a little below.
    """

    labels: Mapping[str, str]
    counters: tuple[str, ...]
    rates: Callable[[Fraction], tuple[Fraction, ...]]
    exact: Callable[[Fraction], float]


def events_per_second(settings: Settings) -> int:
    """Return the number of events a second that every feed holds, whatever the value of its signal."""
    # Divisible by whatever a share of events and the window may need.
    return 1_000_000 * milliseconds(settings.rate_window)


def feed(settings: Settings, threshold: Threshold, target: Mapping[str, str]) -> Feed:
    """Return the counters of one target behind the alert of `threshold`.

    Raises:
        ValueError: the signal is not computed from counters.
    """
    signal = threshold.alert.signal if threshold.alert else None
    match signal:
        case Quantile():
            return _quantile(settings, threshold.metric, signal, target)
        case Share():
            return _share(settings, threshold.metric, signal, target)
        case Mean():
            return _mean(settings, threshold.metric, target)
    raise ValueError(f"threshold {threshold.key}: no counters give {signal} a value")


def _quantile(settings: Settings, metric: Metric, signal: Quantile, target: Mapping[str, str]) -> Feed:
    labels = series.labels_of(metric, **dict(signal.only))
    q, volume = Fraction(signal.percent, 100), events_per_second(settings)
    every = {**target, **labels}

    def masses(value: Fraction) -> list[int]:
        return buckets.masses_of_quantile(metric, q, value, volume)

    def rates(value: Fraction) -> tuple[Fraction, ...]:
        return (*buckets.cumulative(masses(value)), Fraction(volume))

    return Feed(
        {name: value for name, value in labels.items() if name not in signal.dropped},
        (
            *(series.metric_series(settings, metric, every, "bucket", bound) for bound in buckets.bounds(metric)),
            series.metric_series(settings, metric, every, "count"),
        ),
        rates,
        lambda value: buckets.quantile_of_masses(metric, float(q), masses(value)),
    )


def _share(settings: Settings, metric: Metric, signal: Share, target: Mapping[str, str]) -> Feed:
    labels, volume = series.labels_of(metric), events_per_second(settings)
    part: Part = "" if metric.kind is Kind.COUNTER else "count"
    return Feed(
        {name: value for name, value in labels.items() if name not in (signal.label, *signal.dropped)},
        tuple(
            series.metric_series(settings, metric, {**target, **labels, signal.label: value}, part)
            for value in (signal.counted, signal.rest)
        ),
        lambda value: (value * volume, (1 - value) * volume),
        float,
    )


def _mean(settings: Settings, metric: Metric, target: Mapping[str, str]) -> Feed:
    labels, volume = series.labels_of(metric), events_per_second(settings)
    return Feed(
        labels,
        tuple(series.metric_series(settings, metric, {**target, **labels}, part) for part in ("sum", "count")),
        lambda value: (value * volume, Fraction(volume)),
        float,
    )
