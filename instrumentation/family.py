"""All series of one metric, and the kinds of series there are."""

from __future__ import annotations

from typing import TypeAlias

from .catalog import Kind, Metric
from .series import Counter, FoldGuard, Gauge, Histogram, new_guard

AnySeries: TypeAlias = Counter | Gauge | Histogram
CLASSES: dict[Kind, type[AnySeries]] = {Kind.COUNTER: Counter, Kind.GAUGE: Gauge, Kind.HISTOGRAM: Histogram}


class SeriesOf:
    """All series of one metric."""

    __slots__ = ("bound", "guard", "metric", "series")

    def __init__(self, metric: Metric) -> None:
        self.bound: dict[tuple[tuple[str, str], ...], AnySeries] = {}  # by labels as they were written
        self.metric = metric
        self.guard: FoldGuard = new_guard()
        self.series: dict[tuple[str, ...], AnySeries] = {}

    def forget(self, series: AnySeries) -> None:
        """Remember `series` no longer by the labels it was written with."""
        for given in [given for given, known in self.bound.items() if known is series]:
            del self.bound[given]
