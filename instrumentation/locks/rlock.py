"""`RLock`: `threading.RLock` that records how it is used."""

from __future__ import annotations

from _thread import RLock as PlainRLock
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import repeat, starmap
from threading import get_ident
from time import perf_counter
from types import TracebackType
from typing import Any

from ..default import default_registry
from ..recording.registry import Registry
from .acquire import acquire_and_record, check_arguments
from .meter import EXCLUSIVE, meter_of
from .poison import Poisonable
from .watch.holders import Hold, tracker
from .watch.places import creation_site
from .watch.thread_or_task import ThreadOrTask


class RLock(Poisonable):
    """A re-entrant lock with the interface and the errors of `threading.RLock`.

    Only the outermost acquisition can wait, and the hold runs from there to the last release; taking it again is
    not recorded. Arguments as of `Lock`; with `poison`, leaving the outermost `with` block by an exception counts.
    """

    __slots__ = (
        "__weakref__",
        "_at_once",
        "_hold",
        "_inner",
        "_meter",
        "_owner",
        "_releases",
        "_since",
        "_tries",
    )

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        self.registry = registry or default_registry()
        self.name = name or creation_site()
        self._can_be_poisoned(poison)
        self._meter = meter_of(self.registry, self.name, EXCLUSIVE)
        self._inner: Any = PlainRLock()
        self._tries: Iterator[bool] = map(self._inner.acquire, repeat(False))  # see `Lock`
        self._releases: Iterator[None] = starmap(self._inner.release, repeat(()))
        # These change only while the lock is held. How often it is held is known to the plain lock alone.
        self._at_once = False
        self._since = 0.0
        self._hold: Hold | None = None
        self._owner = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; False if it was not free at once (`blocking` false) or within `timeout` seconds."""
        if blocking is not True or timeout != -1 or tracker.local is not None:
            return self._take(blocking, timeout)
        again, thread = self._inner._is_owned(), get_ident()
        for taken in self._tries:
            break
        if not taken:
            return self._take(True, -1)
        if not again:
            self._at_once = True
            self._owner = thread
            try:
                self._since = perf_counter()
            except BaseException:  # out of a signal handler
                self._inner.release()
                raise
        return True

    __enter__ = acquire

    def _take(self, blocking: bool, timeout: float) -> bool:
        may_wait = check_arguments(blocking, timeout)
        acquire = self._inner.acquire
        if self._inner._is_owned():
            for _ in self._tries:
                break
            return True
        return acquire_and_record(
            self,
            self._meter,
            try_acquire=partial(acquire, False),
            wait_to_acquire=(lambda wait: wait.acquire(acquire, timeout)) if may_wait else None,
            undo=self._give_back,
            acquired=self._acquired,
            timed=timeout >= 0,
        )

    def _acquired(self) -> None:
        self._at_once = False  # that has been recorded
        self._owner = get_ident()
        if self._hold is not None:
            self._hold.end()  # if an exception has kept its release from doing so
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
        """Leave one level of it. Raises RuntimeError if the calling thread does not hold it."""
        at_once, since, hold = self._at_once, self._since, self._hold
        for _ in self._releases:  # raises as it does
            break
        if not self._inner._is_owned():
            self._ended(at_once, since, hold)

    def _ended(self, at_once: bool, since: float, hold: Hold | None) -> None:
        if hold is not None:
            hold.end()
        if at_once:
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
        """Return its holder; see `waits.WatchedLock`."""
        return (ThreadOrTask(self._owner),)

    def locked(self) -> bool:
        """Return whether it is held."""
        return repr(self._inner).startswith("<locked")

    def _is_held_by(self, thread: int) -> bool:
        return self._is_owned()

    # What `threading.Condition` and `threading` itself ask of a lock ------------------------------

    def _is_owned(self) -> bool:
        return bool(self._inner._is_owned())

    def _recursion_count(self) -> int:
        return int(self._inner._recursion_count())

    def _release_save(self) -> Any:
        at_once, since, hold = self._at_once, self._since, self._hold
        state = self._inner._release_save()
        self._ended(at_once, since, hold)
        return state

    def _acquire_restore(self, state: Any) -> None:
        inner = self._inner
        try:
            self._take(True, -1)
            # In one call: a signal handler runs before it or after it.
            deque(starmap(inner.acquire, repeat((), state[0] - 1)), maxlen=0)
        except BaseException:
            # As with `threading`, `Condition.wait` raises with its lock held, as often as before.
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
