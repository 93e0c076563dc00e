"""The fixture `concurrently`: many operations at the same time, within a time limit.

If they do not end in time, the test fails with a list of the waits for locks, the holders, and the stacks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Self, TypeVar

from ..locks.watch import waits
from ..locks.watch.thread_or_task import ThreadOrTask, stack_of

T = TypeVar("T")
_GRACE = 0.5
"""Seconds that an event loop gets to notice the time limit by itself."""
_SHOWN = 5
"""Stacks in a message. The others are usually the same."""
_DEEP = 6
"""Frames of each stack in a message."""


class TookTooLong(AssertionError):
    """Operations did not end within their time limit. The message lists the waits and the holders of the locks."""


class Concurrently:
    """Runs one operation many times at the same time and returns all results, or explains what keeps it from ending.

        def test_a_hundred_stores_at_once(concurrently, memory):
            ids = concurrently.threads(memory.store, 100, within=5)
            assert len(set(ids)) == 100

        async def test_a_hundred_stores_at_once(concurrently, memory):
            ids = await concurrently.tasks(memory.store, 100, within=5)
            assert len(set(ids)) == 100

    The operation is called with its number, from 0. If some operations raise, the error of the lowest number is raised
    here, with a note that gives its number and how many others failed.
    """

    def threads(self, operation: Callable[[int], T], times: int = 100, *, within: float = 5.0) -> list[T]:
        """Return the results of `operation(0)`, `operation(1)`, ..., each called in its own thread at the same time.

        Args:
            operation: the function to call with each number.
            times: the number of calls.
            within: seconds that all calls together may take.

        Raises:
            TookTooLong: some did not end in time; their threads are left behind.
        """
        __tracebackhide__ = True
        deadline = time.monotonic() + within
        runs: _Runs[T] = _Runs(times, within)
        start = threading.Barrier(times)

        def run(number: int) -> None:
            start.wait()
            try:
                runs.results[number] = operation(number)
            except BaseException as error:
                runs.errors[number] = error

        threads = [
            threading.Thread(target=run, args=(number,), name=f"operation {number}", daemon=True)
            for number in range(times)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        late = [thread for thread in threads if thread.is_alive()]
        if late:
            raise runs.late({thread.name: stack_of(ThreadOrTask(thread.ident or 0)) for thread in late})
        return runs.in_order()

    async def tasks(
        self, operation: Callable[[int], Awaitable[T]], times: int = 100, *, within: float = 5.0
    ) -> list[T]:
        """Return the results of `operation(0)`, `operation(1)`, ..., each awaited in its own task at the same time.

        A wait for a lock for threads, of this library, can block the event loop. If it still does when the limit has
        passed, it is ended and raises TookTooLong. Anything else that blocks the loop cannot be ended: the limit is
        reported when the loop goes on, with its stack from the moment when the limit passed.

        Args:
            operation: the function to call with each number; its result is awaited.
            times: the number of tasks.
            within: seconds that all tasks together may take.

        Raises:
            TookTooLong: some did not end in time; they are cancelled.
        """
        import asyncio

        __tracebackhide__ = True
        runs: _Runs[T] = _Runs(times, within)
        here = threading.get_ident()

        async def run(number: int) -> None:
            try:
                runs.results[number] = await operation(number)
            except BaseException as error:
                runs.errors[number] = error

        with _BlockedLoop(within + _GRACE, runs) as guard:
            tasks = [asyncio.create_task(run(number), name=f"operation {number}") for number in range(times)]
            try:
                _, late = await asyncio.wait(tasks, timeout=within)
                error = guard.error
                if late and error is None:
                    error = runs.late({t.get_name(): stack_of(ThreadOrTask(here, t)) for t in tasks if t in late})
            finally:
                for task in tasks:
                    task.cancel()
            if error is not None:
                await asyncio.wait(tasks, timeout=_GRACE)  # so that they release what they hold
                raise error
        return runs.in_order()


class _Runs(Generic[T]):
    """The results and errors of the operations so far."""

    def __init__(self, times: int, within: float) -> None:
        self.times = times
        self.within = within
        self.results: dict[int, T] = {}
        self.errors: dict[int, BaseException] = {}

    def in_order(self) -> list[T]:
        """Return all results, or raise the first error."""
        __tracebackhide__ = True
        if self.errors:
            number = min(self.errors)
            error = self.errors[number]
            others = f"; {len(self.errors) - 1} others failed as well" if len(self.errors) > 1 else ""
            error.add_note(f"operation {number} of {self.times}{others}")
            raise error
        return [self.results[number] for number in range(self.times)]

    def late(self, stacks: dict[str, tuple[str, ...]]) -> TookTooLong:
        """Return the error that lists the waits, and the stacks of the operations that did not end."""
        open_ = self.times - len(self.results) - len(self.errors)
        lines = [f"{open_} of {self.times} operations did not end within {self.within:g} s"]
        lines += [f"{len(self.errors)} failed, the first with {self.errors[min(self.errors)]!r}"] if self.errors else []
        lines.append(waits_now())
        lines += [_at(name, stack) for name, stack in list(stacks.items())[:_SHOWN]]
        lines += [f"and {len(stacks) - _SHOWN} more"] if len(stacks) > _SHOWN else []
        return TookTooLong("\n".join(lines))


class _BlockedLoop:
    """Notices that the limit has passed while the event loop is blocked, and ends waits for locks that block it."""

    def __init__(self, after: float, runs: _Runs[Any]) -> None:
        self.error: TookTooLong | None = None
        self._after = after
        self._runs = runs
        self._loop_thread = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="time limit", daemon=True)

    def __enter__(self) -> Self:
        waits.make_endable(True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()  # so that it ends no later wait
        waits.make_endable(False)

    def _watch(self) -> None:
        after = self._after
        while not self._over.wait(after):
            self.error = self.error or self._runs.late({"the event loop": stack_of(ThreadOrTask(self._loop_thread))})
            for wait in waits.under_way():
                if wait.waiter == ThreadOrTask(self._loop_thread):
                    wait.end(TookTooLong(f"the wait for {wait.lock.name!r} blocked the event loop beyond the limit"))
            after = waits.SLICE  # the next operation may block it again


def held_by(wait: waits.Wait) -> str:
    """Return the names of the threads and tasks that must release the lock before the wait can end."""
    blockers = map(str, wait.lock.blockers(wait.meter.mode))
    return ", ".join(dict.fromkeys(blockers)) or "an unknown holder"


def waits_now() -> str:
    """Return one line for each lock that threads or tasks wait for, with their names and the holders."""
    waiting: dict[tuple[str, str, str], list[str]] = {}
    for wait in waits.under_way():
        lock = (wait.lock.name, wait.meter.mode, held_by(wait))
        waiting.setdefault(lock, []).append(str(wait.waiter))
    lines = [
        f"{_few(names)} {'wait' if len(names) > 1 else 'waits'} for {lock!r} ({mode}), held by {holders}"
        for (lock, mode, holders), names in waiting.items()
    ]
    return "\n".join(lines) or "nothing waits for a lock of mnemoscope"


def _few(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _at(name: str, stack: tuple[str, ...]) -> str:
    return "\n".join([f"{name} is at", *(f"    {place}" for place in stack[-_DEEP:] or ("its end",))])
