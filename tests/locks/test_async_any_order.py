"""In any order of uses and endings, locks for tasks go to the same tasks as those of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from async_scripts import LIMIT, Actor, Script, World, play, scripts
from hypothesis import HealthCheck, given, settings

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.meter import READ, WRITE
from mnemoscope.instrumentation.locks.watch.waits import under_way
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint

pytestmark = [pytest.mark.lock_order(check=False), pytest.mark.slow]
searched = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Numbers = tuple[float, ...]
LOCK_KINDS = ("block", "hand", "wait_for", "timeout")
CONDITION_KINDS = ("block", "hand", "await", "hand await", "await for a time", "notify", "notify all")


class Counted:
    """Goes before a primitive of asyncio, and counts what our locks should record."""

    taken = released = held = 0

    async def acquire(self) -> Any:
        await super().acquire()  # type: ignore[misc]
        self.taken += 1
        self.held += 1
        return True

    def release(self) -> None:
        try:
            super().release()  # type: ignore[misc]
        finally:  # where a bounded semaphore refuses, all permits are there: then nothing is held
            if self.held:
                self.held -= 1
                self.released += 1

    def numbers(self) -> Numbers:
        waiting = len(self._waiters or ())  # type: ignore[attr-defined]
        return self.taken, self.released, waiting, waiting


class Lock(Counted, asyncio.Lock): ...


class Semaphore(Counted, asyncio.Semaphore): ...


class BoundedSemaphore(Counted, asyncio.BoundedSemaphore): ...


def recorded(registry: Registry, mode: str) -> Numbers:
    """Return how often a lock was taken and released, and how many tasks wait by its gauge and by the watchdog."""
    counts = []
    for metric in (catalog.LOCK_WAIT_DURATION, catalog.LOCK_HOLD_DURATION, catalog.LOCK_WAITERS):
        points = [p for family in registry.snapshot().families if family.metric is metric for p in family.points]
        (point,) = [p for p in points if p.labels[metric.label_names.index("mode")] == mode]
        counts.append(point.observations if isinstance(point, HistogramPoint) else point.value)
    waiting = sum(wait.lock.registry is registry and wait.meter.mode == mode for wait in under_way())
    return *counts, waiting


class Played(World):
    """A lock, semaphore or condition, and the log of what happened to its actors."""

    def __init__(self, lock: Any, numbers: Callable[[], Numbers]) -> None:
        super().__init__(self._act, self._look, self._give)
        self._lock = lock
        self._numbers = numbers
        self._given = 0
        self.log: list[Any] = []

    async def _act(self, kind: str, actor: Actor) -> None:
        me = len(self.actors)
        try:
            if kind == "wait_for":
                await asyncio.wait_for(self._lock.acquire(), LIMIT)
            elif kind == "timeout":
                async with asyncio.timeout(LIMIT):
                    await self._lock.acquire()
            else:
                await self._lock.acquire()
            self.log.append((me, "in"))
            try:
                await self._inside(kind, actor)
            finally:
                self._lock.release()
            self.log.append((me, "out"))
        except BaseException as error:
            self.log.append((me, type(error).__name__))
            raise

    async def _inside(self, kind: str, actor: Actor) -> None:
        if kind.endswith("await"):
            await self._lock.wait()
        elif kind == "await for a time":
            await asyncio.wait_for(self._lock.wait(), LIMIT)
        elif kind == "notify":
            self._lock.notify()
        elif kind == "notify all":
            self._lock.notify_all()
        else:
            await actor.leave.wait()

    def _look(self) -> None:
        self.log.append((self._lock.locked(), repr(self._lock).partition(" [")[2], self._numbers()))

    def _give(self) -> None:
        try:
            self._lock.release()
        except (RuntimeError, ValueError) as error:
            self.log.append(str(error))


def log_of(make: Callable[[], tuple[Any, Callable[[], Numbers]]], script: Script) -> list[Any]:
    worlds: list[Played] = []

    def world() -> Played:
        worlds.append(Played(*make()))
        return worlds[0]

    play(world, script)
    return worlds[0].log


def both(ours: Callable[[Registry], Any], theirs: Callable[[], Any], script: Script) -> None:
    """Play a script with our locks and with asyncio's, and compare the logs."""
    lock: list[Any] = []

    def make_ours() -> tuple[Any, Callable[[], Numbers]]:
        registry = Registry(strict=True)
        lock.append(ours(registry))
        return lock[0], lambda: recorded(registry, "exclusive")

    def make_theirs() -> tuple[Any, Callable[[], Numbers]]:
        made = theirs()
        return made, getattr(made, "_lock", made).numbers

    assert log_of(make_ours, script) == log_of(make_theirs, script)
    inner = getattr(lock[0], "_lock", lock[0])
    taken, released, *waiting = recorded(inner.registry, "exclusive")
    assert waiting == [0, 0]
    assert inner._asking == 0
    assert len(inner._holds.current) == taken - released


@searched
@given(scripts(LOCK_KINDS, stray=True))
def test_a_lock_goes_to_the_same_tasks_as_asyncio_s(script: Script) -> None:
    both(lambda registry: scope.AsyncLock("a", registry=registry), Lock, script)


@searched
@given(scripts(LOCK_KINDS, stray=True))
def test_permits_go_to_the_same_tasks_as_asyncio_s(script: Script) -> None:
    both(lambda registry: scope.AsyncSemaphore(2, "a", registry=registry), lambda: Semaphore(2), script)


@searched
@given(scripts(LOCK_KINDS, stray=True))
def test_bounded_permits_go_to_the_same_tasks_as_asyncio_s(script: Script) -> None:
    both(lambda registry: scope.AsyncBoundedSemaphore(2, "a", registry=registry), lambda: BoundedSemaphore(2), script)


@searched
@given(scripts(CONDITION_KINDS))
def test_a_condition_wakes_the_same_tasks_as_asyncio_s(script: Script) -> None:
    both(
        lambda registry: scope.AsyncCondition(name="a", registry=registry),
        lambda: asyncio.Condition(Lock()),
        script,
    )


class ReadersAndWriters(World):
    """A readers-writer lock whose rules are checked after every step."""

    def __init__(self, script: Script) -> None:
        super().__init__(self._act, self._look)
        self.registry = Registry(strict=True)
        self.lock = scope.AsyncRWLock("a", registry=self.registry)
        self.waiting: dict[Actor, str] = {}
        self.inside: dict[Actor, str] = {}
        self.overtaken: list[Any] = []
        self.counts = {(mode, what): 0 for mode in (READ, WRITE) for what in ("taken", "released")}

    async def _take(self, mode: str, actor: Actor) -> None:
        self.waiting[actor] = mode  # after those that have asked before
        try:
            await (self.lock.acquire_write() if mode == WRITE else self.lock.acquire_read())
        finally:
            before = []
            for other in self.waiting:
                if other is actor:
                    break
                before.append(other)
            del self.waiting[actor]
        if any(WRITE in (mode, self.waiting[other]) for other in before if not other.may_be_gone()):
            self.overtaken.append((before, actor))
        self.inside[actor] = mode
        self.counts[mode, "taken"] += 1

    async def _act(self, kind: str, actor: Actor) -> None:
        mode = WRITE if kind.endswith("write") else READ
        if "wait_for" in kind:
            await asyncio.wait_for(self._take(mode, actor), LIMIT)
        elif "timeout" in kind:
            async with asyncio.timeout(LIMIT):
                await self._take(mode, actor)
        else:
            await self._take(mode, actor)
        try:
            await actor.leave.wait()
        finally:
            del self.inside[actor]
            self.counts[mode, "released"] += 1
            self.lock.release_write() if mode == WRITE else self.lock.release_read()

    def _look(self) -> None:
        assert not self.overtaken
        writers = sum(mode == WRITE for mode in self.inside.values())
        assert writers == 0 or len(self.inside) == 1
        for mode in (READ, WRITE):
            waiting = sum(its == mode for its in self.waiting.values())
            taken, released = self.counts[mode, "taken"], self.counts[mode, "released"]
            assert recorded(self.registry, mode) == (taken, released, waiting, waiting)
        line = self.lock._line
        assert not line or line[0].is_gone() or not self.lock._is_free(line[0]), "the first in line could go in"
        if not self.waiting:
            assert self.lock.held() == next(iter(self.inside.values()), None)
            assert not line

    async def play(self, script: Script) -> None:
        await super().play(script)
        assert not self.inside
        assert not self.waiting
        assert not self.lock.locked()


@searched
@given(scripts(tuple(f"{how} {mode}" for how in ("block", "hand", "wait_for", "timeout") for mode in (READ, WRITE))))
def test_readers_and_writers_keep_to_the_rules(script: Script) -> None:
    play(lambda: ReadersAndWriters(script), script)
