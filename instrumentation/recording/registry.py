"""The set of all series of a process: makes them on demand, bounds them, and takes snapshots of them."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from threading import Lock
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .. import catalog
from ..catalog import CATALOG, ExposedNames, Kind, Metric
from ..catalog.labels import OTHER, DropReason
from .expiry import Expiry
from .in_flight import InFlight
from .journal import Guard
from .metric_series import CLASSES, AnySeries, SeriesOf
from .refusals import NOTHING, Notices
from .series import Counter, Gauge, Histogram
from .snapshot import Family, HistogramPoint, NumberPoint, Snapshot, ordered
from .values import RefusedError, text
from .yielding import breathing

if TYPE_CHECKING:
    from .shared import SharedDirectory

DEFAULT_MAX_LABEL_SETS = 1000
DEFAULT_MAX_LABEL_LENGTH = 128
_SERIES_A_BREATH = 256

V = TypeVar("V")

_DECORATED = (FunctionType, MethodType, type, property, classmethod, staticmethod)
"""What a decorator without its parentheses is given instead of a label value."""

_CATALOG_NAMES = ExposedNames(CATALOG)

_registries: weakref.WeakValueDictionary[int, Registry] = weakref.WeakValueDictionary()


def every_registry() -> list[Registry]:
    """Return every registry of the process, for what has to be done around a fork."""
    references = _registries.valuerefs()  # a copy, while other threads may make registries
    return [registry for reference in references if (registry := reference()) is not None]


class RecordingError(ValueError):
    """A recording that was refused, raised in strict mode only."""


@dataclass(eq=False, repr=False)
class Bundle(Generic[V]):
    """The series that one kind of probe records in, which are looked up together.

    Attributes:
        probe: the probe's name, for messages.
        metric: the metric that a refusal is counted under.
        labels: the labels whose values a probe gives, in their order.
        make: gives the series; called with the registry and the values.
    """

    probe: str
    metric: Metric
    labels: tuple[catalog.Label, ...]
    make: Callable[..., V]


class Registry:
    """Series by metric and label values.

    Args:
        prefix: first word of every exported name; `MNEMOSCOPE_PREFIX` or `mnemo` when not given.
        max_label_sets: how many label sets one metric may have. Further ones are recorded with every open
            label as `other`, and counted in `instrumentation.dropped`.
        max_label_length: characters of a label value; longer ones are cut.
        expire_idle: seconds after which a counter or histogram series with an open label that no recording has changed
            is left out of scrapes, and forgotten if nothing holds it. Not with a shared directory.
        strict: raise RecordingError in the call that is refused; for tests, never for a service.

    Raises:
        ValueError: the prefix is not one that a metric name can start with.
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
        self._families: dict[str, SeriesOf] = {}
        self._names = ExposedNames()
        self._in_flight: dict[object, InFlight] = {}
        self._bound: dict[Bundle[Any], dict[tuple[object, ...], Any]] = {}
        self._dropped: dict[tuple[str, str], Counter] = {}
        self._notices = Notices()
        self._expiry = Expiry(expire_idle) if expire_idle is not None else None
        self.multiprocess: SharedDirectory | None = None
        self.multiprocess_lock = Lock()
        self.started = time.time()
        self._monotonic = time.monotonic()
        self.gauge(catalog.SERVICE_UPTIME).set_function(lambda: time.monotonic() - self._monotonic)
        self.gauge(catalog.INSTRUMENTATION_SERIES).set_function(
            lambda: sum(len(f.series) for f in list(self._families.values()))
        )
        _registries[id(self)] = self

    # Series ---------------------------------------------------------------------------------------

    def counter(self, metric: Metric, /, **labels: object) -> Counter:
        """The counter series of `metric` with these labels, made at zero if it is new.

        Raises:
            ValueError: the metric is no counter, the label names are not exactly the metric's, or Prometheus could not
                tell the metric from another one.
        """
        return cast("Counter", self._bind(Kind.COUNTER, metric, labels))

    def gauge(self, metric: Metric, /, **labels: object) -> Gauge:
        """The gauge series of `metric` with these labels. Raises as `counter` does."""
        return cast("Gauge", self._bind(Kind.GAUGE, metric, labels))

    def histogram(self, metric: Metric, /, **labels: object) -> Histogram:
        """The histogram series of `metric` with these labels. Raises as `counter` does."""
        return cast("Histogram", self._bind(Kind.HISTOGRAM, metric, labels))

    def declare(self, *metrics: Metric, **labels: object) -> None:
        """Export series at zero before anything happened, so that the first event is seen as an increase.

        Labels with a closed set of values are expanded to all of them; those with an open set need a value here.
        A label that a metric does not have is ignored, so that several metrics can be declared at once.

        Raises:
            ValueError: an open label has no value.
        """
        for metric in metrics:
            choices = [self._choices(metric, label, labels) for label in metric.labels]
            for values in product(*choices):
                self._bind(metric.kind, metric, dict(zip(metric.label_names, values, strict=True)))

    @staticmethod
    def _choices(metric: Metric, label: catalog.Label, given: dict[str, object]) -> tuple[object, ...]:
        if label.name in given:
            return (given[label.name],)
        if not label.values:
            raise ValueError(f"{metric.name}: label {label.name} is open; declare it with a value")
        return label.values

    def in_flight(self, key: object) -> InFlight:
        """The tracker of work under way called `key`, made if it is new."""
        return self._in_flight.setdefault(key, InFlight())

    def bound(self, bundle: Bundle[V], *values: object) -> V:
        """Return the series of `bundle` with these label values, kept for the next call with the same ones.

        A probe that is made anew at each call looks its series up once. As many bundles are kept as a metric may have
        label sets; further values share the one in which each open label is `other`.
        """
        kept: dict[tuple[object, ...], V] | None = self._bound.get(bundle)
        if kept is None:
            kept = self._bound.setdefault(bundle, {})
        try:
            found = kept.get(values)
        except Exception:  # a value that cannot be looked up
            found = None
        return self._newly_bound(bundle, kept, values) if found is None else found

    def _newly_bound(self, bundle: Bundle[V], kept: dict[tuple[object, ...], V], values: tuple[object, ...]) -> V:
        if values and isinstance(values[0], _DECORATED):
            raise TypeError(
                f"scope.{bundle.probe} takes the {bundle.labels[0].name} first; as a decorator, write "
                f'@scope.{bundle.probe}("name of the {bundle.labels[0].name}")'
            )
        key = tuple([self._text(bundle.metric, value) for value in values])
        found = kept.get(key)
        if found is None and len(kept) >= self.max_label_sets:
            self.drop(bundle.metric, "label_sets")
            key = self.overflow(bundle.labels, key)
            found = kept.get(key)
        return kept.setdefault(key, bundle.make(self, *key)) if found is None else found

    def _text(self, metric: Metric, value: object) -> str:
        try:
            return text(value)
        except RefusedError as refused:
            self.drop(metric, refused.reason, value=value)
            return OTHER

    def _bind(self, kind: Kind, metric: Metric, labels: dict[str, Any]) -> AnySeries:
        # The short way: a series that is there, asked for with its labels in the metric's order.
        try:
            family = self._families[metric.name]
            if family.metric is metric and metric.kind is kind and tuple(labels) == metric.label_names:
                return family.series[tuple(labels.values())]
        except Exception:  # new, or a value that cannot be looked up
            pass
        return self._find(kind, metric, labels)

    def _find(self, kind: Kind, metric: Metric, labels: dict[str, Any]) -> AnySeries:
        if metric.kind is not kind:
            raise ValueError(f"{metric.name} is a {metric.kind.value}, not a {kind.value}")
        if len(labels) != len(metric.labels) or any(name not in labels for name in metric.label_names):
            wanted = ", ".join(metric.label_names) or "none"
            raise ValueError(f"{metric.name}: labels are {wanted}; given {', '.join(labels) or 'none'}")
        family = self._families.get(metric.name)
        if family is None:
            if catalog.find(metric.name) is None:
                _CATALOG_NAMES.check(metric)
            self._names.add(metric)
            family = self._families.setdefault(metric.name, SeriesOf(metric))
        if family.metric is not metric:
            raise ValueError(f"{metric.name}: another metric of that name is recorded already")
        key = tuple([self._text(metric, labels[name]) for name in metric.label_names])
        series = family.series.get(key)
        return self._admit(family, key) if series is None else series

    def _admit(self, family: SeriesOf, key: tuple[str, ...]) -> AnySeries:
        """The series of a new key, cleaned; past the cap, the one that stands for all others."""
        metric = family.metric
        # Bounded by the number of metrics and reasons; holding it to the caps could end in counting for ever.
        bounded = metric is catalog.INSTRUMENTATION_DROPPED
        if not bounded:
            key = self._clean(metric, key)
        if not bounded and key not in family.series and len(family.series) >= self.max_label_sets:
            self.drop(metric, "label_sets")
            key = self.overflow(metric.labels, key)
        asleep = self._expiry.find(family, key, self.drop) if self._expiry is not None else None
        if asleep is not None:
            return asleep
        series = CLASSES[metric.kind](metric, key, family.guard, self.drop)
        if self.multiprocess is not None:
            self.multiprocess.add_series(series)
        # Two threads may both come here: setdefault lets one of them win.
        return family.series.setdefault(key, series)

    @staticmethod
    def overflow(labels: tuple[catalog.Label, ...], key: tuple[str, ...]) -> tuple[str, ...]:
        """Return the label values of the series that stands for all those above the cap."""
        return tuple([v if label.values else OTHER for label, v in zip(labels, key, strict=True)])

    def _clean(self, metric: Metric, key: tuple[str, ...]) -> tuple[str, ...]:
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
        """Count recordings that were refused, and log the first of this metric and reason.

        Args:
            metric: what they were meant for.
            reason: one of the values of the label `reason` of `instrumentation.dropped`.
            count: how many.
            value: what was refused, for the log.
            raises: False where no call of the service is to blame, as in a scrape.

        Raises:
            RecordingError: in strict mode.
        """
        if self.strict and raises:
            given = "" if value is NOTHING else f", given a {type(value).__name__}"
            raise RecordingError(f"{metric.name}: refused ({reason}{given})")
        try:
            counter = self._dropped.get((metric.name, reason))
            if counter is None:
                counter = self.counter(catalog.INSTRUMENTATION_DROPPED, metric=metric.name, reason=reason)
                self._dropped[metric.name, reason] = counter
                self._notices.append(metric, reason, value)
            counter.inc(float(count))
        except (RecursionError, MemoryError):
            pass

    # Reading --------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Everything recorded so far, merged: catalog metrics in catalog order, then a service's own by name.

        With a shared directory, that is what all its processes recorded; see `share_directory`.
        """
        self.log_refusals()
        return self.multiprocess.snapshot() if self.multiprocess is not None else self.own_snapshot()

    def own_snapshot(self) -> Snapshot:
        """What this process alone recorded: for a push, which each process makes under a name of its own."""
        self.log_refusals()
        families = list(self._families.values())
        expiry = self._expiry if self.multiprocess is None else None
        if expiry is not None:
            expiry.wake(families, self.drop)
        points: dict[Metric, list[NumberPoint | HistogramPoint]] = {family.metric: [] for family in families}
        every = (series for family in families for series in list(family.series.values()))
        for series in breathing(every, _SERIES_A_BREATH):
            point = series.point() if expiry is None else expiry.point(series)
            if point is not None:
                points[series.metric].append(point)
        if expiry is not None and expiry.sweep(families):
            self._bound.clear()  # else what is kept for the next probe would hold the sleeping series
        shown = ordered(Family(metric, tuple(sorted(found))) for metric, found in points.items() if found)
        return Snapshot(self.prefix, self.started, time.time(), shown)

    def log_refusals(self) -> None:
        """Log the first refusal of each kind since the last scrape."""
        self._notices.log()

    def series(self) -> Iterator[AnySeries]:
        """Every series of this process."""
        for family in list(self._families.values()):
            yield from list(family.series.values())

    def metric(self, name: str) -> Metric | None:
        """The metric that is known by that dotted name: a recorded one, or one of the catalog."""
        family = self._families.get(name)
        return family.metric if family else catalog.find(name)

    def expire_idle(self, seconds: float) -> None:
        """From now on leave out series that were idle for so long; see the class.

        Raises:
            ValueError: not a positive number.
        """
        self._expiry = Expiry(seconds)

    def clear(self, *, keep_settings: bool = False) -> None:
        """Set every series back to zero; series that were handed out stay usable.

        `keep_settings` leaves what gauges were `set` to.
        """
        self.started = time.time()
        self._monotonic = time.monotonic()
        for family in list(self._families.values()):
            family.guard = Guard()
            for series in list(family.series.values()):
                series.reset(family.guard, keep_settings=keep_settings)
        if self._expiry is not None:
            self._expiry.clear()
        for tracker in list(self._in_flight.values()):
            tracker.clear()
        self.multiprocess_lock = Lock()  # a thread of a forked child's parent may have held it
        if self.multiprocess is not None:
            self.multiprocess.restart()


def _environment_prefix() -> str:
    """Return the prefix that the environment gives; a bad one is no reason to stop the service."""
    given = os.environ.get("MNEMOSCOPE_PREFIX") or catalog.DEFAULT_PREFIX
    try:
        return catalog.valid_prefix(given)
    except ValueError as error:
        import logging

        logging.getLogger("mnemoscope").warning("MNEMOSCOPE_PREFIX is ignored: %s", error)
        return catalog.DEFAULT_PREFIX
