"""All series of one metric, and the kinds of series."""

from __future__ import annotations

from typing import TypeAlias

from ..catalog import Kind, Metric
from .journal import Guard
from .series import Counter, Gauge, Histogram

AnySeries: TypeAlias = Counter | Gauge | Histogram
CLASSES: dict[Kind, type[AnySeries]] = {Kind.COUNTER: Counter, Kind.GAUGE: Gauge, Kind.HISTOGRAM: Histogram}


class MetricSeries:
    """All series of one metric."""

    __slots__ = ("by_labels", "guard", "metric")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.guard = Guard()
        self.by_labels: dict[tuple[str, ...], AnySeries] = {}
