"""The default registry's methods as plain functions, for code that needs only one registry."""

from __future__ import annotations

from .catalog import Metric
from .default import default_registry
from .recording.series import Counter, Gauge, Histogram
from .recording.snapshot import Snapshot


def counter(metric: Metric, /, **labels: str) -> Counter:
    """The counter series of `metric` with these labels in the default registry.

    Raises:
        ValueError: the metric is no counter, or the label names are not exactly the metric's.
    """
    return default_registry().counter(metric, **labels)


def gauge(metric: Metric, /, **labels: str) -> Gauge:
    """The gauge series of `metric` with these labels in the default registry; raises as `counter` does."""
    return default_registry().gauge(metric, **labels)


def histogram(metric: Metric, /, **labels: str) -> Histogram:
    """The histogram series of `metric` with these labels in the default registry; raises as `counter` does."""
    return default_registry().histogram(metric, **labels)


def declare(*metrics: Metric, **labels: str) -> None:
    """Export series of the default registry at zero before anything happened; see `Registry.declare`."""
    default_registry().declare(*metrics, **labels)


def snapshot() -> Snapshot:
    """Everything recorded in the default registry so far."""
    return default_registry().snapshot()
