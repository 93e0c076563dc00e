"""The metrics of the locks of one name: waits, holds, contention, timeouts and waiters."""

from __future__ import annotations

from .. import catalog
from ..recording.in_flight import InFlight
from ..recording.registry import Registry
from ..recording.series_lookup import SeriesLookup
from .use_counts import UseCounts, UseTotals
from .watch.waits import Wait
from .watch.watchdog import watchdog

EXCLUSIVE, READ, WRITE = catalog.LOCK_WAIT_DURATION.label("mode").values

QUICK = catalog.LOCK_HOLD_DURATION.buckets[0]
"""Seconds. Holds up to here all fall into the lowest bucket, so their number and sum are enough to record them."""

_CONTENDED = 0.001
"""Seconds. If a lock cannot be tried first, an acquisition that lasts longer than this counts as contended."""


class Meter:
    """The series of one lock name and mode. `meter_of` makes it."""

    def __init__(self, registry: Registry, name: str, mode: str) -> None:
        labels = {"lock": name, "mode": mode}
        self.registry = registry
        self.name = name
        self.mode = mode
        registry.declare(catalog.LOCK_DEADLOCKS, catalog.LOCK_STALLS, lock=name)  # exported at zero from now on
        self._waits = registry.histogram(catalog.LOCK_WAIT_DURATION, **labels)
        self._holds = registry.histogram(catalog.LOCK_HOLD_DURATION, **labels)
        self._contended = registry.counter(catalog.LOCK_CONTENDED, **labels)
        self._timeouts = registry.counter(catalog.LOCK_TIMEOUTS, **labels)
        self._waiters = waiters_of(registry, name, mode)
        self._totals = UseTotals()

    # What a lock records at each use --------------------------------------------------------------

    def record_no_wait(self) -> None:
        """Record that the lock was taken without a wait."""
        self._waits.observe(0.0)

    def record_hold(self, seconds: float) -> None:
        """Record that the lock was released after a hold of `seconds`."""
        self._holds.observe(seconds)

    def wait_began(self, wait: Wait) -> None:
        """Record a new waiter."""
        self._waiters.enter(wait)
        if wait.contended:
            self._contended.inc()
        watchdog.notice()

    def wait_ended(self, wait: Wait, seconds: float, *, gave_up: bool) -> None:
        """Record the end of a wait."""
        self._waiters.leave(wait)
        if not wait.contended and seconds >= _CONTENDED:
            wait.contended = True
            self._contended.inc()
        if wait.taken:
            self._waits.observe(seconds)
        elif gave_up and wait.contended:
            self._timeouts.inc()

    def forget_wait(self, wait: Wait) -> None:
        """Remove it from the waiters if it is still there."""
        self._waiters.leave(wait)

    # What a lock counts by itself -----------------------------------------------------------------

    def use_counts(self, lock: object) -> UseCounts:
        """Return the counts that `lock` keeps. They are exported while it lives and afterwards."""
        counts = self._totals.counts_for(lock)
        self._waits.feed, self._holds.feed = self._without_wait, self._quick
        return counts

    def _without_wait(self) -> tuple[int, float]:
        return int(self._totals.read()[0]), 0.0

    def _quick(self) -> tuple[int, float]:
        _, number, seconds = self._totals.read()
        return int(number), seconds


_METER = SeriesLookup(
    "Lock", catalog.LOCK_WAIT_DURATION, ("lock", "mode"), lambda registry, lock, mode: Meter(registry, lock, mode)
)


def meter_of(registry: Registry, name: str, mode: str = EXCLUSIVE) -> Meter:
    """Return the meter of a lock name and mode; locks of one name share it."""
    return _METER.find(registry, name, mode)


def waiters_of(registry: Registry, name: str, mode: str) -> InFlight:
    """Return the waiters for a lock. From now on, their number is exported: the present one and the peak."""
    waiters = registry.in_flight((catalog.LOCK_WAITERS, name, mode))
    registry.gauge(catalog.LOCK_WAITERS, lock=name, mode=mode).set_function(waiters.now)
    registry.gauge(catalog.LOCK_WAITERS_PEAK, lock=name, mode=mode).set_function(waiters.peak)
    return waiters
