"""The set of all series of a process: makes them on demand, limits their number, and takes snapshots of them."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterable, Iterator
from itertools import product
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from .. import catalog
from ..catalog import CATALOG, ExposedNames, Kind, Metric
from ..catalog.labels import OTHER, DropReason
from .drop_log import NOTHING, DropLog
from .expiry import Expiry
from .in_flight import InFlight
from .journal import Guard
from .metric_series import CLASSES, AnySeries, MetricSeries
from .pauses import with_pauses
from .series import Counter, Gauge, Histogram
from .snapshot import Family, HistogramPoint, NumberPoint, Snapshot, ordered
from .values import UnrecordableError, label_text

if TYPE_CHECKING:
    from .shared import SharedDirectory

DEFAULT_MAX_LABEL_SETS = 1000
DEFAULT_MAX_LABEL_LENGTH = 128
_SERIES_BETWEEN_PAUSES = 256

_CATALOG_NAMES = ExposedNames(CATALOG)

_registries: weakref.WeakValueDictionary[int, Registry] = weakref.WeakValueDictionary()


def every_registry() -> list[Registry]:
    """Return every registry of the process; a fork has to prepare all of them."""
    references = _registries.valuerefs()  # a copy, while other threads may make registries
    return [registry for reference in references if (registry := reference()) is not None]


class RecordingError(ValueError):
    """A recording that was dropped; raised in strict mode only."""


class Registry:
    """Series by metric and label values.

    Args:
        prefix: first word of every exported name; `MNEMOSCOPE_PREFIX` or `mnemo` when not given.
        max_label_sets: how many label sets one metric may have. Further ones are recorded with every open
            label as `other`, and counted in `instrumentation.dropped`.
        max_label_length: characters of a label value; longer ones are cut.
        expire_idle: seconds after which an unchanged series is left out of scrapes, and forgotten if nothing refers to
            it. It applies to counters and histograms with an open label, and not in a shared directory.
        strict: raise RecordingError in the call whose recording is dropped; for tests, never for a service.

    Raises:
        ValueError: no metric name can start with the prefix.
    """

    def __init__(
        self,
        prefix: str | None = None,
        *,
        max_label_sets: int = DEFAULT_MAX_LABEL_SETS,
        max_label_length: int = DEFAULT_MAX_LABEL_LENGTH,
        expire_idle: float | None = None,
        strict: bool = False,
    ) -> None:
        self.prefix = catalog.valid_prefix(prefix) if prefix else _environment_prefix()
        self.max_label_sets = max_label_sets
        self.max_label_length = max_label_length
        self.strict = strict
        self._metrics: dict[str, MetricSeries] = {}
        self._names = ExposedNames()
        self._in_flight: dict[object, InFlight] = {}
        self.probe_series: dict[object, dict[tuple[object, ...], Any]] = {}  # by `SeriesLookup`, then by label values
        self._dropped: dict[tuple[str, str], Counter] = {}
        self._drop_log = DropLog()
        self._expiry = Expiry(expire_idle) if expire_idle is not None else None
        self.multiprocess: SharedDirectory | None = None
        self.multiprocess_lock = Lock()
        self.started = time.time()
        self._monotonic = time.monotonic()
        self.gauge(catalog.SERVICE_UPTIME).set_function(lambda: time.monotonic() - self._monotonic)
        self.gauge(catalog.INSTRUMENTATION_SERIES).set_function(
            lambda: sum(len(metric_series.by_labels) for metric_series in list(self._metrics.values()))
        )
        _registries[id(self)] = self

    # Series ---------------------------------------------------------------------------------------

    def counter(self, metric: Metric, /, **labels: object) -> Counter:
        """Return the counter series of `metric` with these labels; make it at zero if it is new.

        Raises:
            ValueError: the metric is no counter, the label names are not exactly the metric's, or the metric has the
                same name in Prometheus as another metric.
        """
        return cast("Counter", self._series(Kind.COUNTER, metric, labels))

    def gauge(self, metric: Metric, /, **labels: object) -> Gauge:
        """Return the gauge series of `metric` with these labels; raise as `counter` does."""
        return cast("Gauge", self._series(Kind.GAUGE, metric, labels))

    def histogram(self, metric: Metric, /, **labels: object) -> Histogram:
        """Return the histogram series of `metric` with these labels; raise as `counter` does."""
        return cast("Histogram", self._series(Kind.HISTOGRAM, metric, labels))

    def declare(self, *metrics: Metric, **labels: object) -> None:
        """Export series at zero before the first event, so that the first event is seen as an increase.

        A closed label is expanded to all its values; an open label needs a value here. A label that a metric does not
        have is ignored, so that one call can declare several metrics.

        Raises:
            ValueError: an open label has no value.
        """
        for metric in metrics:
            choices = [self._choices(metric, label, labels) for label in metric.labels]
            for values in product(*choices):
                self._series(metric.kind, metric, dict(zip(metric.label_names, values, strict=True)))

    @staticmethod
    def _choices(metric: Metric, label: catalog.Label, given: dict[str, object]) -> tuple[object, ...]:
        if label.name in given:
            return (given[label.name],)
        if not label.values:
            raise ValueError(f"{metric.name}: label {label.name} is open; declare it with a value")
        return label.values

    def in_flight(self, key: object) -> InFlight:
        """Return the tracker of work in flight called `key`; make it if it is new."""
        return self._in_flight.setdefault(key, InFlight())

    def label_texts(self, metric: Metric, values: Iterable[object]) -> tuple[str, ...]:
        """Return label values as text; count a value that cannot be written as text as dropped, and use `other`."""
        return tuple([self._label_text(metric, value) for value in values])

    def _label_text(self, metric: Metric, value: object) -> str:
        try:
            return label_text(value)
        except UnrecordableError as error:
            self.drop(metric, error.reason, value=value)
            return OTHER

    def _series(self, kind: Kind, metric: Metric, labels: dict[str, Any]) -> AnySeries:
        # The short way: the series exists, and the labels are given in the metric's order.
        try:
            metric_series = self._metrics[metric.name]
            if metric_series.metric is metric and metric.kind is kind and tuple(labels) == metric.label_names:
                return metric_series.by_labels[tuple(labels.values())]
        except Exception:  # new, or a value that cannot be looked up
            pass
        if metric.kind is not kind:
            raise ValueError(f"{metric.name} is a {metric.kind.value}, not a {kind.value}")
        if len(labels) != len(metric.labels) or any(name not in labels for name in metric.label_names):
            wanted = ", ".join(metric.label_names) or "none"
            raise ValueError(f"{metric.name}: labels are {wanted}; given {', '.join(labels) or 'none'}")
        metric_series = self._series_of(metric)
        key = self.label_texts(metric, [labels[name] for name in metric.label_names])
        series = metric_series.by_labels.get(key)
        return self._add(metric_series, key) if series is None else series

    def _series_of(self, metric: Metric) -> MetricSeries:
        """Return all series of `metric`; check its name when it is recorded first."""
        metric_series = self._metrics.get(metric.name)
        if metric_series is None:
            if catalog.find(metric.name) is None:
                _CATALOG_NAMES.check(metric)
            self._names.add(metric)
            metric_series = self._metrics.setdefault(metric.name, MetricSeries(metric))
        if metric_series.metric is not metric:
            raise ValueError(f"{metric.name}: another metric of that name is recorded already")
        return metric_series

    def _add(self, metric_series: MetricSeries, key: tuple[str, ...]) -> AnySeries:
        """Return the series of new label values; above the cap, the series that all further values share."""
        metric = metric_series.metric
        # The number of metrics and reasons bounds this one. Checking it against the caps could drop without end.
        bounded = metric is catalog.INSTRUMENTATION_DROPPED
        if not bounded:
            key = self._clean(metric, key)
        if not bounded and key not in metric_series.by_labels and len(metric_series.by_labels) >= self.max_label_sets:
            self.drop(metric, "label_sets")
            key = self.overflow(metric.labels, key)
        restored = self._expiry.restore(metric_series, key, self.drop) if self._expiry is not None else None
        if restored is not None:
            return restored
        series = CLASSES[metric.kind](metric, key, metric_series.guard, self.drop)
        if self.multiprocess is not None:
            self.multiprocess.add_series(series)
        # Two threads may both come here: setdefault lets one of them win.
        return metric_series.by_labels.setdefault(key, series)

    @staticmethod
    def overflow(labels: tuple[catalog.Label, ...], key: tuple[str, ...]) -> tuple[str, ...]:
        """Return the label values of the series that all label sets above the cap share."""
        return tuple([value if label.values else OTHER for label, value in zip(labels, key, strict=True)])

    def _clean(self, metric: Metric, key: tuple[str, ...]) -> tuple[str, ...]:
        """Return label values that can be exported: valid UTF-8, short enough, and of their label's set."""
        values = []
        for label, value in zip(metric.labels, key, strict=True):
            found = value.encode("utf-8", "replace").decode("utf-8")
            if label.values and found not in label.values:
                found = OTHER
            if found != value or len(found) > self.max_label_length:
                self.drop(metric, "label_value", value=value)
            values.append(found[: self.max_label_length])
        return tuple(values)

    def drop(
        self, metric: Metric, reason: DropReason, count: int = 1, *, value: object = NOTHING, raises: bool = True
    ) -> None:
        """Count recordings as dropped, and log the first one of this metric and reason.

        Args:
            metric: the metric of the recordings.
            reason: a value of the label `reason` of `instrumentation.dropped`.
            count: how many.
            value: the value that could not be recorded, for the log.
            raises: False where no call of the service is the cause, as in a scrape.

        Raises:
            RecordingError: in strict mode.
        """
        if self.strict and raises:
            given = "" if value is NOTHING else f", given a {type(value).__name__}"
            raise RecordingError(f"{metric.name}: recording dropped ({reason}{given})")
        try:
            counter = self._dropped.get((metric.name, reason))
            if counter is None:
                counter = self.counter(catalog.INSTRUMENTATION_DROPPED, metric=metric.name, reason=reason)
                self._dropped[metric.name, reason] = counter
                self._drop_log.append(metric, reason, value)
            counter.inc(float(count))
        except (RecursionError, MemoryError):
            pass

    # Reading --------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return everything recorded so far: catalog metrics in catalog order, then a service's own by name.

        In a shared directory, it holds what all processes have recorded; see `share_directory`.
        """
        self.log_dropped()
        return self.multiprocess.snapshot() if self.multiprocess is not None else self.own_snapshot()

    def own_snapshot(self) -> Snapshot:
        """Return what this process alone has recorded; each process pushes its own numbers."""
        self.log_dropped()
        metrics = list(self._metrics.values())
        expiry = self._expiry if self.multiprocess is None else None
        if expiry is not None:
            expiry.restore_written(metrics, self.drop)
        points: dict[Metric, list[NumberPoint | HistogramPoint]] = {each.metric: [] for each in metrics}
        every = (series for metric_series in metrics for series in list(metric_series.by_labels.values()))
        for series in with_pauses(every, _SERIES_BETWEEN_PAUSES):
            point = series.point() if expiry is None else expiry.point(series)
            if point is not None:
                points[series.metric].append(point)
        if expiry is not None and expiry.sweep(metrics):
            self.probe_series.clear()  # else these would refer to the expired series
        families = ordered(Family(metric, tuple(sorted(found))) for metric, found in points.items() if found)
        return Snapshot(self.prefix, self.started, time.time(), families)

    def log_dropped(self) -> None:
        """Log the first dropped recording of each kind since the last scrape."""
        self._drop_log.log()

    def series(self) -> Iterator[AnySeries]:
        """Yield every series of this process."""
        for metric_series in list(self._metrics.values()):
            yield from list(metric_series.by_labels.values())

    def metric(self, name: str) -> Metric | None:
        """Return the metric with that dotted name: a recorded one, or one of the catalog."""
        metric_series = self._metrics.get(name)
        return metric_series.metric if metric_series else catalog.find(name)

    def expire_idle(self, seconds: float) -> None:
        """Leave out series that have been idle for so many seconds, from now on; see the class.

        Raises:
            ValueError: not a positive number.
        """
        self._expiry = Expiry(seconds)

    def clear(self, *, keep_settings: bool = False) -> None:
        """Set every series back to zero; callers can go on using the series that they hold.

        `keep_settings` leaves what gauges were `set` to.
        """
        self.started = time.time()
        self._monotonic = time.monotonic()
        for metric_series in list(self._metrics.values()):
            metric_series.guard = Guard()
            for series in list(metric_series.by_labels.values()):
                series.reset(metric_series.guard, keep_settings=keep_settings)
        if self._expiry is not None:
            self._expiry.clear()
        for tracker in list(self._in_flight.values()):
            tracker.clear()
        self.multiprocess_lock = Lock()  # in a forked child, a thread of the parent may have held the old one
        if self.multiprocess is not None:
            self.multiprocess.restart()


def _environment_prefix() -> str:
    """Return the prefix of the environment, or the default; a bad one must not stop the service."""
    given = os.environ.get("MNEMOSCOPE_PREFIX") or catalog.DEFAULT_PREFIX
    try:
        return catalog.valid_prefix(given)
    except ValueError as error:
        import logging

        logging.getLogger("mnemoscope").warning("MNEMOSCOPE_PREFIX is ignored: %s", error)
        return catalog.DEFAULT_PREFIX
