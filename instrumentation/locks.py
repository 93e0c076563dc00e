"""Observe a lock that the service already has: wait, hold, contention, waiters, timeouts."""

from __future__ import annotations

from threading import get_ident
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol

from . import catalog
from .registry import Registry, default_registry


class Acquirable(Protocol):
    """What `threading.Lock`, `RLock` and their kind have in common."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...


class ObservedLock:
    """A lock that records how it is used; everything else is the wrapped lock's own.

    The hold of a re-entrant lock runs from the outermost acquire to the last release.
    """

    __slots__ = ("_contended", "_hold", "_holders", "_lock", "_timeouts", "_wait", "_waiters")

    def __init__(self, lock: Acquirable, name: str, mode: str, registry: Registry) -> None:
        self._lock = lock
        self._wait = registry.histogram(catalog.LOCK_WAIT, lock=name, mode=mode).observe
        self._hold = registry.histogram(catalog.LOCK_HOLD, lock=name, mode=mode).observe
        self._contended = registry.counter(catalog.LOCK_CONTENDED, lock=name, mode=mode).inc
        self._timeouts = registry.counter(catalog.LOCK_TIMEOUTS, lock=name, mode=mode).inc
        self._waiters = registry.gauge(catalog.LOCK_WAITERS, lock=name, mode=mode)
        self._holders: dict[int, list[float]] = {}

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As the wrapped lock's; returns whether the lock was taken."""
        asked = perf_counter()
        if self._lock.acquire(False):
            self._took(asked, asked)
            return True
        if not blocking:
            return self._lock.acquire(False, timeout)  # raises for a timeout where the wrapped lock does
        self._contended()
        self._waiters.inc()
        try:
            taken = self._lock.acquire(True, timeout)
        finally:
            self._waiters.dec()
        if taken:
            self._took(asked, perf_counter())
        else:
            self._timeouts()
        return taken

    def _took(self, asked: float, now: float) -> None:
        self._wait(now - asked)
        self._holders.setdefault(get_ident(), []).append(now)

    def release(self) -> None:
        """As the wrapped lock's, including the error when it is not held."""
        me = get_ident()
        starts = self._holders.get(me)
        if starts is None and self._holders:
            # A plain lock may be released by another thread than the one that took it.
            me, starts = next(iter(self._holders.items()))
        started = starts.pop() if starts else None
        last = not starts
        if last:
            self._holders.pop(me, None)
        try:
            self._lock.release()
        except BaseException:
            if started is not None:
                self._holders.setdefault(me, []).append(started)
            raise
        if last and started is not None:
            self._hold(perf_counter() - started)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


def observe_lock(
    lock: Acquirable, name: str, mode: str = "exclusive", *, registry: Registry | None = None
) -> ObservedLock:
    """`lock`, observed: use the result in its place.

    Args:
        lock: anything with `acquire(blocking, timeout)` and `release()`.
        name: name of the lock, the label `lock`.
        mode: `exclusive`, or `read` or `write` for one side of a readers-writer lock.
    """
    return ObservedLock(lock, name, mode, registry or default_registry())
