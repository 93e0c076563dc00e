"""An observed lock does what the bare lock does, for locks of any library and all ways to call them.

The bare lock is asked first: each test compares with what that gave, so that it holds for every version of a library.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import fasteners
import filelock
import pytest
from foreign_locks import KINDS, OF_THREADS, SOON, Call, Kind, RedisLock
from thread_samples import read

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = pytest.mark.slow

LONGEST = 10.0  # seconds after which a call has hung
A_MOMENT = 0.0002
THREADS, PROCESSES, ROUNDS = 6, 4, 50


def each(kinds: dict[str, Kind]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds.values(), ids=kinds)


def observed(lock: Any, registry: Registry | None = None) -> Any:
    return scope.observe_lock(lock, "foreign", registry=registry or Registry())


def in_a_thread(function: Callable[[], Any]) -> Any:
    """Return the result of a function in one thread; fail if it hangs."""
    results = []
    with bounded(lambda: results.append(function())):
        pass
    return results[0]


@contextmanager
def bounded(*targets: Callable[[], object]) -> Iterator[None]:
    """Run these in threads during the block; fail if one hangs or raises."""
    errors: list[BaseException] = []

    def run(target: Callable[[], object]) -> None:
        try:
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(target,), daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(LONGEST)
        assert not thread.is_alive(), "it hangs"
    if errors:
        raise errors[0]


def outcome(function: Callable[..., object], call: Call) -> object:
    """Return what a call returns or raises, in a form that is equal for locks that behave the same."""
    try:
        result = function(*call.args, **call.kwargs)
    except TypeError as error:
        return type(error)  # its words are the interpreter's
    except Exception as error:
        return type(error), str(error)
    return result if result is None or isinstance(result, bool | int) else type(result)


def on_a_free_lock(lock: Any, call: Call) -> list[object]:
    """Acquire it in this way, and release it once too often."""
    return [outcome(lock.acquire, call), outcome(lock.release, Call()), outcome(lock.release, Call())]


HOLD_IN_A_PROCESS = """
import sys, fasteners
lock = fasteners.InterProcessLock(sys.argv[1])
lock.acquire()
print(flush=True)
input()
"""


@contextmanager
def held(lock: Any, kind: Kind, path: Path) -> Iterator[None]:
    """Hold what excludes the lock, in another thread."""
    if kind.by_process:
        command = [sys.executable, "-c", HOLD_IN_A_PROCESS, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            yield
            process.stdin.write("\n")
        return
    taken, over = threading.Event(), threading.Event()
    other = kind.other(lock) if kind.other else lock

    def hold() -> None:
        other.acquire()
        taken.set()
        over.wait(2 * LONGEST)
        other.release()

    with bounded(hold):
        assert taken.wait(LONGEST)
        try:
            yield
        finally:
            over.set()


# Calls ------------------------------------------------------------------------------------------------------


@each(KINDS)
def test_each_way_to_acquire_a_free_lock_gives_what_it_gives_on_the_bare_one(kind: Kind, tmp_path: Path) -> None:
    for call in (Call(), *kind.give_up):
        bare, ours = kind.make(tmp_path / "lock"), observed(kind.make(tmp_path / "lock"))
        expected = in_a_thread(lambda bare=bare, call=call: on_a_free_lock(bare, call))
        found = in_a_thread(lambda ours=ours, call=call: on_a_free_lock(ours, call))
        assert found == expected, call


@each(KINDS)
def test_each_way_to_acquire_a_taken_lock_gives_what_it_gives_on_the_bare_one(kind: Kind, tmp_path: Path) -> None:
    bare = kind.make(tmp_path / "lock")
    with held(bare, kind, tmp_path / "lock"):
        expected = [in_a_thread(lambda call=call: outcome(bare.acquire, call)) for call in kind.give_up]
    registry = Registry()
    ours = observed(kind.make(tmp_path / "lock"), registry)
    with held(ours, kind, tmp_path / "lock"):
        found = [in_a_thread(lambda call=call: outcome(ours.acquire, call)) for call in kind.give_up]

    assert list(zip(kind.give_up, found, strict=True)) == list(zip(kind.give_up, expected, strict=True))
    mine = 0 if kind.by_process or kind.other else 1  # what `held` took through the observed lock
    assert read(registry, catalog.LOCK_WAIT_DURATION) == read(registry, catalog.LOCK_HOLD_DURATION) == mine
    assert read(registry, catalog.LOCK_WAITERS) == 0


@pytest.mark.parametrize("semaphore", [threading.Semaphore, threading.BoundedSemaphore])
def test_several_permits_are_given_back_at_once(semaphore: type[threading.Semaphore]) -> None:
    ours = observed(semaphore(2))
    assert [ours.acquire(), ours.acquire(), ours.acquire(False)] == [True, True, False]
    ours.release(2)
    assert [ours.acquire(False), ours.acquire(False), ours.acquire(False)] == [True, True, False]


def test_a_file_lock_that_is_held_twice_is_released_by_force(tmp_path: Path) -> None:
    ours = observed(filelock.FileLock(tmp_path / "lock"))
    ours.acquire()
    ours.acquire()
    ours.release(force=True)
    assert not ours.is_locked


def test_a_condition_is_waited_for_and_notified() -> None:
    ours = observed(threading.Condition())
    done = []

    def wait() -> None:
        with ours:
            assert ours.wait_for(lambda: done, LONGEST)

    def notify() -> None:
        with ours:
            done.append(True)
            ours.notify_all()

    with bounded(wait, notify):
        pass


# Mutual exclusion -------------------------------------------------------------------------------------------


class Counter:
    """A number that loses additions unless they exclude each other."""

    def __init__(self) -> None:
        self.value = 0

    def add(self) -> None:
        value = self.value
        time.sleep(A_MOMENT)  # here others come in
        self.value = value + 1


def by_with(lock: Any, add: Callable[[], None]) -> None:
    with lock:
        add()


def by_exit_stack(lock: Any, add: Callable[[], None]) -> None:
    with ExitStack() as stack:
        stack.enter_context(lock)
        add()


def by_acquire(lock: Any, add: Callable[[], None]) -> None:
    lock.acquire()
    try:
        add()
    finally:
        lock.release()


@each(OF_THREADS)
@pytest.mark.parametrize("use", [by_with, by_exit_stack, by_acquire])
@pytest.mark.usefixtures("hostile_switching")
def test_threads_exclude_each_other_and_every_hold_is_counted(
    kind: Kind, use: Callable[[Any, Callable[[], None]], None], tmp_path: Path
) -> None:
    registry, counter = Registry(), Counter()
    lock = observed(kind.make(tmp_path / "lock"), registry)

    def work() -> None:
        for _ in range(ROUNDS):
            use(lock, counter.add)

    with bounded(*[work] * THREADS):
        pass

    assert counter.value == THREADS * ROUNDS
    assert read(registry, catalog.LOCK_WAIT_DURATION) == read(registry, catalog.LOCK_HOLD_DURATION) == THREADS * ROUNDS


@each(OF_THREADS)
def test_a_block_begins_when_the_lock_is_free_and_not_before(kind: Kind, tmp_path: Path) -> None:
    registry = Registry()
    lock = observed(kind.make(tmp_path / "lock"), registry)
    entered = threading.Event()

    def enter() -> None:
        with lock:
            entered.set()

    with ExitStack() as waiting, held(lock, kind, tmp_path / "lock"):
        waiting.enter_context(bounded(enter))
        assert not entered.wait(SOON)

    assert entered.is_set()
    assert read(registry, catalog.LOCK_WAIT_DURATION) == read(registry, catalog.LOCK_HOLD_DURATION) == 2


REENTRANT = ("threading.RLock", "threading.Condition", "multiprocessing.RLock", "filelock.FileLock")


@each({name: KINDS[name] for name in REENTRANT})
def test_a_reentrant_lock_is_free_for_others_after_its_outermost_block_alone(kind: Kind, tmp_path: Path) -> None:
    lock = observed(kind.make(tmp_path / "lock"))

    def is_free() -> bool:
        result = in_a_thread(lambda: on_a_free_lock(lock, kind.give_up[2])[0])
        return result is not False and not isinstance(result, tuple)  # neither given up nor raised

    with lock:
        with lock:
            assert not is_free()
        assert not is_free()
    assert is_free()


# Blocks that cannot begin -----------------------------------------------------------------------------------


@pytest.mark.parametrize("use", [by_with, by_exit_stack])
def test_a_block_does_not_begin_when_acquire_gave_up(use: Callable[[Any, Callable[[], None]], None]) -> None:
    lock = observed(RedisLock(blocking_timeout=SOON))
    ran: list[bool] = []

    with held(lock, KINDS["a lock like redis's"], Path()):
        with pytest.raises(RuntimeError) as raised:
            use(lock, lambda: ran.append(True))
        assert "\n" not in str(raised.value)
        assert lock.acquire(False) is False, "the holder's lock was released"

    assert not ran
    assert lock.acquire(False) is True


def test_a_block_does_not_begin_when_acquire_raised(tmp_path: Path) -> None:
    registry = Registry()
    lock = observed(filelock.FileLock(tmp_path / "lock", timeout=SOON, poll_interval=0.001), registry)

    def enter() -> None:
        with pytest.raises(filelock.Timeout):
            lock.__enter__()

    with held(lock, KINDS["filelock.FileLock"], tmp_path / "lock"):
        in_a_thread(enter)

    assert read(registry, catalog.LOCK_HOLD_DURATION) == 1


# Processes --------------------------------------------------------------------------------------------------


def add_in_a_process(lock: Any, path: Path, together: Any, value: Any) -> None:
    """Add to a number in shared memory, under an observed lock or one that a function makes."""
    ours = observed(lock(path) if callable(lock) else lock)
    together.wait(3 * LONGEST)
    for _ in range(ROUNDS):
        with ours:
            before = value.value
            time.sleep(A_MOMENT)
            value.value = before + 1


def in_processes(method: str, lock: Any, path: Path) -> int:
    """Return the number after several processes have added to it at the same time."""
    context = multiprocessing.get_context(method)
    value, together = context.RawValue("i", 0), context.Barrier(PROCESSES)
    arguments = (lock, path, together, value)
    processes = [context.Process(target=add_in_a_process, args=arguments, daemon=True) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(6 * LONGEST)
        assert process.exitcode == 0
    return int(value.value)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore"])
def test_processes_exclude_each_other(method: str, kind: str, tmp_path: Path) -> None:
    lock = getattr(multiprocessing.get_context(method), kind)()
    assert in_processes(method, lock, tmp_path) == PROCESSES * ROUNDS


def quick_file_lock(path: Path) -> filelock.BaseFileLock:
    return filelock.FileLock(path, poll_interval=0.001)


@pytest.mark.parametrize("make", [fasteners.InterProcessLock, quick_file_lock], ids=["fasteners", "filelock"])
def test_processes_exclude_each_other_by_a_file(make: Callable[[Path], Any], tmp_path: Path) -> None:
    assert in_processes("spawn", make, tmp_path / "lock") == PROCESSES * ROUNDS


# Locks of tasks ---------------------------------------------------------------------------------------------


OF_TASKS: dict[str, Callable[[], Any]] = {
    "asyncio.Lock": asyncio.Lock,
    "asyncio.Condition": asyncio.Condition,
    "asyncio.Semaphore": asyncio.Semaphore,
    "asyncio.BoundedSemaphore": asyncio.BoundedSemaphore,
    "scope.AsyncLock": scope.AsyncLock,
    "scope.AsyncRWLock": lambda: scope.AsyncRWLock("foreign").read(),
    "filelock.AsyncFileLock": lambda: filelock.AsyncFileLock("lock"),
}


@pytest.mark.parametrize("make", OF_TASKS.values(), ids=OF_TASKS)
async def test_a_lock_of_tasks_is_refused_where_it_is_observed(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError) as raised:
        scope.observe_lock(make(), "foreign", registry=Registry())
    assert "\n" not in str(raised.value)
