"""Writes that are put off while a lock is busy, and applied by whoever gets it next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import ParamSpec, Protocol

from .. import catalog
from ..registry import Registry

P = ParamSpec("P")
Write = Callable[[], object]


class DeferrableLock(Protocol):
    """What is asked of the lock: `Lock`, `RLock` and `RWLock.write()` all have it."""

    @property
    def name(self) -> str: ...
    @property
    def registry(self) -> Registry: ...
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...


class DeferredWrites(AbstractContextManager["DeferredWrites"]):
    """Writes under one lock, none of which waits for it.

        writes = scope.DeferredWrites(lock, limit=1000)
        writes.do(index.insert, episode)   # now if the lock is free, later if not
        with writes:                       # what was put off is applied first
            rebuild(index)

    Writes are applied in the order of `do`, each once. Nothing is applied while nobody comes: call `flush` where it
    must be certain, before a shutdown for one. `do` is safe from any thread.

    Args:
        lock: the lock; its name is the label of `lock.deferred` and `lock.deferred.depth`.
        limit: with so many put off, `do` waits for the lock after all; without a limit it never does.
        on_error: called with what a write raised that had been put off, whose caller has gone on; logged if not given.
    """

    def __init__(
        self,
        lock: DeferrableLock,
        *,
        limit: int | None = None,
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        self._lock = lock
        self._limit = limit
        self._on_error = on_error or _log
        self._queue: deque[Write] = deque()
        self._deferred = lock.registry.counter(catalog.LOCK_DEFERRED, lock=lock.name)
        lock.registry.gauge(catalog.LOCK_DEFERRED_DEPTH, lock=lock.name).set_function(self._queue.__len__)

    @property
    def depth(self) -> int:
        """How many writes are put off now."""
        return len(self._queue)

    def do(self, write: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Call `write` under the lock, after what was put off before; True if that was done, False if it was put off.

        Raises:
            Exception: what `write` raises, if it was not put off.
        """
        full = self._limit is not None and len(self._queue) >= self._limit
        if self._lock.acquire(full):
            try:
                self._apply()
                write(*args, **kwargs)
            finally:
                self._let_go()
            return True
        self._deferred.inc()
        self._queue.append(lambda: write(*args, **kwargs))
        self._look_again()
        return False

    def flush(self, timeout: float = -1) -> bool:
        """Wait for the lock and apply what was put off; False if the lock was not to be had in `timeout` seconds."""
        if not self._lock.acquire(True, timeout):
            return False
        try:
            self._apply()
        finally:
            self._let_go()
        return True

    def __enter__(self) -> DeferredWrites:
        self._lock.acquire()
        self._apply()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._apply()  # what came meanwhile
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._lock.release()
        self._look_again()

    def _look_again(self) -> None:
        # A write may be put off after the holder's last look and before it let go: then nobody else would apply it.
        # Whoever put it off looks after putting it off, and the holder after letting go, so that one of them sees it.
        while self._queue and self._lock.acquire(False):
            try:
                self._apply()
            finally:
                self._lock.release()

    def _apply(self) -> None:
        while self._queue:
            write = self._queue.popleft()
            try:
                write()
            except Exception as error:
                self._on_error(error)


def _log(error: Exception) -> None:
    import logging

    logging.getLogger("mnemoscope").error("a write that had been put off failed", exc_info=error)
