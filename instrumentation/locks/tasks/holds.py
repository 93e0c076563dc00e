"""The holds of a lock for tasks: which task holds it, and since when."""

from __future__ import annotations

import asyncio
import weakref
from asyncio import current_task
from threading import get_ident
from time import perf_counter
from typing import Any, Generic, TypeVar

from ..meter import Meter, meter_of
from ..watch.holders import Hold, tracker
from ..watch.places import pass_over
from ..watch.thread_or_task import ThreadOrTask, task_finders
from ..watch.waits import WatchedLock


def running_task() -> asyncio.Task[Any] | None:
    """Return the task that runs in this thread, or None if none does."""
    loop = asyncio._get_running_loop()
    return None if loop is None else current_task(loop)


task_finders[:] = [running_task]
pass_over(asyncio.locks.__file__)  # `async with lock` and `Condition.wait` acquire from there


def caller_identity() -> ThreadOrTask:
    """Return the running task, or this thread in a callback."""
    return ThreadOrTask(get_ident(), running_task())


class TaskHold:
    """One hold of a lock by a task, or by a thread in a callback. It does not keep the task, which may end first.

    Attributes:
        since: when the hold began; 0 before that.
        tracked: the same hold as tracked for the order of locks.
    """

    __slots__ = ("_task", "_thread", "since", "tracked")

    def __init__(self) -> None:
        self._thread, task = caller_identity()
        self._task = None if task is None else weakref.ref(task)
        self.since = 0.0
        self.tracked: Hold | None = None

    def holder(self) -> ThreadOrTask | None:
        """Return the thread or task that holds; None if it was a task that has ended."""
        if self._task is None:
            return ThreadOrTask(self._thread)
        task = self._task()
        return None if task is None or task.done() else ThreadOrTask(self._thread, task)


AnyTaskHold = TypeVar("AnyTaskHold", bound=TaskHold)


class TaskHolds(Generic[AnyTaskHold]):
    """The holds of one lock in one mode.

    Only the thread of the lock's event loop changes them. Other threads may read at any time.

    Attributes:
        meter: records the holds.
        current: the holds that have the lock, oldest first. Each change is one step, within which no signal is handled.
    """

    __slots__ = ("_ordered", "current", "meter")

    def __init__(self, lock: WatchedLock, mode: str, *, ordered: bool = True) -> None:
        self._ordered = ordered
        self.meter: Meter = meter_of(lock.registry, lock.name, mode)
        self.current: dict[AnyTaskHold, None] = {}

    def begin(self, lock: WatchedLock, hold: AnyTaskHold, *, waited: bool) -> None:
        """Note that the caller holds the lock now. A wait for it has recorded itself."""
        self.current[hold] = None
        if self._ordered:
            hold.tracked = tracked = tracker.hold(lock, running_task())
            if tracked is not None:
                tracked.begin()
        if not waited:
            self.meter.record_no_wait()
        hold.since = perf_counter()

    def end(self, hold: AnyTaskHold) -> None:
        """Record that a hold has ended. After an interruption, it may be called again."""
        self.current.pop(hold, None)
        if hold.tracked is not None:
            hold.tracked.end()
        since, hold.since = hold.since, 0.0
        if since:
            self.meter.record_hold(perf_counter() - since)

    def of_caller(self) -> AnyTaskHold | None:
        """Return the caller's oldest hold."""
        me = caller_identity()
        for hold in self.current.copy():
            if hold.since and hold.holder() == me:
                return hold
        return None

    def held_by_caller(self) -> bool:
        """Return whether the caller holds the lock, or a task that ended, which may have taken it for the caller."""
        me = caller_identity()
        return any(hold.since and hold.holder() in (me, None) for hold in self.current.copy())

    def holders(self) -> list[ThreadOrTask]:
        """Return the threads and tasks that hold the lock and have not ended."""
        return [holder for hold in self.current.copy() if hold.since and (holder := hold.holder()) is not None]
