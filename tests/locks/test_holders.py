"""Holds are known while they are tracked, and nothing of them is kept afterwards."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from types import FrameType
from typing import Any

import pytest
from thread_samples import PATIENCE, running

import mnemoscope as scope
from mnemoscope.instrumentation.locks import settings
from mnemoscope.instrumentation.locks.watch import holders as module
from mnemoscope.instrumentation.locks.watch import order, thread_or_task
from mnemoscope.instrumentation.locks.watch.holders import Hold, Holder, Holders, tracker
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = [pytest.mark.usefixtures("tracked"), pytest.mark.slow]


def lock_of(kind: str, registry: Registry) -> Any:
    if kind == "RWLock":
        return scope.RWLock("a", registry=registry).write()
    if kind == "observed":
        return scope.observe_lock(threading.Lock(), "a", registry=registry)
    return getattr(scope, kind)("a", registry=registry)


@pytest.mark.parametrize("kind", ["Lock", "RLock", "RWLock", "observed"])
@pytest.mark.parametrize("switches", [["off"], ["off", "on"], ["sample", "off"], ["sample", "on", "off"]])
def test_switching_while_locks_are_held_keeps_nothing(kind: str, switches: list[str]) -> None:
    registry = Registry()

    class Marker:
        """A local variable of the frame that takes the lock."""

    def use() -> tuple[weakref.ref[Any], weakref.ref[Any]]:
        marker, first, second = Marker(), lock_of(kind, registry), lock_of(kind, registry)
        with first, second:
            for value in switches:
                scope.configure_locks(order=value)
        with first:
            pass
        return weakref.ref(marker), weakref.ref(getattr(first, "_lock", first) if kind == "RWLock" else first)

    with_frame, lock = use()
    gc.collect()
    assert with_frame() is None
    assert lock() is None
    assert list(tracker.holders) == []
    assert [o for o in gc.get_objects() if type(o) is Hold] == []
    assert [o for o in gc.get_objects() if type(o) is Holder and o.holds()] == []


def test_a_dead_thread_whose_identity_is_used_again_makes_no_edge() -> None:
    registry = Registry()
    kept, other = scope.Lock("kept", registry=registry), scope.Lock("other", registry=registry)
    identities: list[int] = []

    def dies_with_it() -> None:
        identities.append(threading.get_ident())
        kept.acquire()

    def comes_later() -> None:
        with other:
            identities.append(threading.get_ident())

    with running(dies_with_it):
        pass
    for _ in range(100_000):
        with running(comes_later) as threads:
            threads[0].join(PATIENCE)
        if identities[-1] == identities[0]:
            break
    assert identities[-1] == identities[0], "the system has given no identity twice"
    assert order.edges == {}
    # The lock of the dead thread is still known to be held, and by that thread.
    ((holder, hold),) = [(holder, hold) for holder in tracker.holders for hold in holder.holds()]
    assert hold.lock is kept
    assert holder.has_ended()
    kept.release()
    assert list(tracker.holders) == []


def test_switching_takes_the_same_work_however_many_locks_there_are() -> None:
    def work() -> int:
        number = 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal number
            frame.f_trace_opcodes = True
            number += event == "opcode"
            return trace

        sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for this as tracing begins
        before = sys.gettrace()
        sys.settrace(trace)
        tracker.switch(on=False)
        tracker.switch(on=True)
        sys.settrace(before)
        return number

    work()  # what is done once
    few = work()
    registry = Registry()
    many = [scope.Lock("one class", registry=registry) for _ in range(300)]
    for lock in many:
        lock.acquire()
    assert work() == few
    for lock in many:
        lock.release()


def test_threads_that_ended_are_dropped_with_work_in_proportion_to_the_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[None] = []
    alive = dict.fromkeys(range(3000))

    class Sys:
        @staticmethod
        def _current_frames() -> dict[int, None]:
            looks.append(None)
            return alive

    monkeypatch.setattr(module, "sys", Sys)
    holders = Holders()
    for thread in range(3000):
        holders.of_new_thread(thread)
    assert len(looks) <= 6  # each time when the threads have doubled
    alive.clear()
    for thread in range(3000, 9000):
        holders.of_new_thread(thread)
    assert len(holders.threads) <= 6000


async def test_tasks_that_hold_nothing_are_not_kept() -> None:
    registry = Registry()
    lock, plain = scope.AsyncLock("tasks", registry=registry), scope.Lock("threads", registry=registry)

    async def use() -> None:
        with plain:
            pass
        async with lock:
            pass

    await lock.acquire()
    tasks = [asyncio.create_task(use()) for _ in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    lock.release()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert tracker.holders.tasks == {}


async def test_what_a_task_took_in_one_window_does_not_hide_what_it_holds_in_the_next() -> None:
    registry = Registry()
    first, second, third = (scope.AsyncLock(name, registry=registry) for name in "abc")
    await first.acquire()
    tracker.switch(on=True)
    await second.acquire()
    first.release()
    async with third:
        pass
    second.release()
    assert [(edge.first, edge.second) for after in order.edges.values() for edge in after.values()] == [("b", "c")]


def test_names_made_at_run_time_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "MAX_EDGES", 10)
    registry = Registry()
    for number in range(50):
        with scope.Lock(f"user {number}", registry=registry), scope.Lock("table", registry=registry):
            pass
    assert sum(map(len, order.edges.values())) == 10
    assert len(order.edges) == 10


def test_sampling_is_two_switches_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    class Tracker:
        def switch(self, *, on: bool) -> None:
            events.append("on" if on else "off")

    class Stop:
        def wait(self, seconds: float) -> bool:
            events.append(f"{seconds:.2f}")
            return len(events) >= 9

    class Time:
        @staticmethod
        def sleep(seconds: float) -> None:
            events.append(f"{seconds:.2f}")

    sampler = settings._Sampler()
    monkeypatch.setattr(settings, "tracker", Tracker())
    monkeypatch.setattr(settings, "time", Time)
    sampler._stop = Stop()  # type: ignore[assignment]
    sampler._run()
    assert events == ["0.98", "on", "0.02", "off", "0.98", "on", "0.02", "off", "0.98"]
    monkeypatch.undo()


def test_threads_are_described_by_name_without_waiting_for_the_lock_of_threading() -> None:
    import _thread

    found: list[str] = []
    done = threading.Event()

    def plain(*, dummy: bool) -> None:
        if dummy:
            threading.current_thread().name = "Dummy of a test"
        found.append(thread_or_task.name_of(threading.get_ident()))
        done.set()

    with threading._active_limbo_lock:  # type: ignore[attr-defined]
        # In another thread, for the lock is re-entrant.
        _thread.start_new_thread(plain, (), {"dummy": False})
        assert done.wait(PATIENCE)
    done.clear()
    _thread.start_new_thread(plain, (), {"dummy": True})
    assert done.wait(PATIENCE)
    assert found[0].removeprefix("thread ").isdigit()
    assert found[1] == "thread Dummy of a test"
    assert thread_or_task.name_of(threading.get_ident()) == f"thread {threading.current_thread().name}"
    named = threading.Thread(target=lambda: found.append(thread_or_task.name_of(threading.get_ident())), name="by name")
    named.start()
    named.join(PATIENCE)
    assert found[2] == "thread by name"
    assert thread_or_task.name_of(-1) == "thread -1"
