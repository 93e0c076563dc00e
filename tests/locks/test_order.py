"""A cycle in the order of locks is reported once, with its stacks, even if it never deadlocked."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from thread_samples import read, running, until

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.watch import order
from mnemoscope.instrumentation.locks.watch.holders import place_of, tracker
from mnemoscope.instrumentation.locks.watch.watchdog import watchdog
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = pytest.mark.usefixtures("tracked")


def locks(*names: str) -> tuple[Registry, list[Any]]:
    registry = Registry()
    return registry, [scope.Lock(name, registry=registry) for name in names]


def take(*taken: Any) -> None:
    """Take locks in this order, and release them."""
    if taken:
        with taken[0]:
            take(*taken[1:])


def held() -> list[tuple[str, str, str]]:
    """Return what is held, by which thread, and where it was taken."""
    return [(hold.lock.name, str(holder), str(place_of(hold))) for holder in tracker.holders for hold in holder.holds()]


def classes() -> list[tuple[str, ...]]:
    return [inversion.classes for inversion in order.inversions]


def test_two_locks_taken_in_both_orders_are_reported_once_with_both_stacks(caplog: pytest.LogCaptureFixture) -> None:
    registry, (episodes, index) = locks("episodes", "index")

    def forward() -> None:
        with episodes, index:
            pass

    def backward() -> None:
        with index, episodes:
            pass

    with caplog.at_level(logging.WARNING, "mnemoscope"):
        for _ in range(3):
            forward()
            backward()
        watchdog.log()
    (inversion,) = order.inversions
    assert set(inversion.classes) == {"episodes", "index"}
    stacks = {edge.first: edge.stack[-1] for edge in inversion.edges}
    assert stacks["episodes"].endswith("forward")
    assert stacks["index"].endswith("backward")
    assert all(__file__ in edge.held_at for edge in inversion.edges)
    assert read(registry, catalog.LOCK_ORDER_INVERSIONS, first="index", second="episodes") == 1
    assert read(registry, catalog.LOCK_ORDER_INVERSIONS) == 1
    assert caplog.text.count("lock order inversion") == 1
    assert "forward" in caplog.text
    assert "backward" in caplog.text


def test_one_order_is_no_inversion() -> None:
    _, (episodes, index) = locks("episodes", "index")
    take(episodes, index)
    take(episodes, index)
    take(index)
    assert classes() == []
    assert [(e.first, e.second) for after in order.edges.values() for e in after.values()] == [("episodes", "index")]


def test_a_cycle_of_three_is_found_though_no_pair_is_inverted() -> None:
    registry, (a, b, c) = locks("a", "b", "c")
    take(a, b)
    take(b, c)
    take(c, a)
    assert classes() == [("c", "a", "b")]
    assert read(registry, catalog.LOCK_ORDER_INVERSIONS, first="c", second="a") == 1


def test_threads_that_took_them_one_after_the_other_are_enough() -> None:
    _, (a, b) = locks("a", "b")
    with running(lambda: take(a, b)) as threads:
        threads[0].join()
        with running(lambda: take(b, a)):
            pass
    assert classes() == [("b", "a")]
    assert all("Thread-" in edge.by for edge in order.inversions[0].edges)


def test_a_try_lock_makes_no_edge_as_the_second_and_one_as_the_first() -> None:
    _, (a, b) = locks("a", "b")
    take(a, b)
    with b:
        assert a.acquire(blocking=False)
        a.release()
        assert a.acquire(timeout=0)
        a.release()
    assert classes() == []
    assert b.acquire(blocking=False)
    take(a)
    b.release()
    assert classes() == [("b", "a")]


def test_taking_a_reentrant_lock_again_makes_no_edge() -> None:
    registry = Registry()
    a, b = scope.RLock("a", registry=registry), scope.RWLock("b", registry=registry)
    with a, b.write(), a, b.write(), b.read():
        pass
    assert classes() == []


def test_two_locks_of_one_class_are_reported_unless_that_is_allowed() -> None:
    _, (first, second) = locks("account", "account")
    take(first, second)
    assert classes() == [("account",)]
    scope.configure_locks(nesting=["user"])
    _, (one, other) = locks("user", "user")
    take(one, other)
    take(other, one)
    assert classes() == [("account",)]


def test_a_lock_without_a_name_has_the_class_of_the_place_that_made_it() -> None:
    registry = Registry()
    pairs = [(scope.Lock(registry=registry), scope.Lock(registry=registry)) for _ in range(2)]
    (a, _), (c, _) = pairs
    take(a, c)
    (inversion,) = order.inversions
    assert inversion.classes == (a.name,)


@pytest.mark.parametrize("kind", ["observed", "observed re-entrant", "rlock", "read", "write", "condition"])
def test_every_kind_of_lock_has_a_place_in_the_order(kind: str) -> None:
    registry = Registry()
    a = scope.Lock("a", registry=registry)
    b: Any = {
        "observed": lambda: scope.observe_lock(threading.Lock(), "b", registry=registry),
        "observed re-entrant": lambda: scope.observe_lock(threading.RLock(), "b", registry=registry),
        "rlock": lambda: scope.RLock("b", registry=registry),
        "read": lambda: scope.RWLock("b", registry=registry).read(),
        "write": lambda: scope.RWLock("b", registry=registry).write(),
        "condition": lambda: scope.Condition(name="b", registry=registry),
    }[kind]()
    take(a, b)
    take(b, a)
    assert classes() == [("b", "a")]
    assert all(edge.stack[-1].endswith("in take") for edge in order.inversions[0].edges)
    assert held() == []


def test_a_lock_that_another_thread_releases_is_held_no_more() -> None:
    _, (a, b) = locks("a", "b")
    a.acquire()
    with running(a.release):
        pass
    assert held() == []
    take(b, a)
    take(b)
    assert classes() == []


def test_what_is_held_can_be_seen() -> None:
    _, (a,) = locks("a")
    with a:
        ((name, by, at),) = held()
        document = scope.debug_locks()
    assert (name, by) == ("a", "thread MainThread")
    assert "test_what_is_held_can_be_seen" in at
    assert document["held"] == [{"lock": "a", "by": by, "at": at}]
    assert document["order"] == "on"


def test_what_was_taken_while_tracking_was_off_leaves_nothing_behind() -> None:
    _, (a, b) = locks("a", "b")
    scope.configure_locks(order="off")
    a.acquire()
    b.acquire()
    scope.configure_locks(order="on")
    a.release()
    with a:
        scope.configure_locks(order="off")
    scope.configure_locks(order="on")
    b.release()
    take(a)
    take(b)
    assert held() == []
    assert classes() == []


def test_sampling_finds_an_inversion_in_time() -> None:
    _, (a, b) = locks("a", "b")
    scope.configure_locks(order="sample")

    def found() -> bool:
        take(a, b)
        take(b, a)
        return bool(order.inversions)

    until(found)
    scope.configure_locks(order="off")
    assert tracker.local is None


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="off, sample, on"):
        scope.configure_locks(order="sometimes")
    with pytest.raises(ValueError, match="above 0"):
        scope.configure_locks(stall_seconds=0)


@pytest.mark.parametrize(
    ("value", "expected"), [("on", "on"), ("off", "off"), ("perhaps", "off"), ("sample", "sample")]
)
def test_the_environment_sets_it_and_never_stops_a_service(value: str, expected: str) -> None:
    script = "import mnemoscope as scope; print(scope.debug_locks()['order'])"
    environment = {**os.environ, "MNEMOSCOPE_LOCK_ORDER": value}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
    assert ("is ignored" in done.stderr) == (value == "perhaps")


def test_counts_are_exact_while_the_order_is_tracked() -> None:
    registry, (lock,) = locks("episodes")

    def use() -> None:
        for _ in range(500):
            with lock:
                pass
            lock.acquire()
            lock.release()

    with running(*[use] * 4):
        pass
    assert read(registry, catalog.LOCK_HOLD_DURATION) == read(registry, catalog.LOCK_WAIT_DURATION) == 4000
    assert held() == []


@pytest.mark.parametrize("make", [scope.Lock, scope.RLock])
def test_a_lock_is_poisoned_just_as_well_while_the_order_is_tracked(make: Any) -> None:
    lock = make("warm tier", poison=True, registry=Registry())
    for _ in range(2):
        with pytest.raises(KeyError), lock:
            raise KeyError("halfway")
        assert lock.poisoned
        assert held() == []
        with lock:
            lock.recover()
        assert not lock.poisoned


def test_locks_released_in_the_order_of_taking_leave_nothing_behind() -> None:
    _, (a, b, c) = locks("a", "b", "c")
    for lock in (a, b, c):
        lock.__enter__()
    for lock in (a, b, c):
        lock.__exit__(None, None, None)
    assert held() == []
