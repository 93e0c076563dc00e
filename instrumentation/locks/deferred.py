"""Writes that are deferred while a lock is busy, and applied by the thread that takes the lock next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import ParamSpec, Protocol

from .. import catalog
from ..recording.registry import Registry

P = ParamSpec("P")
Write = Callable[[], object]


class DeferrableLock(Protocol):
    """What `DeferredWrites` needs of a lock: `Lock`, `RLock` and `RWLock.write()` all have it."""

    @property
    def name(self) -> str: ...
    @property
    def registry(self) -> Registry: ...
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...


class DeferredWrites(AbstractContextManager["DeferredWrites"]):
    """Writes under one lock that do not wait for it.

        writes = scope.DeferredWrites(lock, limit=1000)
        writes.do(index.insert, episode)   # now if the lock is free, later if not
        with writes:                       # applies the deferred writes first
            rebuild(index)

    Writes are applied in the order of `do`, each once, when the lock is taken next. Call `flush` if they must be
    applied now, for instance before a shutdown. Any thread may call `do`.

    Args:
        lock: the lock; its name is the label of `lock.deferred` and `lock.deferred.depth`.
        limit: how many writes may be deferred. Beyond that, `do` waits for the lock. Without a limit it never waits.
        on_error: called with an exception from a deferred write, because its caller has gone on; by default it is
            logged.
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
        """The number of writes that are deferred now."""
        return len(self._queue)

    def do(self, write: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Call `write` under the lock, after the deferred writes. Return False if `write` itself was deferred.

        Raises:
            Exception: the exception of `write`, if it was not deferred.
        """
        full = self._limit is not None and len(self._queue) >= self._limit
        if self._lock.acquire(full):
            try:
                self._apply()
                write(*args, **kwargs)
            finally:
                self._release()
            return True
        self._deferred.inc()
        self._queue.append(lambda: write(*args, **kwargs))
        self._look_again()
        return False

    def flush(self, timeout: float = -1) -> bool:
        """Wait for the lock and apply the deferred writes. Return False if that took more than `timeout` seconds."""
        if not self._lock.acquire(True, timeout):
            return False
        try:
            self._apply()
        finally:
            self._release()
        return True

    def __enter__(self) -> DeferredWrites:
        self._lock.acquire()
        try:
            self._apply()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._apply()  # the writes that were deferred during the block
        finally:
            self._release()

    def _release(self) -> None:
        self._lock.release()
        self._look_again()

    def _look_again(self) -> None:
        # A write may be deferred after the holder's last look and before its release. So both threads look again: the
        # one that deferred it, and the holder after its release. One of them sees the write.
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

    logging.getLogger("mnemoscope").error("a write that had been deferred failed", exc_info=error)
