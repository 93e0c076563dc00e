"""The watchdog tells deadlocks from stalls, says who waits for whom, and tells each once."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from thread_samples import PATIENCE, read, running, until, waiting

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.watchdog import Watchdog, watchdog
from mnemoscope.instrumentation.registry import Registry


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """A watchdog that takes 50 ms for long; as it was before, afterwards."""
    before = watchdog.limit
    watchdog.incidents.clear()
    scope.configure_locks(stall_seconds=0.05)
    yield
    scope.configure_locks(stall_seconds=before)
    watchdog.incidents.clear()


def cross(first: Any, second: Any, meeting: threading.Barrier, timeout: float) -> None:
    """Take one, meet, and ask for the other for so long."""
    with first:
        meeting.wait()
        if second.acquire(timeout=timeout):
            second.release()


@pytest.mark.parametrize("kind", ["Lock", "RLock", "observed", "RWLock"])
def test_two_threads_that_wait_for_each_other_are_one_deadlock(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()

    def make(name: str) -> Any:
        if kind == "observed":
            return scope.observe_lock(threading.Lock(), name, registry=registry)
        lock = getattr(scope, kind)(name, registry=registry)
        return lock.write() if kind == "RWLock" else lock

    a, b = make("a"), make("b")
    assert read(registry, catalog.LOCK_DEADLOCKS) == 0
    meeting = threading.Barrier(2, timeout=PATIENCE)
    with (
        caplog.at_level(logging.WARNING, "mnemoscope"),
        running(lambda: cross(a, b, meeting, 1.0), lambda: cross(b, a, meeting, 1.0)),
    ):
        until(lambda: read(registry, catalog.LOCK_DEADLOCKS) == 1)
        threading.Event().wait(0.2)  # several more looks of the watchdog
    assert read(registry, catalog.LOCK_DEADLOCKS) == 1
    assert read(registry, catalog.LOCK_STALLS) == 0
    (incident,) = watchdog.incidents
    assert incident.kind == "deadlock"
    assert {wait.lock for wait in incident.waits} == {"a", "b"}
    for wait in incident.waits:
        assert "cross" in wait.stack[-1]
        ((holder, stack),) = wait.holders
        assert holder.startswith("thread Thread-")
        assert "cross" in stack[-1]
    assert caplog.text.count("deadlock: ") == 1


def test_a_thread_that_waits_for_itself_is_a_deadlock() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    with running(lambda: (lock.acquire(), lock.acquire(timeout=0.5))):
        until(lambda: read(registry, catalog.LOCK_DEADLOCKS) == 1)
    assert read(registry, catalog.LOCK_STALLS) == 0


def test_a_long_hold_is_a_stall_for_each_who_waits_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)

    def use() -> None:
        with lock:
            pass

    with caplog.at_level(logging.WARNING, "mnemoscope"), running(use, use, use):
        pass
    lock.acquire()
    with caplog.at_level(logging.WARNING, "mnemoscope"), running(use, use, use):
        waiting(registry, 3)
        until(lambda: read(registry, catalog.LOCK_STALLS, lock="episodes") == 3)
        threading.Event().wait(0.2)  # several more looks of the watchdog
        lock.release()
    assert read(registry, catalog.LOCK_STALLS) == 3
    assert read(registry, catalog.LOCK_DEADLOCKS) == 0
    assert {incident.kind for incident in watchdog.incidents} == {"stall"}
    holder, stack = watchdog.incidents[0].waits[0].holders[0]
    assert holder == "thread MainThread"
    assert any("test_a_long_hold" in place for place in stack)
    assert caplog.text.count("stall: ") == 1, "those who come later join it"


def test_who_waits_behind_a_deadlock_stalls() -> None:
    registry = Registry()
    a, b = scope.Lock("a", registry=registry), scope.Lock("b", registry=registry)
    meeting = threading.Barrier(2, timeout=PATIENCE)
    with running(lambda: cross(a, b, meeting, 1.0), lambda: cross(b, a, meeting, 1.0)):
        until(lambda: read(registry, catalog.LOCK_DEADLOCKS) == 1)
        with running(lambda: a.acquire(timeout=0.3)):
            until(lambda: read(registry, catalog.LOCK_STALLS, lock="a") == 1)
    assert read(registry, catalog.LOCK_DEADLOCKS) == 1


def test_a_cycle_through_readers_and_a_writer_in_line_is_found() -> None:
    registry = Registry()
    index, lock = scope.RWLock("index", registry=registry), scope.Lock("episodes", registry=registry)

    def reader_first() -> None:
        with index.read():
            until(lambda: lock.locked() and read(registry, catalog.LOCK_WAITERS, mode="write") == 1)
            lock.acquire(timeout=1.0)

    def reader_last() -> None:
        with lock:
            until(lambda: read(registry, catalog.LOCK_WAITERS, mode="write") == 1)
            index.acquire_read(timeout=1.0)

    def writer() -> None:
        until(lambda: index.readers == 1)
        index.acquire_write(timeout=1.0)

    with running(reader_first, reader_last, writer):
        until(lambda: read(registry, catalog.LOCK_DEADLOCKS) == 1)
    (deadlock,) = [incident for incident in watchdog.incidents if incident.kind == "deadlock"]
    assert sorted((wait.lock, wait.mode) for wait in deadlock.waits) == [
        ("episodes", "exclusive"),
        ("index", "read"),
        ("index", "write"),
    ]


def test_a_semaphore_that_nobody_gives_back_is_only_a_stall() -> None:
    registry = Registry()
    permits = scope.Semaphore(0, "connections", registry=registry)
    with running(lambda: permits.acquire(timeout=0.5)):
        until(lambda: read(registry, catalog.LOCK_STALLS, lock="connections") == 1)
    assert read(registry, catalog.LOCK_DEADLOCKS) == 0


def test_short_waits_are_no_incident() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    looking = Watchdog(limit=60.0)
    lock.acquire()
    with running(lambda: lock.acquire()):
        waiting(registry)
        assert looking.look() == []
        lock.release()
    assert read(registry, catalog.LOCK_STALLS) == 0


def test_what_is_known_is_served_only_where_that_is_switched_on() -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    with lock, running(lambda: lock.acquire(timeout=1.0) and lock.release()):
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
        lock.acquire(timeout=1.0)  # not awaited: the loop stands still meanwhile

    with lock, running(lambda: asyncio.run(blocks())):
        until(lambda: read(registry, catalog.LOCK_STALLS, lock="episodes") == 1)
    (wait,) = watchdog.incidents[-1].waits
    assert "blocks" in wait.stack[-1]
