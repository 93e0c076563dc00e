"""A readers-writer lock for tasks: readers together, writers alone, in order, and sound after any cancellation."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.meter import READ, WRITE
from mnemoscope.instrumentation.locks.watch.waits import under_way
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint


def total(registry: Registry, metric: catalog.Metric, **labels: str) -> float:
    """Return the sum of the series with these labels; for a histogram, the number of observations."""
    points = [point for family in registry.snapshot().families if family.metric is metric for point in family.points]
    chosen = [p for p in points if labels.items() <= dict(zip(metric.label_names, p.labels, strict=True)).items()]
    return sum(p.observations if isinstance(p, HistogramPoint) else p.value for p in chosen)


async def settle() -> None:
    """Let every task run until it has to wait."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def registry() -> Registry:
    return Registry(strict=True)


@pytest.fixture
def lock(registry: Registry) -> scope.AsyncRWLock:
    return scope.AsyncRWLock("concepts", registry=registry)


class Visitors:
    """Tasks that take the lock and keep it until they are sent away; `inside` lists them in the order of entry."""

    def __init__(self, lock: scope.AsyncRWLock) -> None:
        self._lock = lock
        self._leave: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.inside: list[str] = []
        self.came: list[str] = []

    async def come(self, *names: str) -> None:
        """Start a task; a name begins with r for a reader, with w for a writer."""
        for name in names:
            self._leave[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._visit(name), name=name)
            await settle()

    async def go(self, *names: str) -> None:
        for name in names:
            self._leave[name].set()
        await settle()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await settle()
        assert self._tasks[name].cancelled()

    async def _visit(self, name: str) -> None:
        async with self._lock.read() if name[0] == "r" else self._lock.write():
            self.inside.append(name)
            self.came.append(name)
            try:
                await self._leave[name].wait()
            finally:
                self.inside.remove(name)


async def test_readers_are_inside_together_and_a_writer_alone(lock: scope.AsyncRWLock) -> None:
    visitors = Visitors(lock)
    await visitors.come("r1", "r2", "w1")
    assert visitors.inside == ["r1", "r2"]
    await visitors.go("r1")
    assert visitors.inside == ["r2"]
    await visitors.go("r2")
    assert visitors.inside == ["w1"]
    await visitors.come("r3", "w2")
    assert visitors.inside == ["w1"]
    await visitors.go("w1", "r3", "w2")
    assert not lock.locked()


async def test_readers_that_come_after_a_writer_do_not_starve_it(lock: scope.AsyncRWLock) -> None:
    visitors = Visitors(lock)
    await visitors.come("r1", "w1", "r2", "r3", "w2", "r4")
    assert visitors.inside == ["r1"]
    await visitors.go("r1")
    assert visitors.inside == ["w1"]
    await visitors.go("w1")
    assert visitors.inside == ["r2", "r3"], "readers next to each other go in together"
    await visitors.go("r2", "r3", "w2", "r4")
    assert visitors.came == ["r1", "w1", "r2", "r3", "w2", "r4"]


async def test_a_writer_that_gives_up_lets_the_readers_behind_it_in(lock: scope.AsyncRWLock) -> None:
    visitors = Visitors(lock)
    await visitors.come("r1", "w1", "r2")
    await visitors.cancel("w1")
    assert visitors.inside == ["r1", "r2"]
    await visitors.go("r1", "r2")
    assert not lock.locked()


async def test_a_task_cancelled_just_after_being_let_in_passes_it_on(lock: scope.AsyncRWLock) -> None:
    visitors = Visitors(lock)
    await lock.acquire_write()
    await visitors.come("w1", "r1")
    lock.release_write()  # w1 has it now, and has not run yet
    await visitors.cancel("w1")
    assert visitors.came == ["r1"]
    await visitors.go("r1")
    assert not lock.locked()


@pytest.mark.parametrize("seed", range(20))
async def test_it_stays_sound_under_random_cancellation(lock: scope.AsyncRWLock, seed: int) -> None:
    chance = random.Random(seed)
    inside = {READ: 0, WRITE: 0}
    done = 0

    async def visit(mode: str) -> None:
        nonlocal done
        async with lock.write() if mode == WRITE else lock.read():
            inside[mode] += 1
            assert inside[WRITE] in (0, 1)
            assert not (inside[WRITE] and inside[READ])
            try:
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
            finally:
                inside[mode] -= 1
            done += 1

    tasks = [asyncio.create_task(visit(chance.choice((READ, READ, WRITE)))) for _ in range(60)]
    victims = chance.sample(tasks, 20)
    for victim in victims:
        await asyncio.sleep(0)
        victim.cancel()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)

    assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
    assert done >= 40
    assert not lock.locked()
    assert not under_way()
    assert await asyncio.wait_for(lock.acquire_write(), 60)
    lock.release_write()


async def test_it_shows_how_it_is_held_and_by_how_many(lock: scope.AsyncRWLock) -> None:
    assert (lock.locked(), repr(lock).endswith("[unlocked]>")) == (False, True)
    assert (lock.held(), lock.readers) == (None, 0)
    async with lock.read(), lock.read():
        assert lock.locked()
        assert (lock.held(), lock.readers) == (READ, 2)
        waiting = asyncio.create_task(lock.acquire_write())
        await settle()
        assert repr(lock).endswith("[read-locked, readers:2, waiters:1]>")
    await waiting
    assert repr(lock).endswith("[write-locked]>")
    assert (lock.held(), lock.readers) == (WRITE, 0)
    lock.release_write()


async def test_a_side_can_be_acquired_and_released_by_hand(lock: scope.AsyncRWLock) -> None:
    for side, mode in ((lock.read(), READ), (lock.write(), WRITE)):
        assert await side.acquire() is True
        assert lock.held() == mode
        side.release()
        with pytest.raises(RuntimeError, match="not acquired"):
            side.release()


@pytest.mark.parametrize("side", ["reading", "writing"])
async def test_releasing_what_is_not_held_is_refused(lock: scope.AsyncRWLock, side: str) -> None:
    release, other = (lock.release_read, lock.write()) if side == "reading" else (lock.release_write, lock.read())
    with pytest.raises(RuntimeError, match=f"not acquired for {side}"):
        release()
    async with other:
        with pytest.raises(RuntimeError, match=f"not acquired for {side}"):
            release()


def test_it_belongs_to_the_loop_in_which_the_first_wait_was(lock: scope.AsyncRWLock) -> None:
    async def contend() -> None:
        async with lock.write():
            waiting = asyncio.create_task(lock.acquire_read())
            await settle()
        await waiting
        lock.release_read()

    asyncio.run(contend())
    with pytest.raises(RuntimeError, match="different event loop"):
        asyncio.run(contend())


@pytest.mark.parametrize(
    ("mode", "acquire", "release"),
    [
        (READ, scope.AsyncRWLock.acquire_read, scope.AsyncRWLock.release_read),
        (WRITE, scope.AsyncRWLock.acquire_write, scope.AsyncRWLock.release_write),
    ],
)
async def test_each_side_is_measured_on_its_own(
    registry: Registry,
    lock: scope.AsyncRWLock,
    mode: str,
    acquire: Callable[[scope.AsyncRWLock], Awaitable[bool]],
    release: Callable[[scope.AsyncRWLock], None],
) -> None:
    await lock.acquire_write()
    waiting = asyncio.ensure_future(acquire(lock))
    await settle()
    assert total(registry, catalog.LOCK_WAITERS, mode=mode) == 1
    lock.release_write()
    await waiting
    release(lock)
    assert total(registry, catalog.LOCK_CONTENDED, mode=mode) == 1
    assert total(registry, catalog.LOCK_WAIT_DURATION, mode=mode) == (2 if mode == WRITE else 1)
    assert total(registry, catalog.LOCK_HOLD_DURATION) == 2


async def test_it_names_what_keeps_a_reader_or_a_writer_out(lock: scope.AsyncRWLock) -> None:
    me = asyncio.current_task()
    leave = asyncio.Event()

    async def write() -> None:
        async with lock.write():
            await leave.wait()

    await lock.acquire_read()
    writer = asyncio.create_task(write())
    await settle()
    assert [blocker.key for blocker in lock.blockers(WRITE)] == [me]
    assert [blocker.key for blocker in lock.blockers(READ)] == [writer], "a reader would stand behind it"
    lock.release_read()
    assert lock.blockers(WRITE) == [], "the writer is let in, and has yet to run"
    await settle()
    assert [blocker.key for blocker in lock.blockers(READ)] == [writer]
    leave.set()
    await writer


async def test_a_reader_that_leaves_takes_its_own_hold_and_not_the_oldest(lock: scope.AsyncRWLock) -> None:
    await lock.acquire_read()

    async def read() -> None:
        async with lock.read():
            pass

    await asyncio.create_task(read())
    assert [blocker.key for blocker in lock.blockers(WRITE)] == [asyncio.current_task()]
    lock.release_read()
    assert lock.blockers(WRITE) == []


async def test_a_writer_that_fails_poisons_it_and_a_reader_does_not(registry: Registry) -> None:
    lock = scope.AsyncRWLock("concepts", poison=True, registry=registry)

    async def fail(side: AbstractAsyncContextManager[None]) -> None:
        async with side:
            raise ValueError

    with pytest.raises(ValueError):
        await fail(lock.read())
    assert not lock.poisoned
    with pytest.raises(ValueError):
        await fail(lock.write())
    assert lock.poisoned
    async with lock.read():
        with pytest.raises(RuntimeError, match="un-acquired"):
            lock.recover()
    async with lock.write():
        lock.recover()
    assert not lock.poisoned
    assert total(registry, catalog.LOCK_POISONED, lock="concepts") == 1
