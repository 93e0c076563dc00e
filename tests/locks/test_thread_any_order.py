"""In any order of uses by any thread, a lock behaves like that of `threading`."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from thread_samples import PATIENCE, read

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.watch.holders import tracker
from mnemoscope.instrumentation.locks.watch.waits import under_way
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = pytest.mark.slow

Make = Callable[[Registry], Any]

PAIRS: dict[str, tuple[Make, Callable[[], Any]]] = {
    "Lock": (lambda registry: scope.Lock("a", registry=registry), threading.Lock),
    "RLock": (lambda registry: scope.RLock("a", registry=registry), threading.RLock),
    "Semaphore": (lambda registry: scope.Semaphore(2, "a", registry=registry), lambda: threading.Semaphore(2)),
    "BoundedSemaphore": (
        lambda registry: scope.BoundedSemaphore(2, "a", registry=registry),
        lambda: threading.BoundedSemaphore(2),
    ),
    **{
        f"observed {make.__name__}": (
            lambda registry, make=make: scope.observe_lock(make(), "a", registry=registry),
            make,
        )
        for make in (threading.Lock, threading.RLock, threading.Semaphore, threading.BoundedSemaphore)
    },
}

WAYS: dict[str, Callable[[Any], Any]] = {
    "try": lambda lock: lock.acquire(False),
    "try by name": lambda lock: lock.acquire(blocking=False),
    "no time": lambda lock: lock.acquire(timeout=0),
    "a moment": lambda lock: lock.acquire(True, 0.001),
    "no sense": lambda lock: lock.acquire(False, 1),
    "release": lambda lock: lock.release(),
}


class Actor:
    """A thread that runs the calls that it is given, and returns their outcome."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def begin(self, work: Callable[[], Any]) -> None:
        self._work.put(work)

    def outcome(self) -> Any:
        return self._outcomes.get(timeout=PATIENCE)

    def do(self, work: Callable[[], Any]) -> Any:
        self.begin(work)
        return self.outcome()

    def end(self) -> None:
        self._work.put(None)
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                self._outcomes.put(work())
            except Exception as error:
                self._outcomes.put(type(error))


class AnyOrder(RuleBasedStateMachine):
    """Makes the same calls, from the same threads, on our lock and on the plain lock, which is the oracle."""

    @initialize(kind=st.sampled_from(sorted(PAIRS)), order=st.sampled_from(["off", "on"]))
    def make(self, kind: str, order: str) -> None:
        scope.configure_locks(order=order)
        self.kind, self.registry = kind, Registry()
        make, plain = PAIRS[kind]
        self.ours, self.plain = make(self.registry), plain()
        self.actors = [Actor() for _ in range(3)]
        self.taken = 0

    def both(self, actor: Actor, way: Callable[[Any], Any]) -> Any:
        ours, plain = actor.do(lambda: way(self.ours)), actor.do(lambda: way(self.plain))
        assert ours == plain
        return plain

    @rule(actor=st.integers(0, 2), way=st.sampled_from(sorted(WAYS)))
    def act(self, actor: int, way: str) -> None:
        outcome = self.both(self.actors[actor], WAYS[way])
        self.taken += outcome is True

    @rule(actor=st.integers(0, 2), order=st.sampled_from(["off", "on"]))
    def switch(self, actor: int, order: str) -> None:
        self.actors[actor].do(lambda: scope.configure_locks(order=order))

    @rule(actor=st.integers(0, 2), releasing=st.integers(0, 2))
    def wait(self, actor: int, releasing: int) -> None:
        """Let one thread wait until another has released."""
        one, other = self.actors[actor], self.actors[releasing]
        if one is other or one.do(lambda: self.plain.acquire(False)):
            if one is not other:
                assert one.do(self.ours.acquire) is True
                self.taken += 1
            return
        if other.do(self.plain.release) is not None:
            return  # it holds nothing
        if not one.do(lambda: self.plain.acquire(False)):
            other.do(self.ours.release)  # it holds it still
            return
        one.begin(self.ours.acquire)
        other.do(self.ours.release)
        assert one.outcome() is True
        self.taken += 1

    @invariant()
    def nothing_is_left_of_waits(self) -> None:
        if hasattr(self, "registry"):
            assert not [wait for wait in under_way() if wait.lock.registry is self.registry]
            assert read(self.registry, catalog.LOCK_WAITERS) == 0

    def teardown(self) -> None:
        if not hasattr(self, "registry"):
            return
        for actor in self.actors:
            while actor.do(lambda: self.plain.acquire(False)) is True and actor.do(self.plain.release):
                pass
            actor.end()
        scope.configure_locks(order="off")
        assert tracker.local is None
        if "RLock" not in self.kind:
            while self.kind == "Lock" and self.ours.locked():
                self.ours.release()  # such a use is counted as it ends
            assert read(self.registry, catalog.LOCK_WAIT_DURATION) == self.taken


AnyOrder.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
