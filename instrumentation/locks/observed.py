"""Observe a lock that the service already has: wait, hold, contention, waiters, timeouts, order, stalls."""

from __future__ import annotations

from collections.abc import Iterable
from threading import get_ident
from types import TracebackType
from typing import Any, Protocol

from ..default import default_registry
from ..registry import Registry
from . import order
from .holds import Holds
from .hooks import EXCLUSIVE, Owner, meter_of


class Acquirable(Protocol):
    """What `threading.Lock`, `RLock` and their kind have in common."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...


class ObservedLock:
    """A lock that records how it is used; everything else is the wrapped lock's own.

    The hold of a re-entrant lock runs from the outermost acquire to the last release.
    """

    __slots__ = ("__weakref__", "_holds", "_lock", "_meter", "name", "registry")

    def __init__(self, lock: Acquirable, name: str, mode: str, registry: Registry) -> None:
        self.name = name
        self.registry = registry
        self._lock = lock
        self._meter = meter_of(registry, name, mode)
        self._holds = Holds()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As the wrapped lock's; returns whether the lock was taken."""
        me = get_ident()
        may_wait = blocking and timeout != 0
        if may_wait and order.tracking and not self._is_taken_again():
            order.taking(self, me)
        if self._lock.acquire(False):
            self._meter.took()
        elif not may_wait:
            return self._lock.acquire(blocking, timeout)  # raises for a timeout where the wrapped lock does
        else:
            with self._meter.wait(self, Owner(me)) as waiting:
                waiting.taken = self._lock.acquire(True, timeout)
            if not waiting.taken:
                return False
        if order.tracking and not self._holds.depth():
            order.took(self, me)
        self._holds.begin()
        return True

    def release(self) -> None:
        """As the wrapped lock's, including the error when it is not held."""
        ended = self._holds.end()
        try:
            self._lock.release()
        except BaseException:
            if ended is not None:
                self._holds.begin()
            raise
        if ended is not None:
            thread, seconds = ended
            self._meter.held(seconds)
            if order.tracking:
                order.released(self, thread)

    def blockers(self, mode: str) -> Iterable[Owner]:
        """Who holds it; see `hooks.Subject`."""
        return [Owner(thread) for thread in self._holds.threads()]

    def _is_taken_again(self) -> bool:
        return self._holds.depth() > 0 and hasattr(self._lock, "_is_owned")

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


def observe_lock(
    lock: Acquirable, name: str, mode: str = EXCLUSIVE, *, registry: Registry | None = None
) -> ObservedLock:
    """`lock`, observed: use the result in its place.

    Args:
        lock: anything with `acquire(blocking, timeout)` and `release()`.
        name: name of the lock, the label `lock`.
        mode: `exclusive`, or `read` or `write` for one side of a readers-writer lock.
    """
    return ObservedLock(lock, name, mode, registry or default_registry())
