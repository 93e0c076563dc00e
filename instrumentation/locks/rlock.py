"""`RLock`: `threading.RLock` that records how it is used."""

from __future__ import annotations

from _thread import RLock as PlainRLock
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import repeat, starmap
from threading import get_ident
from time import perf_counter
from types import TracebackType
from typing import Any

from ..recording.registry import Registry
from .acquire import acquire_primitive, check_arguments
from .meter import EXCLUSIVE, meter_of
from .poison import Poisonable
from .watch.holders import Hold, tracker
from .watch.thread_or_task import ThreadOrTask


class RLock(Poisonable):
    """A re-entrant lock with the interface and the errors of `threading.RLock`.

    Only the outermost acquisition can wait, and the hold lasts from there to the last release. Taking it again is not
    recorded. Its arguments are those of `Lock`. With `poison`, only the outermost `with` block counts.
    """

    __slots__ = (
        "__weakref__",
        "_hold",
        "_inner",
        "_meter",
        "_owner",
        "_releases",
        "_since",
        "_tries",
        "_unrecorded",
    )

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        self._identify(name, registry, poisons=poison)
        self._meter = meter_of(self.registry, self.name, EXCLUSIVE)
        self._inner: Any = PlainRLock()
        self._tries: Iterator[bool] = map(self._inner.acquire, repeat(False))  # see `Lock`
        self._releases: Iterator[None] = starmap(self._inner.release, repeat(()))
        # These change only while the lock is held. Only the plain lock counts how often it is held.
        self._unrecorded = False
        self._since = 0.0
        self._hold: Hold | None = None
        self._owner = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock. Return False if it is not free now (`blocking` false) or within `timeout` seconds."""
        if blocking is not True or timeout != -1 or tracker.local is not None:
            return self._take(blocking, timeout)
        again, thread = self._inner._is_owned(), get_ident()
        for taken in self._tries:
            break
        if not taken:
            return self._take(True, -1)
        if not again:
            self._unrecorded = True
            self._owner = thread
            try:
                self._since = perf_counter()
            except BaseException:  # out of a signal handler
                self._inner.release()
                raise
        return True

    __enter__ = acquire

    def _take(self, blocking: bool, timeout: float) -> bool:
        if self._inner._is_owned():
            check_arguments(blocking, timeout)
            for _ in self._tries:
                break
            return True
        return acquire_primitive(
            self, self._meter, self._inner.acquire, blocking, timeout, undo=self._give_back, acquired=self._acquired
        )

    def _acquired(self) -> None:
        self._unrecorded = False
        self._owner = get_ident()
        if self._hold is not None:
            self._hold.end()  # if an exception in its release prevented that
        self._hold = hold = tracker.hold(self)
        if hold is not None:
            hold.begin()
        self._since = perf_counter()

    def _give_back(self) -> None:
        hold = self._hold
        self._inner._release_save()
        if hold is not None:
            hold.end()

    def release(self) -> None:
        """Leave one level of it. Raise RuntimeError if the calling thread does not hold it."""
        unrecorded, since, hold = self._unrecorded, self._since, self._hold
        for _ in self._releases:  # raises as the plain lock does
            break
        if not self._inner._is_owned():
            self._ended(unrecorded, since, hold)

    def _ended(self, unrecorded: bool, since: float, hold: Hold | None) -> None:
        if hold is not None:
            hold.end()
        if unrecorded:
            self._meter.record_no_wait()
        self._meter.record_hold(perf_counter() - since)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is not None and self.poisons and self._recursion_count() == 1:
                self.poisoned = True
        finally:
            self.release()

    def blockers(self, mode: str) -> Iterable[ThreadOrTask]:
        """Return its holder; see `WatchedLock.blockers`."""
        return (ThreadOrTask(self._owner),)

    def locked(self) -> bool:
        """Return whether it is held."""
        return repr(self._inner).startswith("<locked")

    def _is_held_by(self, thread: int) -> bool:
        return self._is_owned()

    # What `threading` and its `Condition` need of a lock ------------------------------------------

    def _is_owned(self) -> bool:
        return bool(self._inner._is_owned())

    def _recursion_count(self) -> int:
        return int(self._inner._recursion_count())

    def _release_save(self) -> Any:
        unrecorded, since, hold = self._unrecorded, self._since, self._hold
        state = self._inner._release_save()
        self._ended(unrecorded, since, hold)
        return state

    def _acquire_restore(self, state: Any) -> None:
        inner = self._inner
        try:
            self._take(True, -1)
            # In one call, so that a signal handler runs before it or after it.
            deque(starmap(inner.acquire, repeat((), state[0] - 1)), maxlen=0)
        except BaseException:
            # As in `threading`, `Condition.wait` raises with its lock held at the same depth as before.
            if inner._is_owned():
                self._give_back()
            inner._acquire_restore(state)
            self._acquired()
            raise

    def _at_fork_reinit(self) -> None:
        self._inner._at_fork_reinit()

    def __repr__(self) -> str:
        ours = f"{type(self).__module__}.{type(self).__qualname__} object {self.name!r} "
        return repr(self._inner).replace("_thread.RLock object ", ours, 1)
