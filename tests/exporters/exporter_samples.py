"""Handmade snapshots that the tests of every exporter use."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.catalog import CATALOG, Kind, Metric
from mnemoscope.instrumentation.recording.snapshot import Exemplar, Family, HistogramPoint, NumberPoint, Snapshot

STARTED, TAKEN = 1_700_000_000.0, 1_700_000_100.25
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
EXEMPLAR = Exemplar((("trace_id", TRACE_ID), ("span_id", SPAN_ID)), 0.0421, 1_700_000_050.125)


def snapshot(*families: Family, taken: float = TAKEN) -> Snapshot:
    return Snapshot("mnemo", STARTED, taken, families)


def histogram(metric: Metric, labels: tuple[str, ...], counts: Iterable[int], total: float = 1.5) -> HistogramPoint:
    """Return a point with these first counts; the other buckets are empty."""
    given = tuple(counts)
    return HistogramPoint(labels, given + (0,) * (len(metric.buckets) + 1 - len(given)), total)


def lock_waits(*counts: int, total: float = 1.5) -> Family:
    metric = catalog.LOCK_WAIT_DURATION
    return Family(metric, (histogram(metric, ("episodes", "write"), counts, total),))


def lookups(hits: float, misses: float) -> Family:
    return Family(catalog.CACHE_LOOKUPS, (NumberPoint(("redb", "hit"), hits), NumberPoint(("redb", "miss"), misses)))


def whole_catalog(*, exemplars: bool = False) -> Snapshot:
    """Return a snapshot with one or two series of every metric of the catalog."""
    return snapshot(*(Family(metric, _points(metric, exemplars)) for metric in CATALOG))


def _points(metric: Metric, exemplars: bool) -> tuple[NumberPoint | HistogramPoint, ...]:
    label_sets = [tuple(label.sample for label in metric.labels)]
    if metric.labels:
        label_sets.append((*label_sets[0][:-1], "zz"))
    return tuple(_point(metric, labels, exemplars, n) for n, labels in enumerate(label_sets, start=1))


def _point(metric: Metric, labels: tuple[str, ...], exemplars: bool, n: int) -> NumberPoint | HistogramPoint:
    if metric.kind is Kind.HISTOGRAM:
        counts = tuple(range(n, len(metric.buckets) + n + 1))
        kept = tuple(EXEMPLAR if i % 3 == 0 else None for i in range(len(counts)))
        return HistogramPoint(labels, counts, 12.75 * n, kept if exemplars else ())
    value = 1234567.0 * n if metric.kind is Kind.COUNTER else 0.37 * n
    return NumberPoint(labels, value, EXEMPLAR if exemplars and metric.kind is Kind.COUNTER else None)


def sample_values(shot: Snapshot) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample that a scrape of `shot` must show, by name and labels, without the code of the exporters."""
    expected: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in shot.families:
        metric, name = family.metric, family.metric.prometheus_name(shot.prefix)
        for point in family.points:
            labels = list(zip(metric.label_names, point.labels, strict=True))
            if isinstance(point, NumberPoint):
                expected[name, frozenset(labels)] = point.value
                continue
            for bound, count in zip((*metric.buckets, float("inf")), accumulate(point.counts), strict=True):
                bucket = ("le", "+Inf" if bound == float("inf") else str(float(bound)))
                expected[f"{name}_bucket", frozenset([*labels, bucket])] = count
            expected[f"{name}_count", frozenset(labels)] = sum(point.counts)
            expected[f"{name}_sum", frozenset(labels)] = point.sum
    return expected
