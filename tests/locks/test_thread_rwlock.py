"""`RWLock` lets readers in together and writers alone, starves neither, and records each mode."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from thread_samples import PATIENCE, read, running, until, waiting

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.recording.registry import Registry


def make(**options: Any) -> tuple[Registry, scope.RWLock]:
    registry = Registry()
    return registry, scope.RWLock("spatiotemporal", registry=registry, **options)


def test_readers_hold_it_together() -> None:
    registry, lock = make()
    together = threading.Barrier(3, timeout=PATIENCE)

    def use() -> None:
        with lock.read():
            together.wait()

    with running(use, use), lock.read():
        assert lock.held() == "read"
        together.wait()
    assert not lock.locked()
    assert read(registry, catalog.LOCK_HOLD_DURATION, mode="read") == 3
    assert read(registry, catalog.LOCK_WAIT_DURATION, mode="read") == 3
    assert read(registry, catalog.LOCK_CONTENDED) == 0


def test_a_writer_is_alone() -> None:
    registry, lock = make()
    with lock.write():
        assert lock.held() == "write"
        results: list[bool] = []
        with running(lambda: results.extend((lock.acquire_read(False), lock.acquire_write(blocking=False)))):
            pass
        assert results == [False, False]
    with lock.read(), running(lambda: results.append(lock.acquire_write(timeout=0.01))):
        pass
    assert results[-1] is False
    assert read(registry, catalog.LOCK_TIMEOUTS, mode="write") == 1
    assert read(registry, catalog.LOCK_TIMEOUTS, mode="read") == 0


def test_a_writer_that_waits_goes_before_readers_that_come_after_it() -> None:
    registry, lock = make()
    order: list[str] = []

    def write() -> None:
        with lock.write():
            order.append("write")

    def read_() -> None:
        with lock.read():
            order.append("read")

    lock.acquire_read()
    with running(write):
        waiting(registry, 1)
        assert lock.acquire_read(), "a thread that reads may read again, even now"
        lock.release_read()
        with running(read_):
            waiting(registry, 2)
            assert order == []
            lock.release_read()
    assert order == ["write", "read"]
    assert read(registry, catalog.LOCK_WAIT_DURATION, mode="write") == 1


def test_readers_in_line_go_together_when_a_writer_lets_go_though_another_writer_waits() -> None:
    registry, lock = make()
    order: list[str] = []
    together = threading.Barrier(2, timeout=PATIENCE)

    def read_() -> None:
        with lock.read():
            together.wait()
            order.append("read")

    def write() -> None:
        with lock.write():
            order.append("write")

    lock.acquire_write()
    with running(write):
        waiting(registry, 1)
        with running(read_, read_):
            waiting(registry, 3)
            lock.release_write()
    assert order == ["read", "read", "write"]


@pytest.mark.parametrize("first", ["write", "read"])
def test_neither_side_starves_while_the_other_never_stops(first: str) -> None:
    _, lock = make()
    sides: dict[str, Callable[[], Any]] = {"read": lock.read, "write": lock.write}
    other = "read" if first == "write" else "write"
    stop = threading.Event()
    busy = threading.Semaphore(0)

    def hammer() -> None:
        while not stop.is_set():
            with sides[other]():
                busy.release()

    with running(*[hammer] * 4):
        for _ in range(8):
            busy.acquire()
        assert sides[first]().acquire(True, PATIENCE)
        sides[first]().release()
        stop.set()


def test_readers_behind_a_writer_that_gives_up_go_on() -> None:
    registry, lock = make()
    enough = threading.Event()
    got: list[bool] = []

    def write() -> None:
        while not enough.is_set():
            got.append(lock.acquire_write(timeout=0.05))

    def read_() -> None:
        with lock.read():
            pass

    def one_has_waited() -> bool:
        with running(read_):
            pass
        return read(registry, catalog.LOCK_CONTENDED, mode="read") > 0

    with lock.read(), running(write):
        until(one_has_waited)
        assert lock.held() == "read"
        enough.set()
    assert not any(got)


def test_taking_it_again_follows_the_rules() -> None:
    registry, lock = make()
    for acquire in (lock.acquire_write, lock.acquire_write, lock.acquire_read, lock.acquire_read):
        assert acquire()
    lock.release_write()
    assert lock.held() == "write"
    lock.release_write()
    assert lock.held() == "read", "the write was let go, the read goes on"
    with pytest.raises(RuntimeError, match="cannot write while reading"):
        lock.acquire_write(blocking=False)
    lock.release_read()
    lock.release_read()
    assert not lock.locked()
    assert read(registry, catalog.LOCK_HOLD_DURATION, mode="write") == 1
    assert read(registry, catalog.LOCK_HOLD_DURATION, mode="read") == 1


def test_bad_use_raises() -> None:
    _, lock = make()
    for release in (lock.release_read, lock.release_write):
        with pytest.raises(RuntimeError, match="un-acquired"):
            release()
    errors: list[RuntimeError] = []

    def release_anothers() -> None:
        for release in (lock.release_read, lock.release_write):
            try:
                release()
            except RuntimeError as error:
                errors.append(error)

    with lock.write(), running(release_anothers):
        pass
    assert len(errors) == 2
    for acquire in (lock.acquire_read, lock.acquire_write):
        with pytest.raises(ValueError, match="timeout"):
            acquire(timeout=-2)
        with pytest.raises(ValueError, match="non-blocking"):
            acquire(blocking=False, timeout=1)
    assert not lock.locked()


def test_a_writer_that_fails_poisons_it_and_a_reader_does_not() -> None:
    registry, lock = make(poison=True)
    with pytest.raises(KeyError), lock.read():
        raise KeyError("halfway")
    assert not lock.poisoned
    with pytest.raises(KeyError), lock.write():
        raise KeyError("halfway")
    assert lock.poisoned
    with lock.read(), pytest.raises(RuntimeError, match="un-acquired"):
        lock.recover()
    with lock.write():
        lock.recover()
    assert not lock.poisoned
    assert read(registry, catalog.LOCK_POISONED) == 1


def test_no_thread_reads_what_is_half_written() -> None:
    _, lock = make()
    pair = [0, 0]
    torn: list[tuple[int, int]] = []

    def write() -> None:
        for _ in range(300):
            with lock.write():
                pair[0] += 1
                pair[1] += 1

    def look() -> None:
        for _ in range(300):
            with lock.read():
                first, second = pair
                if first != second:
                    torn.append((first, second))

    with running(*[write] * 3, *[look] * 5):
        pass
    assert torn == []
    assert pair == [900, 900]
    assert not lock.locked()


def test_it_shows_readers_and_waiters() -> None:
    registry, lock = make()
    assert "unlocked" in repr(lock)
    lock.acquire_read()
    with running(lambda: (lock.acquire_write(), lock.release_write())):
        waiting(registry, 1)
        assert "read-locked" in repr(lock)
        assert "waiting=1" in repr(lock)
        assert lock.readers == 1
        lock.release_read()
    assert "unlocked" in repr(lock)
    assert "waiting=0" in repr(lock)


@pytest.mark.parametrize("main", ["read", "write"])
def test_a_signal_handler_may_try_to_read_in_the_middle_of_any_use(main: str) -> None:
    lock = scope.RWLock("index", registry=Registry())
    stop, reads = threading.Event(), 0

    def handle(_number: int, _frame: object) -> None:
        nonlocal reads
        if lock.acquire_read(blocking=False):
            reads += 1
            lock.release_read()

    def use(side: Callable[[], Any]) -> None:
        while not stop.is_set():
            with side():
                sum(range(50))

    before, interval = signal.signal(signal.SIGALRM, handle), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with running(lambda: use(lock.read), lambda: use(lock.write)):
            for number in range(3000):
                signal.setitimer(signal.ITIMER_REAL, 2e-5 + number % 23 * 4e-6)
                for _ in range(3):
                    with getattr(lock, main)():
                        pass
            stop.set()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.setswitchinterval(interval)
    assert reads > 0
    assert lock.acquire_write(False)
    lock.release_write()
