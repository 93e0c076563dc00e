"""The fixture `concurrently` runs operations at the same time, and lists the waits if they do not end in time."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections.abc import Callable

import pytest
from thread_samples import PATIENCE, blocked, running, until

import mnemoscope as scope
from mnemoscope.instrumentation.locks.watch import waits
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.testing import concurrently as module
from mnemoscope.instrumentation.testing.concurrently import Concurrently, TookTooLong

pytest_plugins = ("pytester",)


class Clock:
    """Replaces the module `time`: it stands still, and the time is up once a condition holds."""

    def __init__(self, once: Callable[[], bool]) -> None:
        self._once = once
        self._begun = False

    def monotonic(self) -> float:
        if self._begun:
            until(self._once)
            return math.inf
        self._begun = True
        return 0.0


@pytest.fixture
def time_is_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], bool]], None]:
    """Return a function that lets the time limit of threads pass when a condition holds."""
    return lambda once: monkeypatch.setattr(module, "time", Clock(once))


def operations() -> list[threading.Thread]:
    """Return the operations that have not ended."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("operation ")]


@pytest.fixture
def registry() -> Registry:
    return Registry(strict=True)


@pytest.fixture
def at_once() -> Concurrently:
    return Concurrently()


# In threads -----------------------------------------------------------------------------------------


def test_threads_give_every_result_in_order(at_once: Concurrently) -> None:
    assert at_once.threads(lambda number: number * 2, 100, within=PATIENCE) == list(range(0, 200, 2))


def test_threads_are_all_at_work_at_the_same_time(at_once: Concurrently) -> None:
    meeting = threading.Barrier(50)
    at_once.threads(lambda _: meeting.wait(PATIENCE), 50, within=PATIENCE)


def test_no_thread_begins_before_all_are_there(at_once: Concurrently) -> None:
    def operation(_: int) -> int:
        return len(operations())

    assert max(at_once.threads(operation, 50, within=PATIENCE)) == 50, "the first one saw them all"


def test_threads_that_deadlock_are_reported_with_their_waits_and_the_holders(
    at_once: Concurrently, registry: Registry, time_is_up: Callable[[Callable[[], bool]], None]
) -> None:
    a, b = scope.Lock("first-lock", registry=registry), scope.Lock("second-lock", registry=registry)
    both = threading.Barrier(2)

    def operation(number: int) -> None:
        one, other = ((a, b), (b, a))[number] if number < 2 else (scope.Lock(registry=registry),) * 2
        with one:
            if number < 2:
                both.wait(PATIENCE)
                with other:
                    pass

    time_is_up(lambda: len(waits.under_way()) == len(operations()) == 2)
    with pytest.raises(TookTooLong) as failure:
        at_once.threads(operation, 5, within=0.3)
    left = operations()
    a.release()  # any thread may, and so both go on
    for thread in left:
        thread.join()

    lines = str(failure.value).splitlines()
    assert lines[0] == "2 of 5 operations did not end within 0.3 s"
    assert "thread operation 0 waits for 'second-lock' (exclusive), held by thread operation 1" in lines
    assert "thread operation 1 waits for 'first-lock' (exclusive), held by thread operation 0" in lines
    assert lines[lines.index("operation 0 is at") + 1].endswith(".operation")


def test_a_crowd_at_one_lock_is_one_line(
    at_once: Concurrently, registry: Registry, time_is_up: Callable[[Callable[[], bool]], None]
) -> None:
    lock = scope.Lock("crowded", registry=registry)

    def operation(_: int) -> None:
        with lock:
            pass

    time_is_up(lambda: len(waits.under_way()) == 20)
    with lock, pytest.raises(TookTooLong) as failure:
        at_once.threads(operation, 20, within=0.3)
    for thread in operations():
        thread.join()

    (line,) = [line for line in str(failure.value).splitlines() if "'crowded'" in line and "wait for" in line]
    assert line.endswith("and 15 more wait for 'crowded' (exclusive), held by thread MainThread")
    assert "and 15 more" in str(failure.value).splitlines()[-1], "nor is every stack shown"


def test_the_first_error_is_raised_with_a_note_of_the_others(at_once: Concurrently) -> None:
    def operation(number: int) -> None:
        if number % 3 == 1:
            raise KeyError(number)

    with pytest.raises(KeyError) as failure:
        at_once.threads(operation, 10, within=PATIENCE)

    assert failure.value.args == (1,)
    assert failure.value.__notes__ == ["operation 1 of 10; 2 others failed as well"]


# In tasks -------------------------------------------------------------------------------------------


async def test_tasks_give_every_result_in_order_and_run_at_the_same_time(at_once: Concurrently) -> None:
    meeting = asyncio.Barrier(100)

    async def operation(number: int) -> int:
        await meeting.wait()
        return number

    assert await at_once.tasks(operation, 100, within=PATIENCE) == list(range(100))


async def test_tasks_that_deadlock_are_reported_cancelled_and_leave_nothing_locked(
    at_once: Concurrently, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = scope.AsyncLock("first-lock", registry=registry), scope.AsyncLock("second-lock", registry=registry)

    async def operation(number: int) -> None:
        one, other = ((a, b), (b, a))[number]
        async with one:
            await asyncio.sleep(0)
            async with other:
                pass

    # The clock of the event loop stands still until both wait; then the time is up.
    monkeypatch.setattr(
        asyncio.get_running_loop(), "time", lambda: 2 * PATIENCE if len(waits.under_way()) == 2 else 0.0
    )
    with pytest.raises(TookTooLong) as failure:
        await at_once.tasks(operation, 2, within=PATIENCE)

    text = str(failure.value)
    assert "task operation 0 on thread MainThread waits for 'second-lock' (exclusive), held by task operation 1" in text
    assert text.splitlines()[-1].endswith(".operation"), "each task is shown where it is suspended"
    assert not a.locked()
    assert not b.locked()


async def test_the_first_error_of_a_task_is_raised(at_once: Concurrently) -> None:
    async def operation(number: int) -> None:
        if number == 7:
            raise KeyError(number)

    with pytest.raises(KeyError) as failure:
        await at_once.tasks(operation, 10, within=PATIENCE)
    assert failure.value.__notes__ == ["operation 7 of 10"]


class Guard(module._BlockedLoop):
    """A guard whose time is up when a condition holds, and then at each look."""

    def __init__(self, after: float, runs: module._Runs[object], up: Callable[[], bool]) -> None:
        super().__init__(after, runs)
        over = self._over

        class Over(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                until(lambda: over.is_set() or up())
                return over.wait(timeout if timeout == waits.SLICE else 0)

            def set(self) -> None:
                over.set()

        self._over = Over()


@pytest.fixture
def limit_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], bool]], None]:
    """Return a function that lets the time limit of tasks pass when a condition holds."""
    return lambda up: monkeypatch.setattr(module, "_BlockedLoop", lambda after, runs: Guard(after, runs, up))


async def test_a_lock_that_blocks_the_event_loop_cannot_hold_up_the_time_limit(
    at_once: Concurrently, registry: Registry, limit_passes: Callable[[Callable[[], bool]], None]
) -> None:
    lock, me = scope.Lock("blocking", registry=registry), threading.get_ident()
    limit_passes(lambda: blocked(me))
    answers: list[bool] = []

    async def operation(number: int) -> None:
        # Of threads, and never released: the second task blocks the event loop, and then the third.
        answers.append(lock.acquire(timeout=PATIENCE))

    with pytest.raises(TookTooLong) as failure:
        await at_once.tasks(operation, 3, within=PATIENCE)

    text = str(failure.value)
    assert answers == [True], "the others raised"
    assert text.startswith(f"2 of 3 operations did not end within {PATIENCE:g} s")
    assert "thread MainThread waits for 'blocking' (exclusive), held by thread MainThread" in text
    assert "the event loop is at" in text
    assert text.splitlines()[-1].endswith(".operation")
    lock.release()
    assert not waits.under_way()
    assert not waits._endable


async def test_anything_else_that_blocks_the_event_loop_is_reported_with_where_it_was_when_the_limit_passed(
    at_once: Concurrently, limit_passes: Callable[[Callable[[], bool]], None]
) -> None:
    noted, main = threading.Event(), threading.main_thread().ident
    assert main is not None

    def block() -> None:
        assert noted.wait(PATIENCE)

    def blocks() -> bool:
        frame = sys._current_frames()[main]
        while frame.f_back is not None and frame.f_code is not block.__code__:
            frame = frame.f_back
        return frame.f_code is block.__code__

    async def operation(number: int) -> int:
        if number == 1:
            block()
        return number

    limit_passes(blocks)
    waiting = module.waits_now

    def noting() -> str:
        noted.set()  # the loop goes on, and every operation ends
        return waiting()

    with pytest.MonkeyPatch.context() as patch, pytest.raises(TookTooLong) as failure:
        patch.setattr(module, "waits_now", noting)
        await at_once.tasks(operation, 3, within=PATIENCE)

    lines = str(failure.value).splitlines()
    assert lines[:3] == [
        f"2 of 3 operations did not end within {PATIENCE:g} s",
        "nothing waits for a lock of mnemoscope",
        "the event loop is at",
    ]
    assert any(line.endswith(".block") for line in lines)


async def test_the_waits_of_other_threads_are_not_ended(
    at_once: Concurrently, registry: Registry, limit_passes: Callable[[Callable[[], bool]], None]
) -> None:
    theirs, ours = scope.Lock("theirs", registry=registry), scope.Lock("ours", registry=registry)
    me = threading.get_ident()

    async def operation(number: int) -> None:
        until(lambda: len(waits.under_way()) == 1)
        ours.acquire(timeout=PATIENCE)

    taken: list[bool] = []
    limit_passes(lambda: blocked(me))
    theirs.acquire()
    ours.acquire()
    with running(lambda: taken.append(theirs.acquire())):
        with pytest.raises(TookTooLong, match="waits for 'theirs'"):
            await at_once.tasks(operation, 1, within=PATIENCE)
        (wait,) = waits.under_way()
        assert wait.error is None
        theirs.release()
    assert taken == [True]


async def test_operations_that_block_the_event_loop_as_they_are_cancelled_are_ended_as_well(
    at_once: Concurrently, registry: Registry, limit_passes: Callable[[Callable[[], bool]], None]
) -> None:
    lock, me = scope.Lock("blocking", registry=registry), threading.get_ident()
    answers: list[bool] = []

    async def operation(number: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            answers.append(lock.acquire(timeout=PATIENCE))

    limit_passes(lambda: blocked(me))
    with lock, pytest.raises(TookTooLong, match="3 of 3 operations did not end within 0 s"):
        await at_once.tasks(operation, 3, within=0)
    assert answers == [], "each raised"
    assert not waits.under_way()


async def test_operations_end_with_the_test_that_is_cancelled(at_once: Concurrently) -> None:
    begun, ended = [], []

    async def operation(number: int) -> None:
        begun.append(number)
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(number)

    running = asyncio.create_task(at_once.tasks(operation, 3, within=PATIENCE))
    while len(begun) < 3:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0)
    assert sorted(ended) == [0, 1, 2]


# The end of a wait by itself --------------------------------------------------------------------------


async def ending(lock: scope.AsyncLock, reached: asyncio.Event) -> tuple[asyncio.Task[None], waits.Wait]:
    """Return a task that waits for a lock, and its wait."""

    async def take() -> None:
        async with lock:
            reached.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    task = asyncio.create_task(take())
    while not (found := waits.under_way()):
        await asyncio.sleep(0)
    return task, found[0]


async def test_a_task_whose_wait_is_ended_is_cancelled_once_with_the_message(registry: Registry) -> None:
    lock = scope.AsyncLock("lock", registry=registry)
    async with lock:
        task, wait = await ending(lock, asyncio.Event())
        wait.end(TookTooLong("enough"))
        wait.end(TookTooLong("too much"))
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
    assert task.cancelling() == 1
    assert not lock.locked()


async def test_a_task_that_has_the_lock_by_the_time_its_wait_is_ended_is_left_alone(registry: Registry) -> None:
    lock, reached = scope.AsyncLock("lock", registry=registry), asyncio.Event()
    async with lock:
        task, wait = await ending(lock, reached)
    await reached.wait()
    wait.end(TookTooLong("too late"))
    await task
    assert task.cancelling() == 0


def test_the_wait_of_a_task_whose_event_loop_is_closed_can_be_ended(registry: Registry) -> None:
    lock = scope.AsyncLock("lock", registry=registry)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(lock.acquire())
    task, wait = loop.run_until_complete(ending(lock, asyncio.Event()))
    loop.close()
    wait.end(TookTooLong("nothing runs it"))
    task._log_destroy_pending = False  # type: ignore[attr-defined]


# As a fixture ---------------------------------------------------------------------------------------


def test_the_test_of_the_reviews_is_three_lines(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest(
        """
import threading
import pytest
from mnemoscope.instrumentation.testing import concurrently
from mnemoscope.instrumentation.locks.watch import waits

class Clock:
    asked = 0

    def monotonic(self):
        self.asked += 1
        while self.asked > 1 and len(waits.under_way()) < 2:
            threading.Event().wait(0.01)
        return self.asked

@pytest.fixture
def time_is_up_when_two_wait(monkeypatch):
    monkeypatch.setattr(concurrently, "time", Clock())
"""
    )
    pytester.makepyfile(
        test_it="""
import asyncio
import pytest
from mnemoscope import AsyncLock, Lock

lock, taken = Lock("episodes"), Lock("taken")
taken.acquire()

def store(number):
    with lock:
        return number

def test_a_hundred_stores_at_once(concurrently):
    ids = concurrently.threads(store, 100, within=60)
    assert len(set(ids)) == 100

@pytest.mark.usefixtures("time_is_up_when_two_wait")
def test_two_that_never_end(concurrently):
    concurrently.threads(lambda _: taken.acquire(), 2, within=0.2)

async def test_a_hundred_tasks_at_once(concurrently):
    ids = await concurrently.tasks(lambda number: asyncio.sleep(0, number), 100, within=60)
    assert len(set(ids)) == 100
"""
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *TookTooLong: 2 of 2 operations did not end within 0.2 s",
            "E *thread operation ?, thread operation ? wait for 'taken' (exclusive), held by thread MainThread",
        ]
    )
