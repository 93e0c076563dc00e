"""The watchdog distinguishes deadlocks from stalls, lists waits and holders, and reports each once."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from thread_samples import PATIENCE, read, running, until, waiting

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.watch.incidents import Incident
from mnemoscope.instrumentation.locks.watch.waits import make_endable, under_way
from mnemoscope.instrumentation.locks.watch.watchdog import Watchdog, watchdog
from mnemoscope.instrumentation.recording.registry import Registry


class Enough(Exception):
    """Ends a wait that would not end."""


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """Give the watchdog a limit that no wait reaches before the test changes it, and restore it afterwards."""
    before = watchdog.limit
    watchdog.incidents.clear()
    scope.configure_locks(stall_seconds=3600)
    yield
    scope.configure_locks(stall_seconds=before)
    watchdog.incidents.clear()


def lose_patience() -> None:
    """Set a limit that every wait under way exceeds."""
    scope.configure_locks(stall_seconds=0.001)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Wait until the watchdog has looked three more times."""
    looked: list[None] = []
    look = watchdog.look

    def counted() -> list[Incident]:
        found = look()
        looked.append(None)
        return found

    def three_more() -> None:
        goal = len(looked) + 3
        until(lambda: len(looked) >= goal)

    monkeypatch.setattr(watchdog, "look", counted)
    return three_more


@contextmanager
def interrupted(registry: Registry, waits: int, found: Callable[[], object]) -> Iterator[None]:
    """Let the main thread deadlock in the block, and end its wait after the watchdog has found it."""
    main = threading.get_ident()

    def end() -> None:
        try:
            waiting(registry, waits)
            lose_patience()
            found()
        finally:
            for wait in under_way():
                if wait.waiter.thread == main:
                    wait.end(Enough())

    make_endable(True)
    try:
        with running(end), pytest.raises(Enough):
            yield
    finally:
        make_endable(False)


def cross(first: Any, second: Any, meeting: threading.Barrier) -> None:
    """Take one lock, meet the other thread, and wait for the other lock."""
    with first:
        meeting.wait()
        with second:
            pass


def deadlocked(registry: Registry) -> bool:
    return read(registry, catalog.LOCK_DEADLOCKS) == 1


@pytest.mark.parametrize("kind", ["Lock", "RLock", "observed", "RWLock"])
def test_two_threads_that_wait_for_each_other_are_one_deadlock(
    kind: str, caplog: pytest.LogCaptureFixture, looks: Callable[[], None]
) -> None:
    registry = Registry()

    def make(name: str) -> Any:
        if kind == "observed":
            return scope.observe_lock(threading.Lock(), name, registry=registry)
        lock = getattr(scope, kind)(name, registry=registry)
        return lock.write() if kind == "RWLock" else lock

    a, b = make("a"), make("b")
    assert read(registry, catalog.LOCK_DEADLOCKS) == 0
    meeting = threading.Barrier(2, timeout=PATIENCE)

    def found() -> None:
        until(lambda: deadlocked(registry))
        looks()

    with (
        caplog.at_level(logging.WARNING, "mnemoscope"),
        running(lambda: cross(a, b, meeting)),
        interrupted(registry, 2, found),
    ):
        cross(b, a, meeting)
    assert read(registry, catalog.LOCK_DEADLOCKS) == 1
    assert read(registry, catalog.LOCK_STALLS) == 0
    (incident,) = watchdog.incidents
    assert incident.kind == "deadlock"
    assert {wait.lock for wait in incident.waits} == {"a", "b"}
    assert {wait.by for wait in incident.waits} == {holder for wait in incident.waits for holder, _ in wait.holders}
    for wait in incident.waits:
        assert "cross" in wait.stack[-1]
        ((holder, stack),) = wait.holders
        assert holder.startswith(("thread Thread-", "thread MainThread"))
        assert "cross" in stack[-1]
    watchdog.log()
    assert caplog.text.count("deadlock: ") == 1


def test_a_thread_that_waits_for_itself_is_a_deadlock() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    with interrupted(registry, 1, lambda: until(lambda: deadlocked(registry))), lock:
        lock.acquire()
    assert read(registry, catalog.LOCK_STALLS) == 0


def test_a_long_hold_is_a_stall_for_each_that_waits_and_is_logged_once(
    caplog: pytest.LogCaptureFixture, looks: Callable[[], None]
) -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)

    def use() -> None:
        with lock:
            pass

    with caplog.at_level(logging.WARNING, "mnemoscope"), running(use, use, use):
        pass
    lock.acquire()
    with caplog.at_level(logging.WARNING, "mnemoscope"), running(use):
        waiting(registry, 1)
        lose_patience()
        until(lambda: read(registry, catalog.LOCK_STALLS, lock="episodes") == 1)
        with running(use, use):
            until(lambda: read(registry, catalog.LOCK_STALLS, lock="episodes") == 3)
            looks()
            lock.release()
    assert read(registry, catalog.LOCK_STALLS) == 3
    assert read(registry, catalog.LOCK_DEADLOCKS) == 0
    assert {incident.kind for incident in watchdog.incidents} == {"stall"}
    holder, stack = watchdog.incidents[0].waits[0].holders[0]
    assert holder == "thread MainThread"
    assert any("test_a_long_hold" in place for place in stack)
    watchdog.log()
    assert caplog.text.count("stall: ") == 1, "those that come later join it"


def test_what_waits_behind_a_deadlock_stalls() -> None:
    registry = Registry()
    a, b = scope.Lock("a", registry=registry), scope.Lock("b", registry=registry)
    meeting = threading.Barrier(2, timeout=PATIENCE)

    def behind() -> None:
        until(lambda: deadlocked(registry))
        with a:
            pass

    with (
        running(lambda: cross(a, b, meeting), behind),
        interrupted(registry, 2, lambda: until(lambda: read(registry, catalog.LOCK_STALLS, lock="a") == 1)),
    ):
        cross(b, a, meeting)
    assert read(registry, catalog.LOCK_DEADLOCKS) == 1


def test_a_cycle_through_readers_and_a_writer_in_line_is_found() -> None:
    registry = Registry()
    index, lock = scope.RWLock("index", registry=registry), scope.Lock("episodes", registry=registry)

    def reader_last() -> None:
        with lock:
            until(lambda: read(registry, catalog.LOCK_WAITERS, mode="write") == 1)
            with index.read():
                pass

    def writer() -> None:
        until(lambda: index.readers == 1)
        with index.write():
            pass

    with (
        running(reader_last, writer),
        interrupted(registry, 3, lambda: until(lambda: deadlocked(registry))),
        index.read(),
    ):
        until(lambda: lock.locked() and read(registry, catalog.LOCK_WAITERS, mode="write") == 1)
        lock.acquire()
    (deadlock,) = [incident for incident in watchdog.incidents if incident.kind == "deadlock"]
    assert sorted((wait.lock, wait.mode) for wait in deadlock.waits) == [
        ("episodes", "exclusive"),
        ("index", "read"),
        ("index", "write"),
    ]


def test_a_semaphore_that_is_not_given_back_is_only_a_stall() -> None:
    registry = Registry()
    permits = scope.Semaphore(0, "connections", registry=registry)
    with running(permits.acquire):
        waiting(registry)
        lose_patience()
        until(lambda: read(registry, catalog.LOCK_STALLS, lock="connections") == 1)
        permits.release()
    assert read(registry, catalog.LOCK_DEADLOCKS) == 0


def test_short_waits_are_no_incident() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    looking = Watchdog(limit=3600.0)
    lock.acquire()
    with running(lambda: lock.acquire()):
        waiting(registry)
        assert looking.look() == []
        lock.release()
    assert read(registry, catalog.LOCK_STALLS) == 0


def test_debug_locks_is_served_only_where_that_is_switched_on() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    with lock, running(lambda: lock.acquire() and lock.release()) as threads:
        waiting(registry)
        with (
            scope.serve(0, registry=registry, debug_locks=True) as server,
            urllib.request.urlopen(f"{server.url}/debug/locks") as response,
        ):
            assert response.headers["Content-Type"].startswith("application/json")
            document = json.load(response)
        with scope.serve(0, registry=registry) as closed, pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{closed.url}/debug/locks")
        (wait,) = document["waiting"]
        lock.release()
        threads[0].join()
        lock.acquire()
    assert (wait["lock"], wait["blocked_by"]) == ("episodes", ["thread MainThread"])
    assert wait["seconds"] >= 0
    assert set(document) == {
        *("order", "stall_seconds", "classes", "edges", "inversions", "held", "waiting", "incidents"),
    }


def test_a_blocked_event_loop_is_seen_too() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)

    async def blocks() -> None:
        with lock:  # not awaited: the loop stands still meanwhile
            pass

    lock.acquire()
    with running(lambda: asyncio.run(blocks())):
        waiting(registry)
        lose_patience()
        until(lambda: read(registry, catalog.LOCK_STALLS, lock="episodes") == 1)
        lock.release()
    (wait,) = watchdog.incidents[-1].waits
    assert "blocks" in wait.stack[-1]
