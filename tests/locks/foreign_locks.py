"""Kinds of locks of other libraries, and the ways to call them."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fasteners
import filelock
from readerwriterlock import rwlock

SOON = 0.02  # seconds: the time limit of an acquire that shall give up


class LockError(Exception):
    """The error that `RedisLock` raises."""


class RedisLock:
    """A lock like those of clients of servers: it has its own time limit, and no `timeout`."""

    def __init__(self, blocking_timeout: float | None = None) -> None:
        self._lock = threading.Lock()
        self._blocking_timeout = blocking_timeout

    def acquire(self, blocking: bool = True, blocking_timeout: float | None = None) -> bool:
        limit = self._blocking_timeout if blocking_timeout is None else blocking_timeout
        if not blocking:
            return self._lock.acquire(False)
        return self._lock.acquire(timeout=-1 if limit is None else limit)

    def release(self) -> None:
        if not self._lock.locked():
            raise LockError("Cannot release an unlocked lock")
        self._lock.release()


class SleepFirstLock(RedisLock):
    """A lock whose first argument is the sleep between tries. For it, False does not mean a try."""

    def acquire(  # type: ignore[override]
        self, sleep: float | None = None, blocking: bool = True, blocking_timeout: float | None = None
    ) -> bool:
        return super().acquire(blocking, blocking_timeout)


class PlainLock(RedisLock):
    """A lock whose `acquire` takes no argument."""

    def acquire(self) -> bool:  # type: ignore[override]
        return super().acquire()


class Call:
    """The arguments of one call, as they are written in a call."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        return f"({', '.join([*map(repr, self.args), *(f'{k}={v!r}' for k, v in self.kwargs.items())])})"


@dataclass(frozen=True)
class Kind:
    """A kind of lock.

    Attributes:
        make: a lock of it, given the path of a file that it may use.
        give_up: ways to acquire it that do not wait indefinitely.
        other: from a lock, the one whose holder excludes it; the lock itself where this is not given.
        by_process: it excludes other processes, and no threads.
    """

    make: Callable[[Path], Any]
    give_up: tuple[Call, ...]
    other: Callable[[Any], Any] | None = None
    by_process: bool = False


THREADING = (
    Call(False),
    Call(blocking=False),
    Call(True, SOON),
    Call(timeout=SOON),
    Call(blocking=True, timeout=SOON),
    Call(timeout=0),
    Call(False, 1),
    Call(block=False),
    Call(True, 1, 1),
)
NEGATIVE = (Call(True, -2), Call(timeout=-2))
MULTIPROCESSING = (
    Call(False),
    Call(block=False),
    Call(True, SOON),
    Call(timeout=SOON),
    Call(block=True, timeout=SOON),
    Call(False, SOON),
    Call(timeout=-1),
    Call(True, -1),
    Call(blocking=False),
)
READ_WRITE = (
    Call(False),
    Call(blocking=False),
    Call(True, SOON),
    Call(timeout=SOON),
    Call(False, 1),
    Call(block=False),
)


def writer_of_a_reader(side: Any) -> Any:
    return side.c_rw_lock.gen_wlock()


KINDS = {
    "threading.Lock": Kind(lambda path: threading.Lock(), THREADING + NEGATIVE),
    "threading.RLock": Kind(lambda path: threading.RLock(), THREADING + NEGATIVE),
    "threading.Condition": Kind(lambda path: threading.Condition(), THREADING + NEGATIVE),
    "threading.Semaphore": Kind(lambda path: threading.Semaphore(), THREADING),
    "threading.BoundedSemaphore": Kind(lambda path: threading.BoundedSemaphore(), THREADING),
    "multiprocessing.Lock": Kind(lambda path: multiprocessing.Lock(), MULTIPROCESSING),
    "multiprocessing.RLock": Kind(lambda path: multiprocessing.RLock(), MULTIPROCESSING),
    "multiprocessing.Semaphore": Kind(lambda path: multiprocessing.Semaphore(), MULTIPROCESSING),
    "multiprocessing.BoundedSemaphore": Kind(lambda path: multiprocessing.BoundedSemaphore(), MULTIPROCESSING),
    "readerwriterlock writer": Kind(lambda path: rwlock.RWLockFair().gen_wlock(), READ_WRITE),
    "readerwriterlock reader": Kind(lambda path: rwlock.RWLockFair().gen_rlock(), READ_WRITE, writer_of_a_reader),
    "fasteners.InterProcessLock": Kind(
        lambda path: fasteners.InterProcessLock(path),
        (
            Call(False),
            Call(blocking=False),
            Call(True, 0.001, 0.001, SOON),
            Call(timeout=SOON),
            Call(timeout=-1),
            Call(delay=-1),
        ),
        by_process=True,
    ),
    "filelock.FileLock": Kind(
        lambda path: filelock.FileLock(path, poll_interval=0.001),
        (
            Call(SOON),
            Call(SOON, 0.001),
            Call(timeout=SOON),
            Call(timeout=0),
            Call(blocking=False),
            Call(poll_interval=0.001, timeout=SOON),
            Call(block=False),
        ),
    ),
    "a lock like redis's": Kind(
        lambda path: RedisLock(),
        (
            Call(False),
            Call(blocking=False),
            Call(True, SOON),
            Call(blocking_timeout=SOON),
            Call(blocking=True, blocking_timeout=SOON),
            Call(timeout=SOON),
        ),
    ),
    "a lock with sleep first": Kind(
        lambda path: SleepFirstLock(),
        (Call(blocking=False), Call(None, False), Call(False, False), Call(0.001, True, SOON), Call(False, True, SOON)),
    ),
    "a lock without arguments": Kind(lambda path: PlainLock(), (Call(False), Call(blocking=False), Call(timeout=1))),
}
OF_THREADS = {name: kind for name, kind in KINDS.items() if not kind.by_process and kind.other is None}
