"""What a registry has recorded, for tests to read."""

from __future__ import annotations

from mnemoscope import catalog
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint


def value(registry: Registry, metric: catalog.Metric, *labels: str) -> float:
    """Return a counter's or gauge's value, or a histogram's count."""
    for family in registry.snapshot().families:
        for point in family.points:
            if family.metric is metric and point.labels == labels:
                return point.observations if isinstance(point, HistogramPoint) else point.value
    raise AssertionError(f"no series {metric.name}{labels}")


def spent(registry: Registry, metric: catalog.Metric, *labels: str) -> float:
    for family in registry.snapshot().families:
        for point in family.points:
            if family.metric is metric and point.labels == labels and isinstance(point, HistogramPoint):
                return point.sum
    raise AssertionError(f"no series {metric.name}{labels}")


def outcomes(
    registry: Registry, metric: catalog.Metric = catalog.INDEX_WRITE_DURATION, *labels: str
) -> tuple[float, float, float]:
    if metric is catalog.INDEX_WRITE_DURATION:
        labels = labels or ("s",)
    return tuple(value(registry, metric, *labels, o) for o in ("ok", "error", "cancelled"))  # type: ignore[return-value]
