"""Probes of work in flight: waits for locks, completions, and any gauge of work in flight."""

from __future__ import annotations

from typing import Any, Never

from .. import catalog
from ..catalog import Metric
from ..catalog.labels import Mode
from ..default import default_registry
from ..locks.meter import waiters_of
from ..recording.registry import Registry
from ..recording.series_lookup import SeriesLookup
from .durations import Durations
from .operation import IsError, Operation, Probe


class InFlightOperation(Operation[Any]):
    """A run that is counted as work in flight until its end."""

    __slots__ = ()

    def begin(self) -> None:
        self._series.in_flight.enter(self)
        super().begin()

    def end(self, error: BaseException | None) -> None:
        self._series.in_flight.leave(self)
        super().end(error)

    def abandon(self) -> None:
        self._series.in_flight.leave(self)
        super().abandon()


class _LockWaits:
    """Series of the waits for one lock."""

    __slots__ = ("_wait", "in_flight", "registry")
    metric = catalog.LOCK_WAIT_DURATION

    def __init__(self, registry: Registry, lock: str, mode: str) -> None:
        self.registry = registry
        self.in_flight = waiters_of(registry, lock, mode)
        self._wait = registry.histogram(catalog.LOCK_WAIT_DURATION, lock=lock, mode=mode)

    def record(self, seconds: float, outcome: str) -> None:
        self._wait.observe(seconds)


_LOCK_WAIT = SeriesLookup("lock_wait", catalog.LOCK_WAIT_DURATION, ("lock", "mode"), _LockWaits)


def lock_wait(lock: str, mode: Mode = "exclusive", *, registry: Registry | None = None) -> Probe[InFlightOperation]:
    """Record the time from here to the end of the block as a wait for `lock`; put it around any acquire.

    Args:
        lock: name of the lock.
        mode: `exclusive`, `read` or `write`.
        registry: where to record; the default registry if not given.
    """
    return Probe(InFlightOperation, _LOCK_WAIT.find(registry or default_registry(), lock, mode))


class _GaugedWork:
    """A gauge of work in flight, and a gauge of its peak."""

    __slots__ = ("in_flight", "metric", "registry")

    def __init__(self, registry: Registry, metric: Metric, peak: Metric | None, labels: dict[str, Any]) -> None:
        self.registry = registry
        self.metric = metric
        self.in_flight = registry.in_flight((metric, tuple(sorted((n, str(v)) for n, v in labels.items()))))
        registry.gauge(metric, **labels).set_function(self.in_flight.now)
        if peak is not None:
            registry.gauge(peak, **labels).set_function(self.in_flight.peak)

    def record(self, seconds: float, outcome: str) -> None:
        """Record nothing: the gauges are read at a scrape."""


def in_flight(
    metric: Metric, /, *, peak: Metric | None = None, registry: Registry | None = None, **labels: object
) -> Probe[InFlightOperation]:
    """Count how many runs are in flight, in a gauge of the catalog or of your own.

    Args:
        metric: the gauge.
        peak: a gauge with the same labels, for the most runs at the same time in the last 30 to 60 seconds.
        registry: where to record; the default registry if not given.
        labels: the gauges' labels.

    Raises:
        ValueError: a metric is no gauge, or the labels are not the metric's.
    """
    return Probe(InFlightOperation, _GaugedWork(registry or default_registry(), metric, peak, labels))


class _Completions:
    """Series of the completions, and the completions in flight."""

    __slots__ = ("_durations", "in_flight", "registry")
    metric = catalog.COMPLETION_DURATION

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._durations = Durations(registry, catalog.COMPLETION_DURATION)
        self.in_flight = registry.in_flight(catalog.COMPLETION_IN_FLIGHT)
        registry.gauge(catalog.COMPLETION_IN_FLIGHT).set_function(self.in_flight.now)
        registry.gauge(catalog.COMPLETION_IN_FLIGHT_PEAK).set_function(self.in_flight.peak)

    def record(self, seconds: float, outcome: str) -> None:
        self._durations.record(seconds, outcome)


_COMPLETION = SeriesLookup("completion", catalog.COMPLETION_DURATION, (), _Completions)


def completion(
    *bare: Never, limit: int | None = None, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[InFlightOperation]:
    """Record a completion: how many run at the same time, now and at peak, how long each takes and how it ends.

    Args:
        bare: nothing; the parentheses in `@scope.completion()` are needed.
        limit: how many the service lets run at the same time, if it has a limit; exported beside the number.
        is_error: returns whether an exception is a failure; by default each is.
        registry: where to record; the default registry if not given.
    """
    chosen = registry or default_registry()
    if limit is not None:
        chosen.gauge(catalog.COMPLETION_LIMIT).set(limit)
    return Probe(InFlightOperation, _COMPLETION.find(chosen, *bare), is_error)
