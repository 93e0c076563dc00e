"""`value`: the recorded value of the series of a metric that carry some labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from ..catalog import OTHER, Kind, Metric
from ..default import default_registry
from ..recording.registry import Registry
from ..recording.snapshot import HistogramPoint, NumberPoint

Point: TypeAlias = NumberPoint | HistogramPoint
Points: TypeAlias = dict[tuple[str, ...], Point]

_LISTED = 20
"""How many series a message lists."""


class Total(NamedTuple):
    """The sum of several series. `sum` and `counts` are of histograms; there is one count for each bucket."""

    number: float
    sum: float
    counts: tuple[int, ...]


class Selection:
    """The series of one metric that carry some label values.

    Raises:
        ValueError: the metric has no such label, or the label never has that value.
    """

    def __init__(self, metric: Metric, labels: Mapping[str, str], registry: Registry | None) -> None:
        self._labels = {name: str(value) for name, value in labels.items()}
        for name, value in self._labels.items():
            if name not in metric.label_names:
                raise ValueError(
                    f"{metric.name} has no label {name!r}; it has {', '.join(metric.label_names) or 'none'}"
                )
            allowed = metric.label(name).values
            if allowed and value not in (*allowed, OTHER):
                raise ValueError(f"{metric.name}: label {name} is never {value!r}; it is one of {', '.join(allowed)}")
        self.metric = metric
        self._registry = registry or default_registry()

    def read(self) -> Points:
        """Return all series of the metric as they are now, with any labels."""
        return {point.labels: point for point in self._registry.snapshot().points(self.metric)}

    def chosen(self, points: Points) -> list[Point]:
        """Return the series among `points` that carry the labels.

        Raises:
            AssertionError: more than one series of a gauge carries them.
        """
        __tracebackhide__ = True
        found = {
            labels: point
            for labels, point in points.items()
            if self._labels.items() <= dict(zip(self.metric.label_names, labels, strict=True)).items()
        }
        if self.metric.kind is Kind.GAUGE and len(found) > 1:
            several = self.listed((labels, f"{number(point):.10g}") for labels, point in found.items())
            raise AssertionError(f"{self}: gauges are not added up; name one of these series:{several}")
        return list(found.values())

    def total(self, points: Points) -> Total:
        """Return the sum of the series among `points` that carry the labels. Raise as `chosen` does."""
        __tracebackhide__ = True
        chosen = self.chosen(points)
        histograms = [point for point in chosen if isinstance(point, HistogramPoint)]
        return Total(
            math.fsum(map(number, chosen)),
            math.fsum(point.sum for point in histograms),
            tuple(sum(point.counts[bucket] for point in histograms) for bucket in range(len(self.metric.buckets) + 1)),
        )

    def listed(self, series: Iterable[tuple[tuple[str, ...], str]]) -> str:
        """Return one line for each series: its labels and a text about it."""
        lines = [
            f"\n    {_braces(zip(self.metric.label_names, values, strict=True))} {text}" for values, text in series
        ]
        more = f"\n    and {len(lines) - _LISTED} more" if len(lines) > _LISTED else ""
        return "".join(lines[:_LISTED]) + more

    def there_are(self, points: Points) -> str:
        """Return one line for each series that the metric has, under a heading."""
        if not points:
            return f"nothing was recorded in {self.metric.name}"
        return f"there are:{self.listed((labels, f'{number(point):.10g}') for labels, point in points.items())}"

    def __str__(self) -> str:
        return self.metric.name + (_braces(self._labels.items()) if self._labels else "")


def number(point: Point) -> float:
    """Return the value of a series; for a histogram, its number of observations."""
    return point.observations if isinstance(point, HistogramPoint) else point.value


def _braces(labels: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"


def value(metric: Metric, /, *, registry: Registry | None = None, **labels: str) -> float:
    """Return the recorded value: a counter's total, a gauge's value, or a histogram's number of observations.

    Some labels may be left out. All counters or histograms that carry the given labels are added up; without any, the
    value is 0. For a gauge, exactly one series must carry them.

    >>> import mnemoscope as scope
    >>> registry = scope.Registry()
    >>> registry.counter(scope.catalog.CACHE_LOOKUPS, cache="redb", result="hit").inc(3)
    >>> registry.counter(scope.catalog.CACHE_LOOKUPS, cache="lmdb", result="hit").inc()
    >>> value(scope.catalog.CACHE_LOOKUPS, result="hit", registry=registry)
    4.0

    Args:
        metric: a metric of the catalog, or your own metric.
        registry: where it was recorded; the default registry if not given.
        labels: values of labels that the series carry.

    Raises:
        AssertionError: no series of a gauge carries the labels, or more than one does; the message lists all series.
        ValueError: the metric has no such label, or the label never has that value.
    """
    __tracebackhide__ = True
    selection = Selection(metric, labels, registry)
    points = selection.read()
    if metric.kind is Kind.GAUGE and not selection.chosen(points):
        raise AssertionError(f"{selection}: there is no such series; {selection.there_are(points)}")
    return selection.total(points).number
