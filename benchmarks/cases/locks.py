"""Locks of threads: ours beside the standard library's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import mnemoscope as scope

from ..percall import NANOSECONDS, Sampler, per_call, scaled

NAME = "episodes"
BLOCK = "with lock: work()"
CALLS = "lock.acquire(); work(); lock.release()"

THREADS = 8
_TURNS = scaled(1_000)
_READS = scaled(40)
_READ_SECONDS = 0.0002
_WRITES = 0.05

Block = AbstractContextManager[Any]


def standard_block() -> Sampler:
    return per_call(BLOCK, lock=threading.Lock())


def our_block() -> Sampler:
    """Also track the order of locks; the place sets `MNEMOSCOPE_LOCK_ORDER`."""
    return per_call(BLOCK, lock=scope.Lock(NAME))


def plain_wrapper() -> Sampler:
    """Time wait and hold with the smallest wrapper that has methods."""
    return per_call(BLOCK, lock=_Plain())


def our_rlock_block() -> Sampler:
    return per_call(BLOCK, lock=scope.RLock(NAME))


def observed_block() -> Sampler:
    return per_call(BLOCK, lock=scope.observe_lock(threading.Lock(), NAME))


def standard_calls() -> Sampler:
    return per_call(CALLS, lock=threading.Lock())


def our_calls() -> Sampler:
    return per_call(CALLS, lock=scope.Lock(NAME))


def standard_contended() -> Sampler:
    return _contended(threading.Lock())


def our_contended() -> Sampler:
    return _contended(scope.Lock(NAME))


def standard_readers() -> Sampler:
    lock = threading.Lock()
    return _readers(lambda: lock, lambda: lock)


def our_readers() -> Sampler:
    lock = scope.RWLock(NAME)
    return _readers(lock.read, lock.write)


class _Plain:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: list[float] = []
        self._holds: list[float] = []
        self._since = 0.0

    def __enter__(self) -> bool:
        asked = time.perf_counter()
        if not self._lock.acquire(False):
            self._lock.acquire()
        self._since = time.perf_counter()
        self._waits.append(self._since - asked)
        return True

    def __exit__(self, *error: object) -> None:
        self._holds.append(time.perf_counter() - self._since)
        self._lock.release()
        if len(self._holds) > 512:
            self._waits.clear()
            self._holds.clear()


def _contended(lock: Block) -> Sampler:
    """Measure wall-clock time of a use with 8 threads, which work as long without the lock as with it."""

    def use(_: int) -> None:
        for _ in range(_TURNS):
            with lock:
                sum(range(300))
            sum(range(300))

    return lambda: _together(use) / (THREADS * _TURNS) * NANOSECONDS


def _readers(read: Callable[[], Block], write: Callable[[], Block]) -> Sampler:
    """Measure wall-clock time of a use with 8 threads and 95 % reads; each use releases the GIL."""
    every = int(1 / _WRITES)

    def use(thread: int) -> None:
        for turn in range(_READS):
            with write() if (turn * THREADS + thread) % every == 0 else read():
                time.sleep(_READ_SECONDS)

    return lambda: _together(use) / (THREADS * _READS) * NANOSECONDS


def _together(use: Callable[[int], None]) -> float:
    start = threading.Barrier(THREADS + 1)

    def run(thread: int) -> None:
        start.wait()
        use(thread)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    start.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started
