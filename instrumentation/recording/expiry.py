"""Leave out series that no recording has changed for long, without losing what is recorded in them later."""

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

_PATIENCE = 0.5  # seconds that a scrape waits for another one's sweep
_SHOWN_SECONDS = 30.0
_SHOWN_SHARE = 10

Name = tuple[str, tuple[str, ...]]
Point = NumberPoint | HistogramPoint


class _Sleeping(NamedTuple):
    """A series that has left the scrape. Its journal outlives it, for an operation that ends just before it does."""

    series: ref[AnySeries]
    journal: Journal


class _Return:
    """A series that is back: the point to begin with, and until when that is shown."""

    __slots__ = ("point", "until")

    def __init__(self, point: Point) -> None:
        self.point = point
        self.until: float | None = None  # not shown yet


class Expiry:
    """Which series are idle, and those that sleep.

    Only counters and histograms with an open label expire: those are the ones that come without end (a tenant, a
    store), while a gauge that does not change is as true as ever. A sleeping series that something still holds, or that
    was written to, wakes with its total. One that nothing holds is forgotten, and begins at zero if it comes back.

    A series that comes back is shown first as it was when it left, or at zero, and within 30 seconds with what is new:
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
        self._seen: dict[Name, tuple[Any, float]] = {}
        self._asleep: dict[Name, _Sleeping] = {}
        self._returns: dict[Name, _Return] = {}

    def wake(self, families: Iterable[MetricSeries], drop: Drop) -> None:
        """Bring back the sleeping series that were written to; forget those that nothing holds."""
        by_name = {family.metric.name: family for family in families}
        for name, sleeping in list(self._asleep.items()):
            series = sleeping.series()
            if len(sleeping.journal) > 1 or (series is not None and _fed(series)):
                self.find(by_name[name[0]], name[1], drop)
            elif series is None:
                self._asleep.pop(name, None)

    def find(self, family: MetricSeries, key: tuple[str, ...], drop: Drop) -> AnySeries | None:
        """Return the sleeping series of these labels, awake again; None if there is none."""
        name = (family.metric.name, key)
        sleeping = self._asleep.pop(name, None)
        if sleeping is None:
            return None
        series = sleeping.series()
        if series is None:
            if len(sleeping.journal) == 1:
                return None
            series = CLASSES[family.metric.kind](family.metric, key, family.guard, drop)
            series.journal = sleeping.journal
        self._returns[name] = _Return(_shown(series, sleeping.journal[0]))
        return family.series.setdefault(key, series)

    def point(self, series: AnySeries) -> Point | None:
        """Return the point of a series as it is to be shown now."""
        if not expires(series.metric):
            return series.point()
        name = (series.metric.name, series.labels)
        if self._swept and name not in self._seen and name not in self._returns:
            self._returns[name] = _Return(_shown(series, series.zero()))
        point = series.point()
        back = self._returns.get(name)
        if back is None or point == back.point:
            return point
        now = self._clock()
        if back.until is None:
            back.until = now + self._shown_seconds
        elif now >= back.until:
            self._returns.pop(name, None)
            return point
        return back.point

    def sweep(self, families: Iterable[MetricSeries]) -> bool:
        """Put idle series to sleep; True if any went to sleep. Call it after all were folded."""
        if not self._lock.acquire(timeout=_PATIENCE):
            return False
        try:
            return self._sweep(families)
        finally:
            self._lock.release()

    def _sweep(self, families: Iterable[MetricSeries]) -> bool:
        now = self._clock()
        slept = False
        for family in families:
            if not expires(family.metric):
                continue
            for key, series in list(family.series.items()):
                name = (family.metric.name, key)
                totals, since = self._seen.get(name, (None, now))
                if totals is not series.totals:
                    self._seen[name] = (series.totals, now)  # every fold makes a new object
                elif now - since >= self._seconds and len(series.journal) == 1:
                    self._asleep[name] = _Sleeping(ref(series), series.journal)
                    family.series.pop(key, None)
                    self._seen.pop(name, None)
                    self._returns.pop(name, None)
                    slept = True
        self._swept = True
        return slept

    def clear(self) -> None:
        """Forget everything; sleeping series begin at zero."""
        for sleeping in list(self._asleep.values()):
            series = sleeping.series()
            if series is not None:
                series.reset(series.guard)
            else:
                del sleeping.journal[1:]
        self._seen.clear()
        self._returns.clear()


def _shown(series: AnySeries, totals: Any) -> Point:
    """Return the point that shows a series as of these totals, which are of its kind."""
    point: Point = series.shown(totals)
    return point


def _fed(series: AnySeries) -> bool:
    """Return whether something came from what counts for the series elsewhere."""
    totals = series.totals
    series.fold()
    return series.totals is not totals and series.totals != totals


def expires(metric: Metric) -> bool:
    """Return whether series of `metric` may come without end, and stop."""
    return metric.kind is not Kind.GAUGE and any(not label.values for label in metric.labels)
