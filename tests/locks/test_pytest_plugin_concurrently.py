"""The fixture `concurrently` runs operations at once, and says who waits on whom when they do not end in time."""

from __future__ import annotations

import asyncio
import math
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from thread_samples import PATIENCE, blocked, until

import mnemoscope as scope
from mnemoscope.instrumentation.locks import concurrently as module
from mnemoscope.instrumentation.locks import hooks
from mnemoscope.instrumentation.locks.concurrently import Concurrently, TookTooLong
from mnemoscope.instrumentation.locks.interrupt import Interruptible
from mnemoscope.instrumentation.registry import Registry

pytest_plugins = ("pytester",)


class Clock:
    """In place of the module `time`: it stands still, and once something is so the time is up."""

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
    """Lets the time limit of operations in threads be reached when a condition holds, and not before."""
    return lambda once: monkeypatch.setattr(module, "time", Clock(once))


def operations() -> list[threading.Thread]:
    """The operations that have not ended."""
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


def test_threads_that_deadlock_are_told_with_what_they_wait_for_and_who_holds_it(
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

    time_is_up(lambda: len(hooks.waits) == len(operations()) == 2)
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

    time_is_up(lambda: len(hooks.waits) == 20)
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


async def test_tasks_that_deadlock_are_told_cancelled_and_leave_nothing_locked(
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
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 2 * PATIENCE if len(hooks.waits) == 2 else 0.0)
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


class Patience(threading.Event):
    """What the guard of an event loop waits for: over, or up each time that something new blocks the loop."""

    def __init__(self, loop_thread: int) -> None:
        super().__init__()
        self._loop_thread = loop_thread
        self._known: list[hooks.Waiting] = []

    def wait(self, timeout: float | None = None) -> bool:
        until(lambda: self.is_set() or bool(self._new()))
        self._known += self._new()
        return self.is_set()

    def _new(self) -> list[hooks.Waiting]:
        if not blocked(self._loop_thread):
            return []
        return [wait for wait in list(hooks.waits.values()) if wait not in self._known]


async def test_a_task_that_blocks_the_event_loop_cannot_hold_up_the_time_limit(
    at_once: Concurrently, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = scope.Lock("blocking", registry=registry)

    class Guard(module._BlockedLoop):
        def __init__(self, after: float, runs: module._Runs[object]) -> None:
            super().__init__(after, runs)
            self._over = Patience(threading.get_ident())

    monkeypatch.setattr(module, "_BlockedLoop", Guard)

    async def operation(number: int) -> None:
        lock.acquire()  # of threads, and never released: the second task blocks the event loop

    with pytest.raises(TookTooLong) as failure:
        await at_once.tasks(operation, 3, within=PATIENCE)

    text = str(failure.value)
    assert "thread MainThread waits for 'blocking' (exclusive), held by thread MainThread" in text
    assert "the event loop is at" in text
    assert text.splitlines()[-1].endswith(".operation")
    lock.release()


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


# The interrupt by itself ----------------------------------------------------------------------------


@pytest.fixture
def alarms() -> Iterator[list[int]]:
    """Somebody else's alarms, as a plugin for time limits has them."""
    came: list[int] = []
    previous = signal.signal(signal.SIGALRM, lambda number, _frame: came.append(number))
    yield came
    signal.signal(signal.SIGALRM, previous)


def test_an_interrupt_ends_a_blocking_acquire_and_leaves_other_alarms_alone(alarms: list[int]) -> None:
    lock = threading.Lock()
    lock.acquire()
    with pytest.raises(TookTooLong, match="enough"), Interruptible() as block:
        signal.raise_signal(signal.SIGALRM)
        threading.Thread(target=block.interrupt, args=(TookTooLong("enough"),)).start()
        lock.acquire()
    assert alarms == [signal.SIGALRM]
    signal.raise_signal(signal.SIGALRM)
    assert alarms == [signal.SIGALRM] * 2


def test_an_interrupt_after_the_block_does_nothing(alarms: list[int]) -> None:
    with Interruptible() as block:
        pass
    block.interrupt(TookTooLong("too late"))
    assert alarms == []


def test_a_block_in_another_thread_says_that_it_cannot_be_interrupted() -> None:
    found: list[bool] = []

    def enter() -> None:
        with Interruptible() as block:
            block.interrupt(TookTooLong("nobody"))
            found.append(block.possible)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [False]


# As a fixture ---------------------------------------------------------------------------------------


def test_the_test_of_the_reviews_is_three_lines(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest(
        """
import threading
import pytest
from mnemoscope.instrumentation.locks import concurrently, hooks

class Clock:
    asked = 0

    def monotonic(self):
        self.asked += 1
        while self.asked > 1 and len(hooks.waits) < 2:
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
