"""Leave out series that nobody has written to for long, without losing what is written to them later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakValueDictionary

from .catalog import Kind, Metric
from .family import AnySeries, SeriesOf


class Expiry:
    """Which series are idle, and those that sleep.

    Only counters and histograms with an open label expire: those are the ones that come without end (a tenant, a
    store), while a gauge that does not change is as true as ever. A sleeping series that a probe still holds wakes
    with its total when it is written to; one that nobody holds is gone, and begins at zero if it comes back.

    Args:
        seconds: how long a series may be idle.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        if seconds <= 0:
            raise ValueError(f"idle series cannot expire after {seconds} seconds")
        self._seconds = seconds
        self._clock = clock
        self._seen: dict[tuple[str, tuple[str, ...]], tuple[Any, float]] = {}
        self._asleep: WeakValueDictionary[tuple[str, tuple[str, ...]], AnySeries] = WeakValueDictionary()

    def sweep(self, families: Iterable[SeriesOf]) -> bool:
        """Put idle series to sleep and wake those written to; True if any went to sleep. After a fold of all."""
        now = self._clock()
        slept = False
        for family in families:
            if not expires(family.metric):
                continue
            for key, series in family.series.copy().items():
                name = (family.metric.name, key)
                state, since = self._seen.get(name, (None, now))
                if state is not series.state:
                    self._seen[name] = (series.state, now)  # every fold makes a new state
                elif now - since >= self._seconds and not series.journal:
                    self._asleep[name] = series
                    del family.series[key], self._seen[name]
                    slept = True
        return slept

    def wake(self, families: Iterable[SeriesOf]) -> None:
        """Bring back the sleeping series that were written to."""
        by_name = {family.metric.name: family for family in families}
        for (metric, key), series in self._asleep.copy().items():
            if metric in by_name and _written(series):
                by_name[metric].series.setdefault(key, series)
                self._asleep.pop((metric, key), None)

    def find(self, metric: Metric, key: tuple[str, ...]) -> AnySeries | None:
        """The sleeping series of these labels, awake again; None if there is none."""
        return self._asleep.pop((metric.name, key), None)

    def sleeping(self) -> list[AnySeries]:
        """The series that sleep and that somebody holds."""
        return list(self._asleep.values())


def _written(series: AnySeries) -> bool:
    """Whether something came since the last fold, to the journal or to what counts for the series elsewhere."""
    if not series.pending():
        return False
    state = series.state
    series.settle()
    return series.state is not state or bool(series.journal)


def expires(metric: Metric) -> bool:
    """Whether series of `metric` may come without end, and stop."""
    return metric.kind is not Kind.GAUGE and any(not label.values for label in metric.labels)
