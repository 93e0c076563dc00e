"""Semaphores and conditions behave like the standard ones, and record how they are used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from thread_samples import PATIENCE, read, running, waiting

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.recording.registry import Registry

each_semaphore = pytest.mark.parametrize("make", [scope.Semaphore, scope.BoundedSemaphore])


@each_semaphore
def test_a_semaphore_records_its_waits_and_holds(make: Callable[..., Any]) -> None:
    registry = Registry()
    permits = make(2, "connections", registry=registry)
    assert isinstance(permits, threading.Semaphore)
    got: list[bool] = []
    with permits, permits:
        with running(lambda: got.append(permits.acquire(timeout=0.01)), lambda: got.append(permits.acquire(False))):
            pass
        with running(lambda: (permits.acquire(), permits.release())):
            waiting(registry)
            permits.release()
        permits.acquire()
    assert got == [False, False]
    assert read(registry, catalog.LOCK_TIMEOUTS, lock="connections") == 1
    assert read(registry, catalog.LOCK_CONTENDED) == 2
    assert read(registry, catalog.LOCK_WAIT_DURATION) == read(registry, catalog.LOCK_HOLD_DURATION) == 4


def test_a_semaphore_used_as_a_signal_has_no_holds() -> None:
    registry = Registry()
    signal = scope.Semaphore(0, "work", registry=registry)
    signal.release(3)
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 0
    assert signal.acquire(timeout=PATIENCE)


def test_a_bounded_semaphore_refuses_what_was_never_taken() -> None:
    with pytest.raises(ValueError, match="too many"):
        scope.BoundedSemaphore(1, "connections", registry=Registry()).release()
    with pytest.raises(ValueError, match=">= 0"):
        scope.Semaphore(-1, registry=Registry())


def test_a_condition_waits_and_notifies_and_records_only_its_lock() -> None:
    registry = Registry()
    changed = scope.Condition(name="queue", registry=registry)
    items: list[int] = []

    def take() -> None:
        with changed:
            assert changed.wait_for(lambda: items, PATIENCE)
            items.pop()

    with running(take), changed:
        items.append(1)
        changed.notify()
    assert items == []
    assert read(registry, catalog.LOCK_HOLD_DURATION, lock="queue") >= 2
    assert read(registry, catalog.LOCK_TIMEOUTS) == 0


def test_a_condition_takes_a_lock_that_is_given() -> None:
    registry = Registry()
    lock = scope.Lock("shared", registry=registry)
    changed = scope.Condition(lock)
    with changed:
        assert lock.locked()
        assert not changed.wait(timeout=0.01)
    assert read(registry, catalog.LOCK_HOLD_DURATION, lock="shared") >= 2
    with pytest.raises(RuntimeError, match="un-acquired"):
        changed.notify()
