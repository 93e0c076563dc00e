"""What is recorded of the locks of one name, and the one way in which a primitive is taken."""

from __future__ import annotations

import weakref
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable
from functools import partial
from os import getpid
from threading import get_ident
from time import perf_counter, sleep
from typing import Any, Literal, TypeVar

from .. import catalog
from ..recording.in_flight import InFlight
from ..recording.journal import Fold, Guard
from ..recording.registry import Registry
from ..recording.series_lookup import SeriesLookup
from .watch import order
from .watch.held import tracker
from .watch.owners import Owner
from .watch.waits import Subject, Waiting, once
from .watch.watchdog import watchdog

EXCLUSIVE, READ, WRITE = catalog.LOCK_WAIT_DURATION.label("mode").values

QUICK = catalog.LOCK_HOLD_DURATION.buckets[0]
"""Seconds: holds up to here all fall into the lowest bucket, so their number and sum say everything."""

_CONTENDED = 0.001
"""Seconds: where a lock cannot be tried first, an acquisition that lasts longer has waited for another."""

T = TypeVar("T")


class Uses:
    """The uses of one lock, counted by its holder, which is alone, so that plain numbers do.

    Attributes:
        quick: how many holds were quick; a float, because adding to one is the cheapest.
        seconds: how long those lasted together.
        longer: how many holds were longer; their durations are recorded one by one.
        waits: how many uses had their wait recorded. The others had none.
    """

    __slots__ = ("longer", "quick", "seconds", "waits")

    def __init__(self) -> None:
        self.quick = self.seconds = 0.0
        self.longer = self.waits = 0


Counts = tuple[float, float, float]
"""How often locks were taken without a wait; how many holds were quick; and their seconds."""


class _Reference(weakref.ref[Any]):
    """To a lock, with what is left when it is gone."""

    __slots__ = ("uses",)
    uses: Uses


class Meter:
    """The series of one lock name and mode; make it through `meter_of`."""

    def __init__(self, registry: Registry, name: str, mode: str) -> None:
        labels = {"lock": name, "mode": mode}
        self.registry = registry
        self.name = name
        self.mode = mode
        registry.declare(catalog.LOCK_DEADLOCKS, catalog.LOCK_STALLS, lock=name)  # seen at zero from the first lock on
        self._waits = registry.histogram(catalog.LOCK_WAIT_DURATION, **labels)
        self._holds = registry.histogram(catalog.LOCK_HOLD_DURATION, **labels)
        self._contended = registry.counter(catalog.LOCK_CONTENDED, **labels)
        self._timeouts = registry.counter(catalog.LOCK_TIMEOUTS, **labels)
        self._waiters = waiters_of(registry, name, mode)
        self._living: dict[int, _Reference] = {}
        self._gone: deque[_Reference] = deque()
        self._past: tuple[Counts, _Reference | None] = (0.0, 0.0, 0.0), None  # and the one that was added last
        self._last: Counts = (0.0, 0.0, 0.0)

    # What a lock reports --------------------------------------------------------------------------

    def took(self) -> None:
        """Record that the lock was taken without a wait."""
        self._waits.observe(0.0)

    def held(self, seconds: float) -> None:
        """Record that the lock was released after a hold of so long."""
        self._holds.observe(seconds)

    def wait_began(self, wait: Waiting) -> None:
        """Record a waiter."""
        self._waiters.enter(wait)
        if wait.contended:
            self._contended.inc()
        watchdog.notice()

    def wait_ended(self, wait: Waiting, seconds: float, *, gave_up: bool) -> None:
        """Record the end of its wait."""
        self._waiters.leave(wait)
        if not wait.contended and seconds >= _CONTENDED:
            wait.contended = True
            self._contended.inc()
        if wait.taken:
            self._waits.observe(seconds)
        elif gave_up and wait.contended:
            self._timeouts.inc()

    def forget_wait(self, wait: Waiting) -> None:
        """Have it no longer among the waiters, if it is."""
        self._waiters.leave(wait)

    # What a lock counts by itself -----------------------------------------------------------------

    def uses_of(self, lock: object) -> Uses:
        """Return where `lock` is to count its uses. They are exported as long as it lives, and afterwards."""
        fold = Fold()
        claim = weakref.ref(fold)
        try:
            if _guard.admits(claim):
                self._bury()
        finally:
            _guard.release(claim)
        reference = _Reference(lock, self._gone.append)
        reference.uses = Uses()
        self._living[id(reference)] = reference
        self._waits.feed, self._holds.feed = self._at_once, self._quick
        return reference.uses

    def _bury(self) -> None:
        """Add the uses of locks that are gone to those of the past; interrupted anywhere, the next one goes on."""
        while self._gone:
            reference = self._gone[0]
            past, latest = self._past
            if reference is not latest and id(reference) in self._living:  # not if its lock was not made in the end
                self._past = _sum(past, reference.uses), reference
            self._living.pop(id(reference), None)
            self._gone.popleft()

    def _counts(self) -> Counts:
        fold = Fold()
        claim = weakref.ref(fold)
        until = perf_counter() + _PATIENCE
        try:
            while not _guard.admits(claim):
                if _process != getpid():  # the registry is reset first in a forked child, and asks for these
                    forget()
                elif perf_counter() > until:
                    return self._last
                else:
                    sleep(_PAUSE)
            self._bury()
            counts, _ = self._past
            for reference in list(self._living.values()):
                counts = _sum(counts, reference.uses)
            at_once, number, lasted = map(max, counts, self._last)
            self._last = at_once, number, lasted
        finally:
            _guard.release(claim)
        return self._last

    def _at_once(self) -> tuple[int, float]:
        return int(self._counts()[0]), 0.0

    def _quick(self) -> tuple[int, float]:
        _, number, seconds = self._counts()
        return int(number), seconds


def _sum(counts: Counts, uses: Uses) -> Counts:
    at_once, number, seconds = counts
    return at_once + uses.quick + uses.longer - uses.waits, number + uses.quick, seconds + uses.seconds


_guard, _process = Guard(), getpid()
_PAUSE, _PATIENCE = 0.001, 0.5
"""Seconds; only a scrape out of a signal handler or a finaliser, which has interrupted another, waits so long."""


def forget() -> None:
    """Begin anew in a forked child, where a thread of the parent may have held the guard."""
    global _guard, _process
    _guard, _process = Guard(), getpid()


_METER = SeriesLookup(
    "Lock", catalog.LOCK_WAIT_DURATION, ("lock", "mode"), lambda registry, lock, mode: Meter(registry, lock, mode)
)


def meter_of(registry: Registry, name: str, mode: str = EXCLUSIVE) -> Meter:
    """Return the meter of a lock name and mode; locks of one name share it."""
    return _METER.find(registry, name, mode)


def waiters_of(registry: Registry, name: str, mode: str) -> InFlight:
    """Return the waiters for a lock: now and at peak, both exported from here on."""
    waiters = registry.in_flight((catalog.LOCK_WAITERS, name, mode))
    registry.gauge(catalog.LOCK_WAITERS, lock=name, mode=mode).set_function(waiters.now)
    registry.gauge(catalog.LOCK_WAITERS_PEAK, lock=name, mode=mode).set_function(waiters.peak)
    return waiters


def take(
    subject: Subject,
    meter: Meter,
    *,
    attempt: Callable[[], T] | None,
    wait: Callable[[Waiting], T] | None,
    release: Callable[[], object],
    began: Callable[[], object],
    timed: bool = False,
    ordered: bool = True,
) -> T | Literal[False]:
    """Take a lock through its primitive, at once or after a wait, and record which; False if it was not taken.

    Args:
        subject: the lock.
        meter: where it is recorded.
        attempt: takes the primitive if it is free; None where that cannot be tried.
        wait: takes it, and waits for that; None where no wait is wanted.
        release: releases it, if an exception comes after it was taken.
        began: called when it was taken.
        timed: whether `wait` has a limit.
        ordered: whether the lock has a part in the order of locks.
    """
    answer: T | Literal[False] = False
    waiting = None
    try:
        if wait is not None and ordered and tracker.local is not None:
            order.taking(subject)
        if attempt is not None:
            for answer in once(attempt):
                break
        if answer is not False:
            meter.took()
        elif wait is not None:
            owner = Owner(get_ident())
            waiting = Waiting(meter, subject, owner, timed=timed, contended=attempt is not None)
            with waiting:
                for answer in once(partial(wait, waiting)):
                    waiting.taken = answer is not False
                    break
        if answer is not False:
            began()
    except BaseException:
        if answer is not False:
            release()
        if waiting is not None:
            waiting.drop()
        raise
    return answer


def check_arguments(blocking: bool, timeout: float) -> bool:
    """Return whether these arguments allow a wait.

    Raises:
        ValueError, TypeError, OverflowError: what a lock of `threading` raises for them.
    """
    if timeout != -1 or blocking is not True:
        allocate_lock().acquire(blocking, timeout)
    return bool(blocking) and timeout != 0
