"""Leave out series that have not changed for long, without losing what is recorded in them later."""

import time
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, NamedTuple
from weakref import ref

from ..catalog import Kind, Metric
from .journal import Journal
from .metric_series import CLASSES, AnySeries, MetricSeries
from .series import Drop
from .snapshot import HistogramPoint, NumberPoint

_PATIENCE = 0.5  # seconds that a scrape waits for the sweep of another scrape
_SHOWN_SECONDS = 30.0
_SHOWN_SHARE = 10

Name = tuple[str, tuple[str, ...]]
"""A metric's name and label values."""

Point = NumberPoint | HistogramPoint


class _Expired(NamedTuple):
    """A series that has left the scrape. Its journal outlives it: an operation may end just before the series does."""

    series: ref[AnySeries]
    journal: Journal


class _Restored:
    """A series that is back in the scrape: the point that it begins with, and until when that point is shown."""

    __slots__ = ("point", "until")

    def __init__(self, point: Point) -> None:
        self.point = point
        self.until: float | None = None  # not shown yet


class Expiry:
    """Finds idle series, takes them out of the scrape, and brings them back when something is recorded in them.

    Only counters and histograms with an open label expire, because their number can grow without limit (a series for
    each tenant, say). A gauge that does not change is still true. An expired series that the service still refers to,
    or that was written to, is restored with its total. Any other expired series is forgotten, and begins at zero when
    it is recorded again.

    A restored series first shows the point that it left with, or zero. Within 30 seconds it shows what is new:
    PromQL's `increase` sees a change only between two samples.

    Args:
        seconds: how long a series may be idle.
        clock: monotonic seconds.

    Raises:
        ValueError: not a positive number of seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        if not seconds > 0:
            raise ValueError(f"expire_idle: give a positive number of seconds, not {seconds}")
        self._seconds = seconds
        self._shown_seconds = min(_SHOWN_SECONDS, seconds / _SHOWN_SHARE)
        self._clock = clock
        self._swept = False
        self._lock = Lock()
        self._last_change: dict[Name, tuple[Any, float]] = {}  # the totals at the last sweep, and since when
        self._expired: dict[Name, _Expired] = {}
        self._restored: dict[Name, _Restored] = {}

    def restore_written(self, metrics: Iterable[MetricSeries], drop: Drop) -> None:
        """Restore the expired series that were written to; forget those that nothing refers to."""
        by_name = {metric_series.metric.name: metric_series for metric_series in metrics}
        for name, expired in list(self._expired.items()):
            series = expired.series()
            if len(expired.journal) > 1 or (series is not None and _fed(series)):
                self.restore(by_name[name[0]], name[1], drop)
            elif series is None:
                self._expired.pop(name, None)

    def restore(self, metric_series: MetricSeries, key: tuple[str, ...], drop: Drop) -> AnySeries | None:
        """Restore the expired series with these label values and return it; None if there is none."""
        metric = metric_series.metric
        expired = self._expired.pop((metric.name, key), None)
        if expired is None:
            return None
        series = expired.series()
        if series is None:
            if len(expired.journal) == 1:
                return None
            series = CLASSES[metric.kind](metric, key, metric_series.guard, drop)
            series.journal = expired.journal
        self._restored[metric.name, key] = _Restored(_shown(series, expired.journal[0]))
        return metric_series.by_labels.setdefault(key, series)

    def point(self, series: AnySeries) -> Point | None:
        """Return the point that a scrape shows for a series now."""
        if not expires(series.metric):
            return series.point()
        name = (series.metric.name, series.labels)
        if self._swept and name not in self._last_change and name not in self._restored:
            self._restored[name] = _Restored(_shown(series, series.zero()))
        point = series.point()
        restored = self._restored.get(name)
        if restored is None or point == restored.point:
            return point
        now = self._clock()
        if restored.until is None:
            restored.until = now + self._shown_seconds
        elif now >= restored.until:
            self._restored.pop(name, None)
            return point
        return restored.point

    def sweep(self, metrics: Iterable[MetricSeries]) -> bool:
        """Expire idle series; return whether any expired. Call it after all series were folded."""
        if not self._lock.acquire(timeout=_PATIENCE):
            return False
        try:
            return self._sweep(metrics)
        finally:
            self._lock.release()

    def _sweep(self, metrics: Iterable[MetricSeries]) -> bool:
        now = self._clock()
        any_expired = False
        for metric_series in metrics:
            if not expires(metric_series.metric):
                continue
            for key, series in list(metric_series.by_labels.items()):
                name = (metric_series.metric.name, key)
                totals, since = self._last_change.get(name, (None, now))
                if totals is not series.totals:
                    self._last_change[name] = (series.totals, now)  # every fold makes a new object
                elif now - since >= self._seconds and len(series.journal) == 1:
                    self._expired[name] = _Expired(ref(series), series.journal)
                    metric_series.by_labels.pop(key, None)
                    self._last_change.pop(name, None)
                    self._restored.pop(name, None)
                    any_expired = True
        self._swept = True
        return any_expired

    def clear(self) -> None:
        """Forget everything; expired series begin at zero."""
        for expired in list(self._expired.values()):
            series = expired.series()
            if series is not None:
                series.reset(series.guard)
            else:
                del expired.journal[1:]
        self._last_change.clear()
        self._restored.clear()


def _shown(series: AnySeries, totals: Any) -> Point:
    """Return the point that shows a series with these totals, which are of its kind."""
    point: Point = series.shown(totals)
    return point


def _fed(series: AnySeries) -> bool:
    """Return whether the series' `feed` has grown."""
    totals = series.totals
    series.fold()
    return series.totals is not totals and series.totals != totals


def expires(metric: Metric) -> bool:
    """Return whether series of `metric` can expire: no gauges, and only with an open label."""
    return metric.kind is not Kind.GAUGE and any(not label.values for label in metric.labels)
