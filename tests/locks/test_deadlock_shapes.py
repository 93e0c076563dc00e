"""Real deadlocks of threads and of tasks are found once each; waits that end by themselves are not reported."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from thread_samples import PATIENCE, read, running, until, waiting

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.watch import waits
from mnemoscope.instrumentation.locks.watch.incidents import DEADLOCK, Incident
from mnemoscope.instrumentation.locks.watch.watchdog import watchdog
from mnemoscope.instrumentation.recording.registry import Registry


class Enough(Exception):
    """Ends a wait that would not end."""


@pytest.fixture(autouse=True)
def endable() -> Iterator[None]:
    """Make waits endable, and keep the watchdog from looking."""
    before = watchdog.limit
    scope.configure_locks(stall_seconds=3600)
    waits.make_endable(True)
    yield
    waits.make_endable(False)
    scope.configure_locks(stall_seconds=before)


def end_all() -> None:
    for wait in waits.under_way():
        wait.end(Enough())


def look(registry: Registry) -> list[Incident]:
    """Look several times, check that what was found was counted as often, and return it."""
    found = [incident for _ in range(3) for incident in watchdog.look_for_deadlocks()]
    assert all(incident.kind == DEADLOCK for incident in found)
    assert read(registry, catalog.LOCK_DEADLOCKS) == len(found)
    return found


Step = Callable[[], Any]


class Threads:
    """Threads that each take one lock, meet the others, and wait for another lock."""

    def __init__(self, *pairs: tuple[Step, Step]) -> None:
        self._pairs = pairs
        self._meeting = threading.Barrier(len(pairs), timeout=PATIENCE)

    def __enter__(self) -> None:
        self._running = running(*(lambda pair=pair: self._cross(*pair) for pair in self._pairs))  # type: ignore[misc]
        self._running.__enter__()

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)

    def _cross(self, first: Step, second: Step) -> None:
        with contextlib.suppress(Enough), first():
            self._meeting.wait()
            with second():
                pass


@contextlib.contextmanager
def asked(acquire: Callable[..., bool], release: Step, **arguments: Any) -> Iterator[None]:
    taken = acquire(**arguments)
    try:
        yield
    finally:
        if taken:
            release()


def in_a_ring(kinds: list[str], registry: Registry) -> list[tuple[Step, Step]]:
    """Return what each thread takes: a lock of each kind, and then the lock of the next thread."""

    def make(kind: str, number: int) -> Step:
        lock: Any = {
            "Lock": lambda: scope.Lock(f"l{number}", registry=registry),
            "RLock": lambda: scope.RLock(f"l{number}", registry=registry),
            "Condition": lambda: scope.Condition(name=f"l{number}", registry=registry),
            "observed": lambda: scope.observe_lock(threading.Lock(), f"l{number}", registry=registry),
            "write": lambda: scope.RWLock(f"l{number}", registry=registry).write(),
        }[kind]()
        return lambda: lock

    locks = [make(kind, number) for number, kind in enumerate(kinds)]
    return [(lock, locks[number - 1]) for number, lock in enumerate(locks)]


@pytest.mark.parametrize(
    "kinds",
    [
        ["Lock", "Lock"],
        ["RLock", "RLock"],
        ["Lock", "write"],
        ["Condition", "Lock"],
        ["Lock", "RLock", "write"],
        ["Condition", "observed", "Lock", "RLock"],
    ],
    ids=" ".join,
)
def test_each_ring_of_threads_is_found_once(kinds: list[str]) -> None:
    registry = Registry()
    with Threads(*in_a_ring(kinds, registry)):
        waiting(registry, len(kinds))
        (incident,) = look(registry)
        assert {wait.lock for wait in incident.waits} == {f"l{number}" for number in range(len(kinds))}
        end_all()
    assert waits.under_way() == []
    assert watchdog.look_for_deadlocks() == []


def test_a_reader_and_a_writer_that_wait_for_each_other_are_found_once() -> None:
    registry = Registry()
    index, lock = scope.RWLock("index", registry=registry), scope.Lock("episodes", registry=registry)
    with Threads((index.read, lambda: lock), (lambda: lock, index.write)):
        waiting(registry, 2)
        (incident,) = look(registry)
        assert {(wait.lock, wait.mode) for wait in incident.waits} == {("index", "write"), ("episodes", "exclusive")}
        end_all()


def test_of_many_readers_one_is_enough() -> None:
    registry = Registry()
    index, lock = scope.RWLock("index", registry=registry), scope.Lock("episodes", registry=registry)
    done = threading.Event()

    def reads() -> None:
        with index.read():
            done.wait(PATIENCE)

    with running(reads, reads, reads):
        until(lambda: index.readers == 3)
        with Threads((index.read, lambda: lock), (lambda: lock, index.write)):
            waiting(registry, 2)
            assert len(look(registry)) == 1
            end_all()
        done.set()


def test_a_condition_that_wakes_into_a_deadlock_is_found_once() -> None:
    registry = Registry()
    lock, condition = scope.Lock("episodes", registry=registry), scope.Condition(name="queue", registry=registry)
    sleeping = threading.Event()

    def sleeper() -> None:
        with contextlib.suppress(Enough), lock, condition:
            sleeping.set()
            condition.wait()

    def notifier() -> None:
        sleeping.wait(PATIENCE)
        with contextlib.suppress(Enough), condition:
            condition.notify()
            with lock:
                pass

    with running(sleeper, notifier):
        waiting(registry, 2)
        (incident,) = look(registry)
        assert {wait.lock for wait in incident.waits} == {"queue", "episodes"}
        # As with `threading`, `wait` comes back with its lock whatever is raised; so it is the other that ends.
        for wait in waits.under_way():
            if wait.lock.name == "episodes":
                wait.end(Enough())


def test_two_deadlocks_at_once_are_two_incidents() -> None:
    registry = Registry()
    with Threads(*in_a_ring(["Lock", "Lock"], registry)), Threads(*in_a_ring(["RLock", "RLock", "Lock"], registry)):
        waiting(registry, 5)
        assert sorted(len(incident.waits) for incident in look(registry)) == [2, 3]
        end_all()


@pytest.mark.parametrize("make", [scope.Lock, scope.RLock, lambda *a, **k: scope.RWLock(*a, **k).write()])
def test_a_wait_that_ends_by_itself_is_part_of_no_deadlock(make: Any) -> None:
    registry = Registry()
    a, b = make("a", registry=registry), make("b", registry=registry)
    limit = PATIENCE  # it is ended before
    with Threads((lambda: a, lambda: asked(b.acquire, b.release, timeout=limit)), (lambda: b, lambda: a)):
        waiting(registry, 2)
        assert look(registry) == []
        end_all()
    assert read(registry, catalog.LOCK_DEADLOCKS) == 0


def test_after_a_timed_wait_has_ended_nothing_is_left() -> None:
    registry = Registry()
    a, b = scope.Lock("a", registry=registry), scope.Lock("b", registry=registry)
    with Threads((lambda: a, lambda: asked(b.acquire, b.release, timeout=0.01)), (lambda: b, lambda: a)):
        pass
    assert look(registry) == []
    assert waits.under_way() == []


def test_a_pool_is_part_of_no_deadlock() -> None:
    registry = Registry()
    pool = scope.observe_lock(threading.Semaphore(2), "pool", registry=registry)
    lock = scope.Lock("episodes", registry=registry)
    with pool, running(pool.acquire):
        pass
    pool.release()
    permits = scope.Semaphore(1, "permits", registry=registry)
    for several in (pool, permits):
        several.acquire()
        with running(lambda several=several: (lock.acquire(), several.acquire(), several.acquire(), lock.release())):  # type: ignore[misc]
            until(lambda: lock.locked() and read(registry, catalog.LOCK_WAITERS) == 1)
            with running(lambda: (lock.acquire(), lock.release())):
                waiting(registry, 2)
                assert look(registry) == []
                several.release()
                several.release()
    assert read(registry, catalog.LOCK_DEADLOCKS) == 0


# Tasks ----------------------------------------------------------------------------------------------


async def crossing(first: Any, second: Any, meeting: asyncio.Barrier, limit: float | None = None) -> None:
    async with first:
        await meeting.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit), second:
                pass


async def deadlock(registry: Registry, locks: list[Any], limit: float | None = None) -> list[Incident]:
    """Return what is found while tasks wait for each other in a ring."""
    meeting = asyncio.Barrier(len(locks))
    tasks = [
        asyncio.create_task(crossing(lock, locks[number - 1], meeting, limit)) for number, lock in enumerate(locks)
    ]
    while len(waits.under_way()) < len(locks):
        await asyncio.sleep(0)
    found = await asyncio.to_thread(look, registry) if limit is None else []
    if limit is None:
        for task in tasks:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return found


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_each_ring_of_tasks_is_found_once(number: int) -> None:
    registry = Registry()
    locks = [scope.AsyncLock(f"l{n}", registry=registry) for n in range(number)]
    (incident,) = await deadlock(registry, locks)
    assert len(incident.waits) == number
    assert all("crossing" in wait.stack[-1] for wait in incident.waits)


async def test_readers_and_a_writer_among_tasks_are_found_once() -> None:
    registry = Registry()
    index, lock = scope.AsyncRWLock("index", registry=registry), scope.AsyncLock("episodes", registry=registry)
    meeting = asyncio.Barrier(2)
    pairs = [(index.read(), lock), (lock, index.write())]
    tasks = [asyncio.create_task(crossing(*pair, meeting)) for pair in pairs]
    while len(waits.under_way()) < 2:
        await asyncio.sleep(0)
    assert len(await asyncio.to_thread(look, registry)) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_tasks_whose_waits_have_limits_are_no_deadlock_once_those_are_over() -> None:
    registry = Registry()
    locks = [scope.AsyncLock(f"l{n}", registry=registry) for n in range(2)]
    await deadlock(registry, locks, limit=0.01)
    assert look(registry) == []
    assert waits.under_way() == []


async def test_two_deadlocks_of_tasks_at_once_are_two_incidents() -> None:
    registry = Registry()
    both = [[scope.AsyncLock(f"{which}{n}", registry=registry) for n in range(2)] for which in "ab"]
    meetings = [asyncio.Barrier(2), asyncio.Barrier(2)]
    tasks = [
        asyncio.create_task(crossing(locks[n], locks[1 - n], meeting))
        for locks, meeting in zip(both, meetings, strict=True)
        for n in range(2)
    ]
    while len(waits.under_way()) < 4:
        await asyncio.sleep(0)
    found = await asyncio.to_thread(look, registry)
    assert sorted(sorted(wait.lock for wait in incident.waits) for incident in found) == [["a0", "a1"], ["b0", "b1"]]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
