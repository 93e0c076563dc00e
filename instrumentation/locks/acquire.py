"""Acquire a lock through its primitive, and record the acquisition. All locks for threads are taken in this way."""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable
from functools import partial
from threading import get_ident
from typing import Literal, TypeVar

from .meter import Meter
from .signal_safe import signal_safe
from .watch import order
from .watch.holders import tracker
from .watch.thread_or_task import ThreadOrTask
from .watch.waits import Wait, WatchedLock

T = TypeVar("T")


def acquire_and_record(
    lock: WatchedLock,
    meter: Meter,
    *,
    try_acquire: Callable[[], T] | None,
    wait_to_acquire: Callable[[Wait], T] | None,
    undo: Callable[[], object],
    acquired: Callable[[], object],
    timed: bool = False,
    ordered: bool = True,
) -> T | Literal[False]:
    """Acquire a lock, without a wait or after one, and record which. Return False if it was not acquired.

    Args:
        lock: the lock.
        meter: records the acquisition.
        try_acquire: acquires the primitive if it is free; None if that is not possible without a wait.
        wait_to_acquire: waits for the primitive and acquires it; None if the caller may not wait.
        undo: releases the primitive; called if an exception comes after the acquisition.
        acquired: called after the acquisition.
        timed: whether `wait_to_acquire` has a time limit.
        ordered: whether the lock takes part in the order of locks.
    """
    answer: T | Literal[False] = False
    wait = None
    try:
        if wait_to_acquire is not None and ordered and tracker.local is not None:
            order.add_edges(lock)
        if try_acquire is not None:
            for answer in signal_safe(try_acquire):
                break
        if answer is not False:
            meter.record_no_wait()
        elif wait_to_acquire is not None:
            waiter = ThreadOrTask(get_ident())
            wait = Wait(meter, lock, waiter, timed=timed, contended=try_acquire is not None)
            with wait:
                for answer in signal_safe(partial(wait_to_acquire, wait)):
                    wait.taken = answer is not False
                    break
        if answer is not False:
            acquired()
    except BaseException:
        if answer is not False:
            undo()
        if wait is not None:
            wait.drop()
        raise
    return answer


def acquire_primitive(
    lock: WatchedLock,
    meter: Meter,
    acquire: Callable[[bool, float], bool],
    blocking: bool,
    timeout: float,
    *,
    undo: Callable[[], object],
    acquired: Callable[[], object],
) -> bool:
    """Acquire a lock whose primitive has the `acquire` of `threading.Lock`; see `acquire_and_record`."""
    may_wait = check_arguments(blocking, timeout)
    return acquire_and_record(
        lock,
        meter,
        try_acquire=partial(acquire, False),
        wait_to_acquire=(lambda wait: wait.acquire(acquire, timeout)) if may_wait else None,
        undo=undo,
        acquired=acquired,
        timed=timeout >= 0,
    )


def check_arguments(blocking: bool, timeout: float) -> bool:
    """Return whether these arguments of `acquire` allow a wait.

    Raises:
        ValueError, TypeError, OverflowError: the arguments are invalid, as for a lock of `threading`.
    """
    if timeout != -1 or blocking is not True:
        allocate_lock().acquire(blocking, timeout)
    return bool(blocking) and timeout != 0
