"""Locks for tasks follow asyncio's rules, which its own tests check, and record how they are used."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.watch import order
from mnemoscope.instrumentation.locks.watch.holders import tracker
from mnemoscope.instrumentation.locks.watch.waits import under_way
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint


def total(registry: Registry, metric: catalog.Metric, **labels: str) -> float:
    """Return the sum of the series with these labels; for a histogram, the number of observations."""
    points = [point for family in registry.snapshot().families if family.metric is metric for point in family.points]
    chosen = [p for p in points if labels.items() <= dict(zip(metric.label_names, p.labels, strict=True)).items()]
    return sum(p.observations if isinstance(p, HistogramPoint) else p.value for p in chosen)


def histogram(registry: Registry, metric: catalog.Metric) -> HistogramPoint:
    """Return the only series of a histogram."""
    (point,) = [p for f in registry.snapshot().families if f.metric is metric for p in f.points]
    assert isinstance(point, HistogramPoint)
    return point


async def one_round() -> None:
    """Let every task that can run do so, once."""
    await asyncio.sleep(0)


@pytest.fixture
def registry() -> Registry:
    return Registry(strict=True)


@pytest.fixture
def tracked() -> Iterator[None]:
    """Track the order of locks on an empty graph."""
    before = tracker.local is not None
    order.forget()
    tracker.switch(on=True)
    yield
    tracker.switch(on=before)
    order.forget()


def held_now() -> list[str]:
    """Return the names of the locks that are tracked as held."""
    return [hold.lock.name for holder in tracker.holders for hold in holder.holds()]


# Not loaded before it is used -----------------------------------------------------------------------


def loaded_after(statement: str) -> bool:
    """Return whether a new interpreter has loaded asyncio after this statement."""
    script = f"{statement}; import sys; print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    return done.stdout.strip() == "True"


def test_importing_the_package_does_not_load_asyncio() -> None:
    assert not loaded_after("import mnemoscope")


@pytest.mark.parametrize(
    "name", ["AsyncLock", "AsyncCondition", "AsyncSemaphore", "AsyncBoundedSemaphore", "AsyncRWLock"]
)
def test_a_lock_for_tasks_is_imported_on_first_use(name: str) -> None:
    assert loaded_after(f"from mnemoscope import {name}")
    assert getattr(scope, name).__name__ == name


def test_a_name_that_is_not_there_is_refused_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'mnemoscope' has no attribute 'AsyncMutex'"):
        _ = scope.AsyncMutex  # type: ignore[attr-defined]  # that is the point


# What they are --------------------------------------------------------------------------------------


def test_they_stand_wherever_asyncio_s_own_are_expected(registry: Registry) -> None:
    assert isinstance(scope.AsyncLock("a", registry=registry), asyncio.Lock)
    assert isinstance(scope.AsyncCondition(name="b", registry=registry), asyncio.Condition)
    assert isinstance(scope.AsyncSemaphore(2, name="c", registry=registry), asyncio.Semaphore)
    assert isinstance(scope.AsyncBoundedSemaphore(2, name="d", registry=registry), asyncio.BoundedSemaphore)


def test_a_lock_without_a_name_is_called_after_the_place_where_it_is_made(registry: Registry) -> None:
    made = {
        scope.AsyncLock(registry=registry).name,
        scope.AsyncSemaphore(registry=registry).name,
        scope.AsyncBoundedSemaphore(registry=registry).name,
        scope.AsyncRWLock(registry=registry).name,
    }
    assert len(made) == 4
    assert all(name.startswith("locks/test_async_locks.py:") for name in made)


def test_a_condition_shares_a_lock_that_it_is_given(registry: Registry) -> None:
    lock = scope.AsyncLock("shared", registry=registry)
    condition = scope.AsyncCondition(lock)
    assert condition._lock is lock  # type: ignore[attr-defined]  # asyncio's name for it


# What they report ------------------------------------------------------------------------------------


async def test_a_contended_lock_shows_wait_hold_waiters_and_contention(registry: Registry) -> None:
    lock = scope.AsyncLock("episodes", registry=registry)
    await lock.acquire()
    waiting = asyncio.create_task(lock.acquire())
    await one_round()
    assert total(registry, catalog.LOCK_WAITERS, lock="episodes", mode="exclusive") == 1

    lock.release()
    await waiting
    lock.release()

    assert total(registry, catalog.LOCK_WAITERS) == 0
    assert total(registry, catalog.LOCK_WAITERS_PEAK) == 1
    assert total(registry, catalog.LOCK_CONTENDED) == 1
    assert total(registry, catalog.LOCK_WAIT_DURATION) == 2
    assert total(registry, catalog.LOCK_HOLD_DURATION) == 2
    assert histogram(registry, catalog.LOCK_WAIT_DURATION).sum > 0


async def test_short_and_long_holds_fall_into_their_buckets(registry: Registry) -> None:
    lock = scope.AsyncLock("episodes", registry=registry)
    for _ in range(3):
        async with lock:
            pass
    async with lock:
        await asyncio.sleep(0.02)

    holds = histogram(registry, catalog.LOCK_HOLD_DURATION)
    assert holds.observations == 4
    assert holds.counts[0] <= 3, "the long one is not among those of microseconds"
    assert holds.sum > 0.01
    assert histogram(registry, catalog.LOCK_WAIT_DURATION).counts[0] == 4


async def test_a_lock_that_is_promised_to_another_task_is_waited_for(registry: Registry) -> None:
    lock = scope.AsyncLock("episodes", registry=registry)
    await lock.acquire()
    first = asyncio.create_task(lock.acquire())
    await one_round()
    lock.release()
    assert not lock.locked(), "it is free until the first waiter runs"
    second = asyncio.create_task(lock.acquire())
    await first
    await one_round()
    assert not second.done()
    assert total(registry, catalog.LOCK_CONTENDED) == 2
    lock.release()
    await second


async def test_a_wait_that_is_cancelled_is_no_wait_and_leaves_no_waiter(registry: Registry) -> None:
    lock = scope.AsyncLock("episodes", registry=registry)
    async with lock:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lock.acquire(), 0.001)
        assert total(registry, catalog.LOCK_WAITERS) == 0
        assert not under_way()
    assert total(registry, catalog.LOCK_CONTENDED) == 1
    assert total(registry, catalog.LOCK_WAIT_DURATION) == 1
    assert total(registry, catalog.LOCK_HOLD_DURATION) == 1


async def test_each_permit_of_a_semaphore_is_a_separate_hold(registry: Registry) -> None:
    permits = scope.AsyncSemaphore(2, name="completions", registry=registry)
    async with permits, permits:
        waiting = asyncio.create_task(permits.acquire())
        await one_round()
        assert total(registry, catalog.LOCK_WAITERS, lock="completions") == 1
    await waiting
    permits.release()
    assert total(registry, catalog.LOCK_HOLD_DURATION) == 3
    assert total(registry, catalog.LOCK_CONTENDED) == 1


async def test_a_semaphore_may_be_released_by_a_task_that_never_acquired_it(registry: Registry) -> None:
    signals = scope.AsyncSemaphore(0, name="signals", registry=registry)
    waiting = asyncio.create_task(signals.acquire())
    await one_round()
    signals.release()
    assert await waiting is True
    assert total(registry, catalog.LOCK_HOLD_DURATION) == 0


async def test_waiting_on_a_condition_is_not_holding_its_lock(registry: Registry) -> None:
    condition = scope.AsyncCondition(name="arrivals", registry=registry)

    async def wait() -> None:
        async with condition:
            await condition.wait()

    waiting = asyncio.create_task(wait())
    await one_round()
    assert not condition.locked()
    assert total(registry, catalog.LOCK_HOLD_DURATION) == 1, "the hold before the wait has ended"
    async with condition:
        condition.notify()
    await waiting
    assert total(registry, catalog.LOCK_HOLD_DURATION) == 3


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_holder_that_fails_poisons_the_lock_until_the_next_one_recovers_it(
    registry: Registry, error: type[BaseException]
) -> None:
    lock = scope.AsyncLock("concepts", poison=True, registry=registry)

    async def fail() -> None:
        async with lock:
            raise error

    with pytest.raises(error):
        await fail()
    assert lock.poisoned
    assert not lock.locked()
    with pytest.raises(RuntimeError, match="un-acquired"):
        lock.recover()
    async with lock:
        await asyncio.create_task(refused(lock))
        lock.recover()
        lock.recover()
    assert not lock.poisoned
    assert total(registry, catalog.LOCK_POISONED, lock="concepts") == 1


async def refused(lock: scope.AsyncLock) -> None:
    with pytest.raises(RuntimeError, match="un-acquired"):
        lock.recover()


async def test_a_lock_is_poisoned_only_if_it_is_made_with_poison(registry: Registry) -> None:
    lock = scope.AsyncLock("concepts", registry=registry)

    async def fail() -> None:
        async with lock:
            raise ValueError

    with pytest.raises(ValueError):
        await fail()
    assert not lock.poisoned


# Bad use --------------------------------------------------------------------------------------------


async def test_bad_use_raises_what_asyncio_raises_and_records_nothing(registry: Registry) -> None:
    with pytest.raises(RuntimeError, match="not acquired"):
        scope.AsyncLock("a", registry=registry).release()
    with pytest.raises(ValueError, match="too many times"):
        scope.AsyncBoundedSemaphore(1, name="b", registry=registry).release()
    with pytest.raises(ValueError, match=">= 0"):
        scope.AsyncSemaphore(-1, name="c", registry=registry)
    with pytest.raises(RuntimeError, match="un-acquired lock"):
        scope.AsyncCondition(name="d", registry=registry).notify()
    assert total(registry, catalog.LOCK_HOLD_DURATION) == 0


def test_a_lock_belongs_to_the_loop_in_which_the_first_wait_was(registry: Registry) -> None:
    lock = scope.AsyncLock("episodes", registry=registry)

    async def contend() -> None:
        async with lock:
            waiting = asyncio.create_task(lock.acquire())
            await one_round()
        await waiting
        lock.release()

    asyncio.run(contend())
    with pytest.raises(RuntimeError, match="different event loop"):
        asyncio.run(contend())
    assert not under_way()


# What waits for what ----------------------------------------------------------------------------------


async def test_a_wait_names_the_task_that_waits_and_the_one_that_holds(registry: Registry) -> None:
    lock = scope.AsyncLock("episodes", registry=registry)
    async with lock:
        holder = asyncio.current_task()
        waiter = asyncio.create_task(lock.acquire())
        await one_round()

        (wait,) = under_way()
        assert wait.lock is lock
        assert wait.waiter.key is waiter
        assert [blocker.key for blocker in lock.blockers("exclusive")] == [holder]
    await waiter
    lock.release()


@pytest.mark.usefixtures("tracked")
async def test_two_orders_in_two_tasks_are_an_inversion(registry: Registry) -> None:
    a, b = (scope.AsyncLock(name, registry=registry) for name in ("async-a", "async-b"))

    async def take(first: asyncio.Lock, second: asyncio.Lock) -> None:
        async with first, second:
            await one_round()

    await take(a, b)
    assert not order.inversions
    await asyncio.create_task(take(b, a), name="the other way")

    (inversion,) = order.inversions
    assert set(inversion.classes) == {"async-a", "async-b"}
    assert "the other way" in inversion.edges[0].by
    assert inversion.edges[0].held_at.endswith("take")
    assert inversion.edges[0].stack[-1].endswith("take"), "the code that asked, not asyncio's or ours"
    assert total(registry, catalog.LOCK_ORDER_INVERSIONS) == 1


@pytest.mark.usefixtures("tracked")
async def test_what_another_task_holds_adds_no_edge(registry: Registry) -> None:
    a, b = (scope.AsyncLock(name, registry=registry) for name in ("async-a", "async-b"))
    async with a:

        async def take_b() -> None:
            async with b:
                await one_round()

        await asyncio.create_task(take_b())
    assert not order.edges
    assert not held_now()


@pytest.mark.usefixtures("tracked")
async def test_semaphores_have_no_part_in_the_order_of_locks(registry: Registry) -> None:
    lock, permits = scope.AsyncLock("lock", registry=registry), scope.AsyncSemaphore(2, "permits", registry=registry)
    async with lock, permits, permits:
        assert held_now() == ["lock"]
        assert permits.blockers("exclusive") == []
    async with permits, lock:
        pass
    assert not order.edges
    assert not order.inversions


@pytest.mark.usefixtures("tracked")
async def test_a_lock_released_by_another_task_is_no_longer_held_by_the_first(registry: Registry) -> None:
    lock = scope.AsyncLock("episodes", registry=registry)
    await asyncio.create_task(lock.acquire())
    assert held_now() == ["episodes"]
    lock.release()
    assert not held_now()
