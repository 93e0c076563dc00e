"""The set of all series of a process: makes them on demand, bounds them, and takes snapshots of them."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Hashable, Iterator
from itertools import product
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import catalog
from .breath import breathing
from .catalog import Kind, Metric
from .expiry import Expiry
from .family import CLASSES, AnySeries, SeriesOf
from .series import Counter, Gauge, Histogram, InFlight, new_guard
from .snapshot import Family, HistogramPoint, NumberPoint, Snapshot, ordered

if TYPE_CHECKING:
    from .multiprocess import Sharing

OTHER = "other"
DEFAULT_MAX_LABEL_SETS = 1000
DEFAULT_MAX_LABEL_LENGTH = 128
_SERIES_A_BREATH = 256

V = TypeVar("V")
_registries: weakref.WeakSet[Registry] = weakref.WeakSet()


class RecordingError(ValueError):
    """A recording that was refused, raised in strict mode only."""


class Registry:
    """Series by metric and label values.

    Args:
        prefix: first word of every exported name; `MNEMOSCOPE_PREFIX` or `mnemo` when not given.
        max_label_sets: how many label sets one metric may have. Further ones are recorded with every open
            label as `other`, and counted in `instrumentation.dropped`.
        max_label_length: characters of a label value; longer ones are cut.
        expire_idle: seconds after which a counter or histogram series with an open label, if nobody has written to it,
            is left out of scrapes, and forgotten if no probe holds it. Not with a shared directory.
        strict: raise RecordingError where a recording would be refused; for tests, never for a service.

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
        self.prefix = catalog.valid_prefix(prefix or os.environ.get("MNEMOSCOPE_PREFIX") or catalog.DEFAULT_PREFIX)
        self.max_label_sets = max_label_sets
        self.max_label_length = max_label_length
        self.strict = strict
        self._families: dict[str, SeriesOf] = {}
        self._in_flight: dict[object, InFlight] = {}
        self.kept: dict[Hashable, Any] = {}
        self._expiry = Expiry(expire_idle) if expire_idle is not None else None
        self._sharing: Sharing | None = None
        self.started = time.time()
        self._monotonic = time.monotonic()
        self.gauge(catalog.UPTIME).set_function(lambda: time.monotonic() - self._monotonic)
        self.gauge(catalog.SELF_SERIES).set_function(lambda: sum(len(f.series) for f in list(self._families.values())))
        _registries.add(self)

    # Series ---------------------------------------------------------------------------------------

    def counter(self, metric: Metric, /, **labels: str) -> Counter:
        """The counter series of `metric` with these labels, made at zero if it is new.

        Raises:
            ValueError: the metric is no counter, or the label names are not exactly the metric's.
        """
        return cast("Counter", self._bind(Kind.COUNTER, metric, labels))

    def gauge(self, metric: Metric, /, **labels: str) -> Gauge:
        """The gauge series of `metric` with these labels. Raises as `counter` does."""
        return cast("Gauge", self._bind(Kind.GAUGE, metric, labels))

    def histogram(self, metric: Metric, /, **labels: str) -> Histogram:
        """The histogram series of `metric` with these labels. Raises as `counter` does."""
        return cast("Histogram", self._bind(Kind.HISTOGRAM, metric, labels))

    def declare(self, *metrics: Metric, **labels: str) -> None:
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
    def _choices(metric: Metric, label: catalog.Label, given: dict[str, str]) -> tuple[str, ...]:
        if label.name in given:
            return (given[label.name],)
        if not label.values:
            raise ValueError(f"{metric.name}: label {label.name} is open; declare it with a value")
        return label.values

    def in_flight(self, key: object) -> InFlight:
        """The tracker of work under way called `key`, made if it is new."""
        return self._in_flight.setdefault(key, InFlight())

    def keep(self, key: Hashable, made: V) -> V:
        """`made`, kept as `kept[key]` for the next time.

        No more are kept than a metric may have label sets, so that labels from requests cannot fill the memory.
        """
        if len(self.kept) < self.max_label_sets:
            self.kept[key] = made
        return made

    def memo(self, build: Callable[..., V], *arguments: Hashable) -> V:
        """`build(self, *arguments)`, kept for the next call with the same arguments.

        A probe written inside a function is made anew at each call; its series are looked up only once.
        """
        try:
            return cast("V", self.kept[build, arguments])
        except KeyError:
            return self.keep((build, arguments), build(self, *arguments))

    def _bind(self, kind: Kind, metric: Metric, labels: dict[str, str]) -> AnySeries:
        # The short way: a series that is there, asked for with its labels in the metric's order.
        try:
            family = self._families[metric.name]
            if family.metric is metric and metric.kind is kind and tuple(labels) == metric.label_names:
                return family.series[tuple(labels.values())]
        except (KeyError, TypeError):  # new, or a value that is no string
            pass
        return self._find(kind, metric, labels)

    def _find(self, kind: Kind, metric: Metric, labels: dict[str, str]) -> AnySeries:
        if metric.kind is not kind:
            raise ValueError(f"{metric.name} is a {metric.kind.value}, not a {kind.value}")
        if len(labels) != len(metric.labels) or any(name not in labels for name in metric.label_names):
            wanted = ", ".join(metric.label_names) or "none"
            raise ValueError(f"{metric.name}: labels are {wanted}; given {', '.join(labels) or 'none'}")
        family = self._families.get(metric.name)
        if family is None:
            family = self._families.setdefault(metric.name, SeriesOf(metric))
        if family.metric is not metric:
            raise ValueError(f"{metric.name}: another metric of that name is recorded already")
        key = tuple([str(labels[name]) for name in metric.label_names])
        series = family.series.get(key)
        return self._admit(family, key) if series is None else series

    def _admit(self, family: SeriesOf, key: tuple[str, ...]) -> AnySeries:
        """The series of a new key, cleaned; past the cap, the one that stands for all others."""
        metric = family.metric
        # Bounded by the number of metrics and reasons; holding it to the caps could end in counting for ever.
        bounded = metric is catalog.SELF_DROPPED
        if not bounded:
            key = self._clean(metric, key)
        if not bounded and key not in family.series and len(family.series) >= self.max_label_sets:
            self.drop(metric, "label_sets", 1)
            key = self.overflow(metric, key)
        asleep = self._expiry.find(metric, key) if self._expiry is not None else None
        if asleep is not None:
            return family.series.setdefault(key, asleep)
        # Two threads may both come here: setdefault lets one of them win.
        return family.series.setdefault(key, CLASSES[metric.kind](metric, key, family.guard, self.drop))

    @staticmethod
    def overflow(metric: Metric, key: tuple[str, ...]) -> tuple[str, ...]:
        """The labels of the series that stands for all those above the cap."""
        return tuple(v if label.values else OTHER for label, v in zip(metric.labels, key, strict=True))

    def _clean(self, metric: Metric, key: tuple[str, ...]) -> tuple[str, ...]:
        values = []
        for label, value in zip(metric.labels, key, strict=True):
            text = value.encode("utf-8", "replace").decode("utf-8")
            if label.values and text not in label.values:
                text = OTHER
            if text != value or len(text) > self.max_label_length:
                self.drop(metric, "label_value", 1)
            values.append(text[: self.max_label_length])
        return tuple(values)

    def drop(self, metric: Metric, reason: str, count: int) -> None:
        """Count recordings that were refused.

        Raises:
            RecordingError: in strict mode.
        """
        if count <= 0:
            return
        if self.strict:
            raise RecordingError(f"{metric.name}: {count} recording(s) refused: {reason}")
        self.counter(catalog.SELF_DROPPED, metric=metric.name, reason=reason).inc(count)

    # Reading --------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Everything recorded so far, merged: catalog metrics in catalog order, then a service's own by name.

        With a shared directory, that is what all its processes recorded; see `share`.
        """
        return self._sharing.snapshot() if self._sharing is not None else self.own_snapshot()

    def own_snapshot(self) -> Snapshot:
        """What this process alone recorded: for a push, which each process makes under a name of its own."""
        families = list(self._families.values())
        if self._expiry is not None and self._sharing is None:
            self._expiry.wake(families)
        points: dict[Metric, list[NumberPoint | HistogramPoint]] = {family.metric: [] for family in families}
        every = (series for family in families for series in list(family.series.values()))
        for series in breathing(every, _SERIES_A_BREATH):
            point = series.point()
            if point is not None:
                points[series.metric].append(point)
        if self._expiry is not None and self._sharing is None and self._expiry.sweep(families):
            self.kept.clear()  # else what is kept for the next probe would hold the sleeping series
        shown = ordered(Family(metric, tuple(sorted(found))) for metric, found in points.items() if found)
        return Snapshot(self.prefix, self.started, time.time(), shown)

    def series(self) -> Iterator[AnySeries]:
        """Every series of this process."""
        for family in list(self._families.values()):
            yield from list(family.series.values())

    def metric(self, name: str) -> Metric | None:
        """The metric that is known by that dotted name: a recorded one, or one of the catalog."""
        family = self._families.get(name)
        return family.metric if family else catalog.find(name)

    def share(self, directory: str | os.PathLike[str]) -> bool:
        """Merge this registry with those of all processes that share `directory`; once, and for good.

        What a process recorded reaches the others, and outlives it, within about 50 ms. Counters go on where an
        earlier run left them, unless the directory is emptied between the two. False where the directory cannot be
        used: that is logged, and the process goes on showing itself alone.
        """
        if self._sharing is None:
            try:
                from .multiprocess import join
            except ImportError:  # no file locks on this system
                import logging

                logging.getLogger("mnemoscope").warning("multi-process mode is off: it needs fcntl.flock")
                return False
            self.declare(catalog.SELF_FILES_REJECTED)
            self._sharing = join(self, directory)
        return self._sharing is not None

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
        for family in list(self._families.values()):
            family.guard = new_guard()
            for series in list(family.series.values()):
                series.reset(family.guard, keep_settings=keep_settings)
        for series in self._expiry.sleeping() if self._expiry is not None else ():
            series.reset(self._families[series.metric.name].guard)
        for tracker in list(self._in_flight.values()):
            tracker.clear()


DEFAULT: list[Registry] = []
"""The default registry, once it is made; read directly only where a call would show in what a recording costs."""


def default_registry() -> Registry:
    """The registry that probes write to unless they are given another."""
    if not DEFAULT:
        DEFAULT.append(Registry())
        if directory := os.environ.get("MNEMOSCOPE_MULTIPROC_DIR"):
            DEFAULT[0].share(directory)
    return DEFAULT[0]


def configure(
    *,
    prefix: str | None = None,
    max_label_sets: int | None = None,
    max_label_length: int | None = None,
    expire_idle: float | None = None,
    strict: bool | None = None,
    multiprocess_dir: str | os.PathLike[str] | None = None,
) -> Registry:
    """Change the default registry; probes that are already in place go on with it.

    `multiprocess_dir` is a directory that all processes of the service share, so that a scrape of one shows all;
    `MNEMOSCOPE_MULTIPROC_DIR` says the same; see `Registry.share`. Set it where every process comes by, and so not
    below `if __name__ == "__main__"`.

    Raises:
        ValueError: the prefix is not one that a metric name can start with.
    """
    registry = default_registry()
    if prefix is not None:
        registry.prefix = catalog.valid_prefix(prefix)
    if max_label_sets is not None:
        registry.max_label_sets = max_label_sets
    if max_label_length is not None:
        registry.max_label_length = max_label_length
    if expire_idle is not None:
        registry.expire_idle(expire_idle)
    if strict is not None:
        registry.strict = strict
    if multiprocess_dir is not None:
        registry.share(multiprocess_dir)
    return registry


def _sharings() -> list[Sharing]:
    return [registry._sharing for registry in list(_registries) if registry._sharing is not None]


def _before_fork() -> None:
    for sharing in _sharings():
        sharing.before_fork()


def _after_fork_in_parent() -> None:
    for sharing in _sharings():
        sharing.after_fork_in_parent()


def _after_fork_in_child() -> None:
    # The child starts at zero, else both would report the parent's past; and a guard that another thread
    # of the parent held at the fork would stay locked for ever.
    for registry in list(_registries):
        registry.clear(keep_settings=True)
    for sharing in _sharings():
        sharing.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
