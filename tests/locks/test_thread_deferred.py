"""Deferred writes are applied once, in order, by the thread that takes the lock next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from thread_samples import PATIENCE, read, running, waiting

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.recording.registry import Registry


def held_elsewhere(lock: Any, action: Callable[[], object]) -> None:
    """Run it in this thread while another thread holds the lock."""

    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            assert done.wait(PATIENCE)

    with running(hold):
        assert held.wait(PATIENCE)
        try:
            action()
        finally:
            done.set()


@pytest.mark.parametrize("kind", ["lock", "rlock", "write"])
def test_a_write_that_finds_the_lock_taken_is_deferred_and_goes_first_next_time(kind: str) -> None:
    registry = Registry()
    lock: Any = {
        "lock": lambda: scope.Lock("episodes", registry=registry),
        "rlock": lambda: scope.RLock("episodes", registry=registry),
        "write": lambda: scope.RWLock("episodes", registry=registry).write(),
    }[kind]()
    writes = scope.DeferredWrites(lock)
    done: list[int] = []
    assert writes.do(done.append, 0) is True
    held_elsewhere(lock, lambda: [writes.do(done.append, i) for i in (1, 2)])
    assert done == [0]
    assert writes.depth == read(registry, catalog.LOCK_DEFERRED_DEPTH, lock="episodes") == 2
    assert read(registry, catalog.LOCK_DEFERRED, lock="episodes") == 2
    assert writes.do(done.append, 3) is True
    assert done == [0, 1, 2, 3]
    assert writes.depth == 0
    assert not lock.locked()


def test_a_block_and_a_flush_apply_what_was_deferred() -> None:
    lock = scope.Lock("episodes", registry=Registry())
    writes = scope.DeferredWrites(lock)
    done: list[int] = []

    def refused() -> None:
        assert writes.do(done.append, 1) is False
        assert writes.flush(timeout=0.01) is False

    held_elsewhere(lock, refused)
    with writes:
        assert lock.locked()
        assert done == [1]
        assert writes.do(done.append, 2) is False
    assert done == [1, 2], "what came during the block is applied at its end"
    assert writes.flush()


def test_a_full_queue_waits_for_the_lock() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    writes = scope.DeferredWrites(lock, limit=1)
    done: list[int] = []
    lock.acquire()
    assert writes.do(done.append, 1) is False
    with running(lambda: writes.do(done.append, 2)):
        waiting(registry)
        lock.release()
    assert done == [1, 2]


def test_a_write_that_fails_later_is_reported_and_does_not_stop_the_others() -> None:
    errors: list[Exception] = []
    lock = scope.Lock("episodes", registry=Registry())
    writes = scope.DeferredWrites(lock, on_error=errors.append)
    done: list[int] = []
    held_elsewhere(lock, lambda: (writes.do(int, "x"), writes.do(done.append, 1)))
    assert writes.flush()
    assert isinstance(errors[0], ValueError)
    assert done == [1]
    with pytest.raises(ValueError, match="invalid literal"):
        writes.do(int, "x")
    assert not lock.locked()


def test_a_late_failure_is_logged_unless_on_error_is_given(caplog: pytest.LogCaptureFixture) -> None:
    lock = scope.Lock("episodes", registry=Registry())
    writes = scope.DeferredWrites(lock)
    held_elsewhere(lock, lambda: writes.do(int, "x"))
    assert writes.flush()
    assert "had been deferred" in caplog.text


def test_no_write_is_lost_or_doubled_among_many_threads() -> None:
    lock = scope.Lock("episodes", registry=Registry())
    writes = scope.DeferredWrites(lock)
    done: list[tuple[int, int]] = []

    def write(thread: int) -> None:
        for i in range(300):
            writes.do(done.append, (thread, i))

    with running(*[lambda n=n: write(n) for n in range(6)]):
        pass
    writes.flush()
    assert len(done) == len(set(done)) == 1800
    for thread in range(6):
        mine = [i for t, i in done if t == thread]
        assert mine == sorted(mine), "one thread's writes keep their order"


class LetsGoSlowly:
    """A lock whose holder is overtaken between its last look at the deferred writes and its release."""

    def __init__(self, lock: scope.Lock) -> None:
        self._lock = lock
        self.meanwhile: Callable[[], object] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)

    def release(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        with running(meanwhile):
            pass
        self._lock.release()


@pytest.mark.parametrize("way", ["do", "flush", "block"])
def test_a_write_deferred_while_the_holder_is_letting_go_is_applied_by_the_holder(way: str) -> None:
    lock = LetsGoSlowly(scope.Lock("episodes", registry=Registry()))
    writes = scope.DeferredWrites(lock)
    done: list[str] = []
    lock.meanwhile = lambda: writes.do(done.append, "late")
    if way == "do":
        writes.do(done.append, "own")
    elif way == "flush":
        writes.flush()
    else:
        with writes:
            pass
    assert done[-1:] == ["late"]
    assert writes.depth == 0
