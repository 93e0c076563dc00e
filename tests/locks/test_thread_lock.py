"""`Lock` and `RLock` behave like the standard locks, and record how they are used."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any

import pytest
from thread_samples import read, running, seconds, until, waiting

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.recording.registry import Registry

LOCKS: list[Callable[..., Any]] = [scope.Lock, scope.RLock]
each_lock = pytest.mark.parametrize("make", LOCKS)


@each_lock
def test_a_lock_that_is_free_counts_a_wait_of_zero_and_a_hold(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(sys.modules[make.__module__], "perf_counter", lambda: now)
    registry = Registry()
    lock = make("episodes", registry=registry)
    for _ in range(3):
        with lock:
            now += 2.0**-20
    assert lock.acquire()
    now += 0.5
    lock.release()
    assert read(registry, catalog.LOCK_WAIT_DURATION, lock="episodes", mode="exclusive") == 4
    assert read(registry, catalog.LOCK_HOLD_DURATION, lock="episodes", mode="exclusive") == 4
    assert seconds(registry, catalog.LOCK_WAIT_DURATION) == 0
    assert seconds(registry, catalog.LOCK_HOLD_DURATION) == 0.5 + 3 * 2.0**-20
    assert read(registry, catalog.LOCK_CONTENDED) == 0


@each_lock
def test_a_wait_is_seen_while_it_lasts_and_recorded_afterwards(make: Callable[..., Any]) -> None:
    registry = Registry()
    lock = make("episodes", registry=registry)

    def use() -> None:
        with lock:
            pass

    with lock, running(use, use) as threads:
        waiting(registry, 2)
        assert read(registry, catalog.LOCK_WAITERS_PEAK) == 2
        lock.release()
        for thread in threads:
            thread.join()
        lock.acquire()
    assert read(registry, catalog.LOCK_WAITERS) == 0
    assert read(registry, catalog.LOCK_CONTENDED) == 2
    assert read(registry, catalog.LOCK_WAIT_DURATION) == 4
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 4
    assert seconds(registry, catalog.LOCK_WAIT_DURATION) > 0


@each_lock
def test_the_peak_of_waiters_outlives_them(make: Callable[..., Any]) -> None:
    registry = Registry()
    lock = make("episodes", registry=registry)

    def use() -> None:
        with lock:
            pass

    lock.acquire()
    with running(use, use, use):
        waiting(registry, 3)
        lock.release()
    assert read(registry, catalog.LOCK_WAITERS) == 0
    assert read(registry, catalog.LOCK_WAITERS_PEAK) == 3


@each_lock
def test_a_wait_that_reaches_its_limit_is_a_timeout(make: Callable[..., Any]) -> None:
    registry = Registry()
    lock = make("episodes", registry=registry)
    got: list[bool] = []
    with lock, running(*[lambda: got.append(lock.acquire(timeout=0.01))] * 3):
        pass
    assert got == [False] * 3
    assert read(registry, catalog.LOCK_TIMEOUTS) == read(registry, catalog.LOCK_CONTENDED) == 3


@each_lock
def test_a_try_is_neither_a_wait_nor_a_timeout(make: Callable[..., Any]) -> None:
    registry = Registry()
    lock = make("episodes", registry=registry)
    got: list[bool] = []
    with lock, running(lambda: got.extend((lock.acquire(blocking=False), lock.acquire(timeout=0)))):
        pass
    assert got == [False, False]
    assert read(registry, catalog.LOCK_TIMEOUTS) == read(registry, catalog.LOCK_CONTENDED) == 0
    assert read(registry, catalog.LOCK_WAIT_DURATION) == 1


@each_lock
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "arguments", [{"timeout": -2}, {"blocking": False, "timeout": 1}, {"timeout": 1e20}, {"timeout": "soon"}]
)
def test_bad_arguments_raise_what_the_standard_lock_raises(
    make: Callable[..., Any], arguments: dict[str, Any], held: bool
) -> None:
    lock = make("episodes", registry=Registry())
    if held:
        lock.acquire()
    with pytest.raises(Exception) as standard:  # whatever it is
        threading.Lock().acquire(**arguments)
    with pytest.raises(standard.type) as ours:
        lock.acquire(**arguments)
    assert str(ours.value) == str(standard.value)
    assert lock.locked() is held


def test_releasing_a_free_lock_raises_and_leaves_the_lock_usable() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    with pytest.raises(RuntimeError, match="unlocked"):
        lock.release()
    with pytest.raises(RuntimeError, match="unlocked"), lock:
        lock.release()
    with lock:
        assert lock.locked()
    assert not lock.locked()


def test_an_rlock_is_released_only_by_its_holder() -> None:
    lock = scope.RLock("episodes", registry=Registry())
    errors: list[Exception] = []

    def release() -> None:
        try:
            lock.release()
        except RuntimeError as error:
            errors.append(error)

    with lock, lock, running(release):
        pass
    assert "un-acquired" in str(errors[0])
    assert not lock.locked()


def test_an_rlock_is_held_once_however_deep() -> None:
    registry = Registry()
    lock = scope.RLock("episodes", registry=registry)
    with lock, lock, lock:
        assert lock._recursion_count() == 3
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 1
    assert read(registry, catalog.LOCK_WAIT_DURATION) == 1


def test_a_lock_may_be_released_by_another_thread() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    lock.acquire()
    with running(lock.release):
        pass
    assert not lock.locked()
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 1


def test_a_lock_without_a_name_is_named_after_the_place_that_made_it() -> None:
    lock, line = scope.Lock(registry=Registry()), test_a_lock_without_a_name_is_named_after_the_place_that_made_it
    expected = f"locks/test_thread_lock.py:{line.__code__.co_firstlineno + 1}"
    assert lock.name == expected
    condition: Any = scope.Condition(registry=Registry())
    assert condition._lock.name == expected.replace(lock.name.rpartition(":")[2], str(line.__code__.co_firstlineno + 4))


def test_counts_survive_the_locks_that_made_them() -> None:
    registry = Registry()
    for _ in range(100):
        with scope.Lock("node", registry=registry):
            pass
    kept = scope.Lock("node", registry=registry)
    with kept:
        pass
    gc.collect()
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 101
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 101, "nothing is counted twice"


def test_a_lock_dies_with_its_last_reference() -> None:
    gc.disable()
    try:
        lock = scope.Lock("node", registry=Registry())
        with lock:
            pass
        gone = weakref.ref(lock)
        del lock
        assert gone() is None, "no garbage collection is needed"
    finally:
        gc.enable()


def test_clearing_a_registry_forgets_what_locks_had_counted() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    with lock:
        pass
    registry.clear()
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 0
    with lock:
        pass
    assert read(registry, catalog.LOCK_HOLD_DURATION) == read(registry, catalog.LOCK_WAIT_DURATION) == 1


def test_many_threads_lose_no_update_and_no_count() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    value = 0

    def add() -> None:
        nonlocal value
        for _ in range(2000):
            with lock:
                before = value
                value = before + 1

    with running(*[add] * 8):
        for _ in range(20):
            registry.snapshot()
    assert value == 16000
    assert read(registry, catalog.LOCK_HOLD_DURATION) == read(registry, catalog.LOCK_WAIT_DURATION) == 16000


@pytest.mark.parametrize("make", [scope.Lock, scope.RLock])
def test_a_holder_that_fails_poisons_the_lock_until_it_is_recovered(make: Callable[..., Any]) -> None:
    registry = Registry()
    lock = make("warm tier", poison=True, registry=registry)
    with pytest.raises(KeyError), lock:
        raise KeyError("halfway")
    assert lock.poisoned
    with pytest.raises(RuntimeError, match="un-acquired"):
        lock.recover()
    assert read(registry, catalog.LOCK_POISONED) == 0
    with lock:
        lock.recover()
        lock.recover()
    assert not lock.poisoned
    assert read(registry, catalog.LOCK_POISONED) == 1


def test_a_lock_is_poisoned_only_if_it_is_made_with_poison() -> None:
    lock = scope.Lock("episodes", registry=Registry())
    with pytest.raises(KeyError), lock:
        raise KeyError("halfway")
    assert not lock.poisoned


def test_subclasses_may_extend_what_a_lock_does() -> None:
    calls: list[str] = []

    class Logged(scope.Lock):
        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            calls.append("acquire")
            return super().acquire(blocking, timeout)

        def __enter__(self) -> bool:
            return self.acquire()

    lock = Logged("episodes", registry=Registry())
    with lock:
        assert lock.locked()
    assert calls == ["acquire"]


@each_lock
def test_a_lock_cannot_be_pickled_as_the_standard_one_cannot(make: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(make("episodes", registry=Registry()))


def test_a_wait_that_a_signal_breaks_off_is_no_longer_counted_as_one() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)

    def interrupt(number: int, frame: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        lock.acquire()
        with (
            running(lambda: (waiting(registry), os.kill(os.getpid(), signal.SIGUSR1))),
            pytest.raises(InterruptedError),
        ):
            lock.acquire()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert read(registry, catalog.LOCK_WAITERS) == read(registry, catalog.LOCK_TIMEOUTS) == 0
    lock.release()
    with lock:
        pass


def test_a_forked_child_starts_with_no_waits_and_can_use_a_lock_that_was_free() -> None:
    registry = Registry()
    lock, busy = scope.Lock("free", registry=registry), scope.Lock("busy", registry=registry)
    with busy, running(lambda: busy.acquire() and busy.release()) as threads:
        waiting(registry)
        child = os.fork()
        if child == 0:
            with lock:
                pass
            busy._at_fork_reinit()
            with busy:
                pass
            ok = not scope.debug_locks()["waiting"] and read(registry, catalog.LOCK_WAITERS) == 0
            os._exit(0 if ok else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        busy.release()
        threads[0].join()
        busy.acquire()


def test_a_series_that_fell_asleep_wakes_with_its_total_when_its_lock_is_used() -> None:
    registry = Registry(expire_idle=0.01)
    lock = scope.Lock("episodes", registry=registry)
    with lock:
        pass
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 1
    until(lambda: read(registry, catalog.LOCK_HOLD_DURATION) == 0)
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 0, "unused, it stays asleep"
    with lock:
        pass
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 2


def test_locks_past_the_cap_on_label_sets_are_counted_together_and_none_is_lost() -> None:
    registry = Registry(max_label_sets=3)
    locks = [scope.Lock(f"lock {number}", registry=registry) for number in range(10)]
    for lock in locks:
        with lock:
            pass
    assert read(registry, catalog.LOCK_HOLD_DURATION) == read(registry, catalog.LOCK_WAIT_DURATION) == 10
    assert read(registry, catalog.LOCK_HOLD_DURATION, lock="other") == 7
    assert locks[-1].name == "lock 9"


@pytest.mark.parametrize(
    "make",
    [
        lambda: scope.Lock("a", registry=Registry()),
        lambda: scope.RLock("a", registry=Registry()),
        lambda: scope.BoundedSemaphore(1, "a", registry=Registry()),
        lambda: scope.Condition(name="a", registry=Registry()),
        lambda: scope.RWLock("a", registry=Registry()).read(),
        lambda: scope.RWLock("a", registry=Registry()).write(),
    ],
)
def test_a_lock_may_be_entered_through_an_exit_stack(make: Callable[[], Any]) -> None:
    lock = make()
    with ExitStack() as stack:
        stack.enter_context(lock)
        with pytest.raises(ZeroDivisionError), lock if isinstance(lock, scope.Condition) else nullcontext():
            raise ZeroDivisionError
    assert lock.acquire(False), "it was released"
    lock.release()
