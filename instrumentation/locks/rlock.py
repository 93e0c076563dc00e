"""`RLock`: `threading.RLock` that tells."""

from __future__ import annotations

import threading
from _thread import allocate_lock
from threading import get_ident
from time import perf_counter
from types import TracebackType
from typing import Any

from ..default import default_registry
from ..registry import Registry
from . import order
from .hooks import EXCLUSIVE, Owner, creation_site, meter_of
from .state import LockState, Poisonable


class RLock(Poisonable):
    """A re-entrant lock with the interface and the errors of `threading.RLock`.

    Only the outermost acquisition can wait, and the hold runs from there to the last release; taking it again is
    not recorded. Arguments as of `Lock`; with `poison`, leaving the outermost `with` block by an exception counts.
    """

    __slots__ = ("__weakref__", "_depth", "_inner", "_meter", "_since")

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        registry = registry or default_registry()
        name = name or creation_site()
        self._meter = meter_of(registry, name, EXCLUSIVE)
        self._state = LockState(name, registry, poison)
        self._inner: Any = threading.RLock()
        self._depth = 0  # this and the next change only while the lock is held
        self._since = 0.0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; False if it was not to be had at once (`blocking` false) or in `timeout` seconds."""
        inner = self._inner
        if timeout != -1 or blocking is not True:
            allocate_lock().acquire(blocking, timeout)  # raises what a lock raises for these arguments
        me = get_ident()
        may_wait = blocking and timeout != 0
        if may_wait and order.tracking and not inner._is_owned():
            order.taking(self._state, me)
        if inner.acquire(False):
            if self._depth == 0:
                self._meter.took()
        elif not may_wait:
            return False
        else:
            with self._meter.wait(self._state, Owner(me)) as waiting:
                waiting.taken = inner.acquire(True, timeout)
            if not waiting.taken:
                return False
        self._depth += 1
        if self._depth == 1:
            self._begin(me)
        return True

    __enter__ = acquire

    def _begin(self, me: int) -> None:
        self._state.owner = me
        if order.tracking:
            order.took(self._state, me, depth=3)
        self._since = perf_counter()

    def release(self) -> None:
        """Leave one level of it. Raises RuntimeError if the calling thread does not hold it."""
        if self._inner._is_owned():
            if self._depth == 1:
                self._end()
            else:
                self._depth -= 1
        self._inner.release()

    def _end(self) -> None:
        """The last level ends; the lock is still held."""
        self._depth = 0
        self._meter.held(perf_counter() - self._since)
        if order.tracking:
            order.released(self._state, get_ident())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None and self._depth == 1:
            self._state.left(failed=True)
        self.release()

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._depth > 0

    def _is_held_by(self, thread: int) -> bool:
        return bool(self._inner._is_owned())

    # What `threading.Condition` asks of a lock ----------------------------------------------------

    def _is_owned(self) -> bool:
        return bool(self._inner._is_owned())

    def _recursion_count(self) -> int:
        return self._depth if self._inner._is_owned() else 0

    def _release_save(self) -> int:
        if not self._inner._is_owned():
            self._inner._release_save()  # raises
        depth = self._depth
        self._end()
        self._inner._release_save()
        return depth

    def _acquire_restore(self, depth: int) -> None:
        self.acquire()
        for _ in range(depth - 1):
            self._inner.acquire()
        self._depth = depth

    def _at_fork_reinit(self) -> None:
        self._inner._at_fork_reinit()
        self._depth = 0

    def __repr__(self) -> str:
        held = "locked" if self.locked() else "unlocked"
        owner = self._state.owner if self._depth else 0
        return (
            f"<{held} {type(self).__module__}.{type(self).__qualname__} object {self.name!r} owner={owner} "
            f"count={self._depth} at {id(self):#x}>"
        )
