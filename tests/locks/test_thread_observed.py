"""An observed lock behaves like the lock that it wraps, and records how it is used."""

from __future__ import annotations

import threading

import pytest
from thread_samples import read

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.recording.registry import Registry


def test_a_contended_lock_shows_wait_hold_waiters_and_contention() -> None:
    registry = Registry()
    lock = scope.observe_lock(threading.Lock(), "episodes", registry=registry)
    lock.acquire()
    other = threading.Thread(target=lambda: (lock.acquire(), lock.release()))
    other.start()
    while read(registry, catalog.LOCK_WAITERS) == 0:
        pass
    lock.release()
    other.join()
    assert read(registry, catalog.LOCK_WAITERS) == 0
    assert read(registry, catalog.LOCK_CONTENDED) == 1
    assert read(registry, catalog.LOCK_WAIT_DURATION) == 2
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 2


def test_a_reentrant_lock_is_held_once_however_deep() -> None:
    registry = Registry()
    lock = scope.observe_lock(threading.RLock(), "episodes", registry=registry)
    with lock, lock, lock:
        pass
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 1
    assert read(registry, catalog.LOCK_WAIT_DURATION) == 3


def test_a_timeout_is_counted_and_a_try_is_not_a_wait() -> None:
    registry = Registry()
    lock = scope.observe_lock(threading.Lock(), "episodes", registry=registry)
    with lock:
        assert lock.acquire(timeout=0.01) is False
        assert lock.acquire(blocking=False) is False
    assert read(registry, catalog.LOCK_TIMEOUTS) == 1
    assert read(registry, catalog.LOCK_CONTENDED) == 1
    assert read(registry, catalog.LOCK_WAIT_DURATION) == 1


def test_bad_use_raises_what_the_wrapped_lock_raises() -> None:
    lock = scope.observe_lock(threading.Lock(), "episodes", registry=Registry())
    with pytest.raises(RuntimeError, match="unlocked"):
        lock.release()
    with lock:
        with pytest.raises(ValueError, match="timeout"):
            lock.acquire(timeout=-2)
        with pytest.raises(ValueError, match="timeout"):
            lock.acquire(blocking=False, timeout=1)


def test_a_lock_released_by_another_thread_still_gives_its_hold() -> None:
    registry = Registry()
    lock = scope.observe_lock(threading.Lock(), "episodes", registry=registry)
    lock.acquire()
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    assert not lock.locked()
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 1
