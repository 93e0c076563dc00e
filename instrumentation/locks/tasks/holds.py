"""What holds a lock of tasks, since when, and how often it was taken: what every such lock notes at each use."""

from __future__ import annotations

import asyncio
import weakref
from asyncio import current_task
from threading import get_ident
from time import perf_counter
from typing import Any, Generic, TypeVar

from ..meter import Meter, meter_of
from ..watch.held import Hold, tracker
from ..watch.owners import Owner, task_finders
from ..watch.places import pass_over
from ..watch.waits import Subject


def running_task() -> asyncio.Task[Any] | None:
    """Return the task that runs in this thread, if one does."""
    loop = asyncio._get_running_loop()
    return None if loop is None else current_task(loop)


task_finders[:] = [running_task]
pass_over(asyncio.locks.__file__)  # `async with lock` and `Condition.wait` acquire from there


def myself() -> Owner:
    """Return what asks for a lock here: the running task, or this thread in a callback."""
    return Owner(get_ident(), running_task())


class Use:
    """One use of a lock, by a task, or by a thread in a callback. It does not keep the task, which may end first.

    Attributes:
        since: when its hold began; 0 before.
        hold: what the order of locks notes of it.
    """

    __slots__ = ("_task", "_thread", "hold", "since")

    def __init__(self) -> None:
        self._thread, task = myself()
        self._task = None if task is None else weakref.ref(task)
        self.since = 0.0
        self.hold: Hold | None = None

    def owner(self) -> Owner | None:
        """Return what uses it; None if that was a task that has ended."""
        if self._task is None:
            return Owner(self._thread)
        task = self._task()
        return None if task is None or task.done() else Owner(self._thread, task)


AnyUse = TypeVar("AnyUse", bound=Use)


class Uses(Generic[AnyUse]):
    """The uses of one lock in one mode.

    Only the thread of the lock's event loop changes them; others may read at any time.

    Attributes:
        meter: where they are recorded.
        holds: those that have the lock, oldest first; changed in single steps, between which no signal is handled.
    """

    __slots__ = ("_ordered", "holds", "meter")

    def __init__(self, lock: Subject, mode: str, *, ordered: bool = True) -> None:
        self._ordered = ordered
        self.meter: Meter = meter_of(lock.registry, lock.name, mode)
        self.holds: dict[AnyUse, None] = {}

    def began(self, lock: Subject, use: AnyUse, *, waited: bool) -> None:
        """Note that what runs here holds it now; a wait has recorded itself."""
        self.holds[use] = None
        if self._ordered:
            use.hold = hold = tracker.hold(lock, running_task())
            if hold is not None:
                hold.begin()
        if not waited:
            self.meter.took()
        use.since = perf_counter()

    def mine(self) -> AnyUse | None:
        """Return a hold of what runs here, the oldest."""
        me = myself()
        for use in self.holds.copy():
            if use.since and use.owner() == me:
                return use
        return None

    def ended(self, use: AnyUse) -> None:
        """Record that a hold has ended; what was interrupted may be repeated."""
        self.holds.pop(use, None)
        if use.hold is not None:
            use.hold.end()
        since, use.since = use.since, 0.0
        if since:
            self.meter.held(perf_counter() - since)

    def by_me(self) -> bool:
        """Return whether what runs here holds it, or a task that has ended, which may have taken it for this one."""
        me = myself()
        return any(use.since and use.owner() in (me, None) for use in self.holds.copy())

    def owners(self) -> list[Owner]:
        """Return what holds it and has not ended."""
        return [owner for use in self.holds.copy() if use.since and (owner := use.owner()) is not None]
