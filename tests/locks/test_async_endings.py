"""However a use of a lock for tasks ends, the lock stays usable, and nothing that has ended is kept."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import pytest
from interrupts import Interrupt, signalled_at

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.meter import READ, WRITE
from mnemoscope.instrumentation.locks.watch import order
from mnemoscope.instrumentation.locks.watch.holders import tracker
from mnemoscope.instrumentation.locks.watch.waits import under_way
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = [
    pytest.mark.lock_order(check=False),  # tasks end with a lock held: that is the point
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited"),  # interrupted before its first step
    pytest.mark.slow,
]


@pytest.fixture
def registry() -> Registry:
    return Registry(strict=True)


@pytest.fixture(params=["lock", "semaphore", READ, WRITE])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["", "tracked"])
def order_tracked(request: pytest.FixtureRequest) -> Iterator[None]:
    before = tracker.local is not None
    order.forget()
    tracker.switch(on=request.param)
    yield
    tracker.switch(on=before)
    order.forget()


def made(kind: str, registry: Registry) -> tuple[Any, Any]:
    """Return a lock, and the object that takes and releases it."""
    if kind == "lock":
        lock = scope.AsyncLock("a", registry=registry)
        return lock, lock
    if kind == "semaphore":
        permit = scope.AsyncSemaphore(1, "a", registry=registry)
        return permit, permit
    both = scope.AsyncRWLock("a", registry=registry)
    return both, both.read() if kind == READ else both.write()


def holds(lock: Any) -> list[Any]:
    all_holds = [lock._reads, lock._writes] if isinstance(lock, scope.AsyncRWLock) else [lock._holds]
    return [hold for its in all_holds for hold in its.current]


def waiters(registry: Registry) -> float:
    families = registry.snapshot().families
    return sum(point.value for f in families if f.metric is catalog.LOCK_WAITERS for point in f.points)


def idle(lock: Any, registry: Registry) -> bool:
    """Return whether nothing is left of all uses."""
    in_line = lock._line if isinstance(lock, scope.AsyncRWLock) else lock._asking or lock._waiters
    tracked = [hold for holder in tracker.holders for hold in holder.holds()]
    return not (lock.locked() or holds(lock) or in_line or waiters(registry) or tracked)


# Waits that are closed ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [READ, WRITE])
@pytest.mark.parametrize("let_in", [False, True], ids=["in line", "let in"])
async def test_a_readers_writer_lock_passes_over_a_wait_that_was_closed(
    registry: Registry, mode: str, let_in: bool
) -> None:
    lock, side = made(mode, registry)
    await lock.acquire_write()
    waiting = side.acquire()
    waiting.send(None)
    behind = asyncio.create_task(lock.acquire_write())
    await asyncio.sleep(0)
    assert waiters(registry) == 2

    if let_in:
        lock.release_write()
    waiting.close()
    if not let_in:
        lock.release_write()

    await asyncio.wait_for(behind, 60)
    lock.release_write()
    assert idle(lock, registry)


async def test_a_task_that_nothing_refers_to_leaves_the_line(registry: Registry) -> None:
    lock = scope.AsyncRWLock("a", registry=registry)
    await lock.acquire_read()
    waiting = lock.acquire_write()
    waiting.send(None)
    del waiting
    assert await asyncio.create_task(lock.acquire_read()), "no writer is in line"
    lock.release_read()
    lock.release_read()
    assert idle(lock, registry)


async def test_a_wait_that_is_cancelled_and_has_yet_to_end_keeps_no_other_out(registry: Registry) -> None:
    lock = scope.AsyncRWLock("a", registry=registry)
    await lock.acquire_read()
    writer = asyncio.create_task(lock.acquire_write())
    await asyncio.sleep(0)
    writer.cancel()
    reading = lock.acquire_read()
    with pytest.raises(StopIteration):
        reading.send(None)
    await asyncio.wait([writer])
    lock.release_read()
    lock.release_read()
    assert idle(lock, registry)


# Event loops that are closed ------------------------------------------------------------------------


class Cargo:
    """The data that a task works on."""


async def never() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.usefixtures("order_tracked")
@pytest.mark.parametrize("close", ["run", "close"])
@pytest.mark.parametrize("how", ["keeps it", "block"])
def test_a_lock_keeps_nothing_of_the_tasks_that_held_it(kind: str, registry: Registry, close: str, how: str) -> None:
    lock, block = made(kind, registry)
    kept: list[weakref.ref[Any]] = []

    async def hold() -> None:
        cargo = Cargo()
        kept.append(weakref.ref(cargo))
        if how == "block":
            async with block:
                await never()
        else:
            await block.acquire()
            await never()

    async def main() -> None:
        task = asyncio.create_task(hold())
        kept.append(weakref.ref(task))
        await asyncio.sleep(0)
        assert lock.locked()

    in_a_loop_that_ends(main(), close)
    assert [reference() for reference in kept] == [None, None]
    assert not waiters(registry)
    assert lock.locked() == (how == "keeps it")
    if how == "keeps it":
        block.release()
    assert idle(lock, registry)


@pytest.mark.usefixtures("order_tracked")
def test_a_lock_keeps_nothing_of_the_tasks_that_were_cancelled_as_they_waited(kind: str, registry: Registry) -> None:
    lock, block = made(kind, registry)
    kept: list[weakref.ref[Any]] = []

    async def wait() -> None:
        cargo = Cargo()
        kept.append(weakref.ref(cargo))
        async with block:
            pass

    async def main() -> None:
        await (lock.acquire_write() if isinstance(lock, scope.AsyncRWLock) else lock.acquire())
        task = asyncio.create_task(wait())
        kept.append(weakref.ref(task))
        await asyncio.sleep(0)
        assert waiters(registry) == 1

    in_a_loop_that_ends(main(), "run")
    assert [reference() for reference in kept] == [None, None]
    assert not waiters(registry)
    assert not under_way()
    assert lock.locked()
    lock.release_write() if isinstance(lock, scope.AsyncRWLock) else lock.release()
    assert idle(lock, registry)
    in_a_loop_that_ends(wait(), "run")
    assert idle(lock, registry)


def test_a_keyboard_interrupt_leaves_neither_holders_nor_waits(kind: str, registry: Registry) -> None:
    lock, block = made(kind, registry)

    async def use() -> None:
        async with block:
            await never()

    async def main() -> None:
        tasks = [asyncio.create_task(use()) for _ in range(3)]
        await asyncio.sleep(0)
        assert lock.locked()
        asyncio.get_running_loop().call_soon(interrupt)
        await asyncio.wait(tasks)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert idle(lock, registry)
    assert not under_way()


def test_waits_whose_loop_was_closed_are_dropped_at_the_next_use(registry: Registry) -> None:
    lock = scope.AsyncRWLock("a", registry=registry)
    kept: list[weakref.ref[Any]] = []

    async def main() -> None:
        await lock.acquire_write()
        for acquire in (lock.acquire_write, lock.acquire_read):
            kept.append(weakref.ref(asyncio.create_task(acquire())))
        await asyncio.sleep(0)

    in_a_loop_that_ends(main(), "close")
    lock.release_write()
    gc.collect()
    assert [reference() for reference in kept] == [None, None]
    assert idle(lock, registry)
    assert not under_way()


def test_a_lock_of_a_closed_loop_can_be_taken_in_another_and_not_be_waited_for(registry: Registry) -> None:
    """Compare with asyncio's own locks."""
    lock = scope.AsyncRWLock("a", registry=registry)

    async def wait() -> None:
        await lock.acquire_write()
        await lock.acquire_read()

    async def begin_to_wait() -> None:
        waiting.append(asyncio.create_task(wait()))
        await asyncio.sleep(0)

    waiting: list[asyncio.Task[None]] = []
    in_a_loop_that_ends(begin_to_wait(), "close")
    lock.release_write()
    with pytest.raises(RuntimeError, match="different event loop"):
        asyncio.run(wait())
    lock.release_write()
    waiting.clear()
    gc.collect()
    assert idle(lock, registry)


def in_a_loop_that_ends(main: Coroutine[Any, Any, None], how: str) -> None:
    """Run in a loop that is then closed, with its tasks cancelled as by `asyncio.run`, or not."""
    if how == "run":
        asyncio.run(main)
    else:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)  # that tasks were destroyed
        loop.run_until_complete(main)
        loop.close()
    gc.collect()


# Owners that have ended -----------------------------------------------------------------------------


@pytest.fixture
async def taken_by_a_task_that_ended(kind: str, registry: Registry) -> AsyncIterator[Any]:
    lock, block = made(kind, registry)
    await asyncio.create_task(block.acquire())
    yield lock
    block.release()


async def test_a_task_that_has_ended_blocks_nothing(taken_by_a_task_that_ended: Any) -> None:
    assert taken_by_a_task_that_ended.locked()
    assert taken_by_a_task_that_ended.blockers(WRITE) == []


async def test_a_lock_acquired_with_a_limit_can_be_recovered(registry: Registry) -> None:
    """On Python 3.11, `wait_for` acquires in a new task."""
    lock = scope.AsyncLock("a", poison=True, registry=registry)
    await asyncio.wait_for(lock.acquire(), 60)
    lock.poisoned = True
    lock.recover()
    assert not lock.poisoned
    lock.release()
    with pytest.raises(RuntimeError, match="un-acquired"):
        lock.recover()


# Exceptions of signal handlers ----------------------------------------------------------------------


@pytest.mark.usefixtures("order_tracked")
def test_an_interrupted_acquire_holds_nothing(kind: str, registry: Registry) -> None:
    for step in itertools.count(1):
        lock, block = made(kind, registry)
        acquire = block.acquire()

        def go(acquire: Coroutine[Any, Any, Any] = acquire) -> None:
            with suppress(StopIteration):
                acquire.send(None)

        if not signalled_at(step, go):
            break
        assert idle(lock, registry), step
    assert step > 5
    assert lock.locked()
    assert len(holds(lock)) == 1


@pytest.mark.usefixtures("order_tracked")
def test_an_interrupted_release_leaves_the_lock_held_or_free(kind: str, registry: Registry) -> None:
    for step in itertools.count(1):
        lock, block = made(kind, registry)
        with suppress(StopIteration):
            block.acquire().send(None)
        fired = signalled_at(step, block.release)
        assert bool(holds(lock)) == lock.locked(), step
        if lock.locked():
            block.release()
        assert idle(lock, registry), step
        if not fired:
            break
    assert step > 5


@pytest.mark.usefixtures("order_tracked")
def test_tasks_go_on_after_any_interrupt(kind: str, registry: Registry) -> None:
    for step in itertools.count(1):
        lock, block = made(kind, registry)

        async def use(block: Any = block) -> None:
            async with block:
                await asyncio.sleep(0)

        async def main(lock: Any = lock, use: Callable[[], Coroutine[Any, Any, None]] = use) -> None:
            tasks = [asyncio.create_task(use()) for _ in range(2)]
            if isinstance(lock, scope.AsyncRWLock):  # one that excludes the others
                tasks.insert(1, asyncio.create_task(write(lock)))
            while not all(task.done() for task in tasks):
                for _ in range(10):
                    await asyncio.sleep(0)
                if lock.locked():  # the exception came as a release was about to begin
                    assert len(holds(lock)) == 1
                    assert not holds(lock)[0].holder()
                    release_of(lock)()
            await asyncio.wait(tasks)
            if lock.locked():
                release_of(lock)()
            assert sum(isinstance(task.exception(), Interrupt) for task in tasks) <= 1

        with asyncio.Runner() as runner:
            fired = signalled_at(step, lambda runner=runner, main=main: runner.run(main()))
        if under_way() or not idle(lock, registry):  # a traceback may keep a wait that has ended
            gc.collect()
        assert idle(lock, registry), step
        assert not under_way()
        if not fired:
            break
    assert step > 50


async def write(lock: scope.AsyncRWLock) -> None:
    async with lock.write():
        await asyncio.sleep(0)


def release_of(lock: Any) -> Callable[[], None]:
    if isinstance(lock, scope.AsyncRWLock):
        return lock.release_write if lock.held() == WRITE else lock.release_read
    return lock.release
