"""The watchdog sees tasks that wait, even while their event loop is blocked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager

import pytest

import mnemoscope as scope
from mnemoscope.instrumentation.locks.watch.incidents import DEADLOCK, STALL, Incident
from mnemoscope.instrumentation.locks.watch.waits import under_way
from mnemoscope.instrumentation.locks.watch.watchdog import Watchdog
from mnemoscope.instrumentation.recording.registry import Registry

NO_TIME = 1e-9


@pytest.fixture
def registry() -> Registry:
    return Registry(strict=True)


@pytest.fixture(autouse=True)
def nothing_waits() -> Iterator[None]:
    assert not under_way()
    yield
    assert not under_way()


class Looking(Watchdog):
    """A watchdog without its thread, which would also look at the waits of later tests."""

    def _wake(self) -> None:
        pass


def looked_from_outside() -> list[Incident]:
    """Return what a watchdog finds while this thread, which runs the event loop, only waits for it."""
    found: list[Incident] = []
    looking = threading.Thread(target=lambda: found.extend(Looking(NO_TIME).look()))
    looking.start()
    looking.join()
    return found


async def both(*work: Awaitable[None]) -> list[asyncio.Task[None]]:
    """Return two tasks, after each has run as far as it can."""
    tasks = [asyncio.ensure_future(one) for one in work]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_deadlock_of_tasks_is_seen_while_the_event_loop_is_blocked(registry: Registry) -> None:
    a, b = scope.AsyncLock("a", registry=registry), scope.AsyncLock("b", registry=registry)

    async def crosswise(first: scope.AsyncLock, second: scope.AsyncLock) -> None:
        async with first:
            await asyncio.sleep(0)
            async with second:
                pass

    tasks = await both(crosswise(a, b), crosswise(b, a))
    (incident,) = looked_from_outside()
    await end(tasks)

    assert incident.kind == DEADLOCK
    assert {wait.lock for wait in incident.waits} == {"a", "b"}
    for wait, task in zip(incident.waits, tasks if incident.waits[0].lock == "b" else tasks[::-1], strict=True):
        assert task.get_name() in wait.by
        assert wait.stack[-1].endswith("crosswise"), "where the task is suspended"
        ((_, holder_stack),) = wait.holders
        assert holder_stack[-1].endswith("crosswise")


async def test_a_cycle_through_a_readers_writer_lock_is_a_deadlock(registry: Registry) -> None:
    lock, index = scope.AsyncLock("lock", registry=registry), scope.AsyncRWLock("index", registry=registry)

    async def crosswise(first: AbstractAsyncContextManager[None], second: AbstractAsyncContextManager[None]) -> None:
        async with first:
            await asyncio.sleep(0)
            async with second:
                pass

    tasks = await both(crosswise(lock, index.write()), crosswise(index.read(), lock))
    (incident,) = looked_from_outside()
    await end(tasks)
    assert incident.kind == DEADLOCK
    assert {(wait.lock, wait.mode) for wait in incident.waits} == {("lock", "exclusive"), ("index", "write")}


async def test_a_task_that_was_let_in_and_has_yet_to_run_does_not_wait_for_itself(registry: Registry) -> None:
    lock = scope.AsyncRWLock("concepts", registry=registry)
    await lock.acquire_write()
    tasks = await both(write(lock))
    lock.release_write()
    assert [incident.kind for incident in looked_from_outside()] == [STALL]
    await asyncio.gather(*tasks)


async def write(lock: scope.AsyncRWLock) -> None:
    async with lock.write():
        pass


async def test_a_wait_for_a_lock_whose_taker_has_ended_is_a_stall(registry: Registry) -> None:
    lock = scope.AsyncLock("a", registry=registry)
    await asyncio.create_task(lock.acquire())
    waiting = asyncio.create_task(lock.acquire())
    await asyncio.sleep(0)
    (incident,) = looked_from_outside()
    assert incident.kind == STALL
    assert incident.waits[0].holders == ()
    lock.release()
    await waiting
    lock.release()


async def test_a_task_that_reads_and_then_writes_waits_for_itself(registry: Registry) -> None:
    lock = scope.AsyncRWLock("concepts", registry=registry)

    async def upgrade() -> None:
        async with lock.read(), lock.write():
            pass

    tasks = await both(upgrade())
    (incident,) = looked_from_outside()
    await end(tasks)
    assert (incident.kind, len(incident.waits)) == (DEADLOCK, 1)


async def test_a_reader_that_reads_again_behind_a_writer_deadlocks_with_it(registry: Registry) -> None:
    lock = scope.AsyncRWLock("concepts", registry=registry)
    goes_on = asyncio.Event()

    async def reader() -> None:
        async with lock.read():
            await goes_on.wait()
            async with lock.read():
                pass

    async def writer() -> None:
        async with lock.write():
            pass

    tasks = await both(reader(), writer())
    goes_on.set()
    tasks += await both()
    (incident,) = looked_from_outside()
    await end(tasks)
    assert incident.kind == DEADLOCK
    assert {wait.mode for wait in incident.waits} == {"read", "write"}


@pytest.mark.parametrize(
    "make",
    [
        lambda registry: scope.AsyncLock("busy", registry=registry),
        lambda registry: scope.AsyncSemaphore(1, "busy", registry=registry),
    ],
)
async def test_a_wait_for_one_that_goes_on_is_a_stall(
    registry: Registry, make: Callable[[Registry], asyncio.Lock | asyncio.Semaphore]
) -> None:
    lock = make(registry)

    async def take() -> None:
        async with lock:
            pass

    async with lock:
        tasks = await both(take(), take())
        (incident,) = looked_from_outside()
    await asyncio.gather(*tasks)
    assert incident.kind == STALL
    assert len(incident.waits) == 2


async def test_a_deadlock_across_a_task_and_the_thread_that_it_blocks_is_seen(registry: Registry) -> None:
    """Block the event loop in a task that holds a lock for tasks and waits for a lock for threads."""
    of_tasks, of_threads = scope.AsyncLock("of tasks", registry=registry), scope.Lock("of threads", registry=registry)
    found: list[Incident] = []

    async def holds_the_thread_s() -> None:
        of_threads.acquire()
        async with of_tasks:
            of_threads.release()

    async def holds_the_task_s() -> None:
        async with of_tasks:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            with of_threads:
                pass

    def watch() -> None:
        while len(under_way()) < 2:
            threading.Event().wait(0.001)
        found.extend(Looking(NO_TIME).look())
        of_threads.release()  # any thread may, and so the event loop goes on

    watching = threading.Thread(target=watch)
    watching.start()
    holder = asyncio.ensure_future(holds_the_task_s())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="unlocked"):
        await holds_the_thread_s()
    await holder
    watching.join()

    deadlock = next(incident for incident in found if incident.kind == DEADLOCK)
    assert "of threads" in {wait.lock for wait in deadlock.waits}
