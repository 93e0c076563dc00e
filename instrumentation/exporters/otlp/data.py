"""A snapshot as the OpenTelemetry SDK's metric data, cumulative or delta.

The data is built by hand, since the SDK has no producer interface. It has one resource and one scope: the encoder
silently drops the first of two equal ones. Names and units are OpenTelemetry's, from which Prometheus derives its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from ...catalog import Kind
from ...recording.snapshot import Exemplar, Family, HistogramPoint, NumberPoint, Snapshot
from ..exemplars import sound
from ..utf8 import valid

_Key: TypeAlias = tuple[str, tuple[str, ...]]
_TRACE_ID, _SPAN_ID = re.compile("[0-9a-fA-F]{32}"), re.compile("[0-9a-fA-F]{16}")


class Baseline(NamedTuple):
    """The last delivered snapshot, from which deltas count.

    Attributes:
        taken: its time in Unix seconds.
        points: its counters and histograms.
    """

    taken: float
    points: dict[_Key, NumberPoint | HistogramPoint]


def baseline(snapshot: Snapshot) -> Baseline:
    """Return the baseline after `snapshot` was delivered."""
    return Baseline(
        snapshot.taken,
        {
            (family.metric.name, point.labels): point
            for family in snapshot.families
            if family.metric.kind is not Kind.GAUGE
            for point in family.points
        },
    )


def metrics_data(
    snapshot: Snapshot, resource: Resource, scope: InstrumentationScope, since: Baseline | None = None
) -> MetricsData:
    """Return the snapshot as SDK data: cumulative from its start, or the increase since a baseline.

    Families without points are left out. A series that is new, or below its baseline after a reset, counts in full.
    """
    temporality = AggregationTemporality.CUMULATIVE if since is None else AggregationTemporality.DELTA
    builder = _Builder(snapshot, temporality, since)
    metrics = [builder.metric(family) for family in snapshot.families if family.points]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], resource.schema_url)])


def start(snapshot: Snapshot) -> Baseline:
    """Return the baseline before the first delivery."""
    return Baseline(snapshot.started, {})


class _Builder:
    def __init__(self, snapshot: Snapshot, temporality: AggregationTemporality, since: Baseline | None) -> None:
        self._prefix = snapshot.prefix
        self._temporality = temporality
        self._since = since.points if since else {}
        self._from = _nanoseconds(since.taken if since else snapshot.started)
        self._until = _nanoseconds(snapshot.taken)

    def metric(self, family: Family) -> Metric:
        metric = family.metric
        data: Sum | Gauge | Histogram
        if metric.kind is Kind.HISTOGRAM:
            data = Histogram([self._histogram(family, p) for p in _histograms(family)], self._temporality)
        elif metric.kind is Kind.COUNTER:
            data = Sum([self._counter(family, p) for p in _numbers(family)], self._temporality, is_monotonic=True)
        else:
            data = Gauge([self._number(family, p, float(p.value)) for p in _numbers(family)])
        return Metric(metric.otel_name(self._prefix), metric.help, metric.unit.value, data)

    def _counter(self, family: Family, point: NumberPoint) -> NumberDataPoint:
        before = self._since.get((family.metric.name, point.labels))
        value = float(point.value)
        if isinstance(before, NumberPoint) and before.value <= value:
            value -= before.value
        return self._number(family, point, value)

    def _number(self, family: Family, point: NumberPoint, value: float) -> NumberDataPoint:
        return NumberDataPoint(_attributes(family, point), self._from, self._until, value, _exemplars([point.exemplar]))

    def _histogram(self, family: Family, point: HistogramPoint) -> HistogramDataPoint:
        counts, total = point.counts, float(point.sum)
        before = self._since.get((family.metric.name, point.labels))
        if isinstance(before, HistogramPoint) and all(b <= n for b, n in zip(before.counts, counts, strict=True)):
            counts = tuple(n - b for b, n in zip(before.counts, counts, strict=True))
            total -= before.sum
        return HistogramDataPoint(
            attributes=_attributes(family, point),
            start_time_unix_nano=self._from,
            time_unix_nano=self._until,
            # Always whole numbers: the exporters fail on a count that is a float.
            count=int(sum(counts)),
            sum=total,
            bucket_counts=[int(n) for n in counts],
            explicit_bounds=[float(b) for b in family.metric.buckets],
            # Minimum and maximum are optional in the protocol, and this histogram does not keep them. The SDK's type
            # has no optional fields, but its encoder accepts None.
            min=None,  # type: ignore[arg-type]  # the encoder leaves None out
            max=None,  # type: ignore[arg-type]  # the encoder leaves None out
            exemplars=_exemplars(point.exemplars),
        )


def _numbers(family: Family) -> list[NumberPoint]:
    return [point for point in family.points if isinstance(point, NumberPoint)]


def _histograms(family: Family) -> list[HistogramPoint]:
    return [point for point in family.points if isinstance(point, HistogramPoint)]


def _attributes(family: Family, point: NumberPoint | HistogramPoint) -> dict[str, str]:
    return dict(zip(family.metric.label_names, map(valid, point.labels), strict=True))


def _exemplars(given: Iterable[Exemplar | None]) -> list[SdkExemplar]:
    return [_exemplar(exemplar) for one in given if (exemplar := sound(one))]


def _exemplar(exemplar: Exemplar) -> SdkExemplar:
    """Return the exemplar with its trace as OTLP's own fields, where the labels hold a valid one."""
    labels = dict(exemplar.labels)
    trace = span = None
    if _TRACE_ID.fullmatch(labels.get("trace_id", "")) and _SPAN_ID.fullmatch(labels.get("span_id", "")):
        trace, span = int(labels.pop("trace_id"), 16), int(labels.pop("span_id"), 16)
    return SdkExemplar(labels, exemplar.value, _nanoseconds(exemplar.timestamp), span, trace)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
