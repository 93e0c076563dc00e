"""The locks that each thread and each task holds, while the order of locks is tracked.

A `Hold` is one lock that is held. A `Holder` is a thread or task with its holds. `Holders` are all of them, and
`tracker` is the switch. A lock that is acquired adds a hold to its holder, and removes the hold when it is released.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

from .places import Place, caller
from .thread_or_task import current_task, name_of

if TYPE_CHECKING:
    from asyncio import Task
    from types import CodeType

    from .waits import WatchedLock

_MOST_ENDED = 1000
_SWEPT_FROM = 256


class AnyHold(Protocol):
    """A lock that is held. It keeps code and instruction instead of the frame, which would keep all local variables.

    Attributes:
        lock: the lock.
        code: the code that took it.
        instruction: the index of the instruction in that code.
        task: the task that took it, if the lock is one of threads.
        holder: the holder that lists it; None once the lock is released.
    """

    @property
    def lock(self) -> WatchedLock: ...

    code: CodeType
    instruction: int
    task: Task[Any] | None
    holder: Holder | None


class Hold:
    """One hold of a lock. A `Lock` has at most one at a time, so the lock itself serves as its hold."""

    __slots__ = ("code", "holder", "instruction", "lock", "task")

    def __init__(self, lock: WatchedLock, holder: Holder, task: Task[Any] | None) -> None:
        frame = caller(1)
        self.lock = lock
        self.code = frame.f_code
        self.instruction = frame.f_lasti
        self.task = current_task() if task is None else None  # a holder that is a task has it already
        self.holder: Holder | None = holder

    def begin(self) -> None:
        """Add it to its holder. The caller must have stored it first, or an exception could prevent its `end`."""
        if self.holder is not None:
            self.holder.others.append(self)

    def end(self) -> None:
        """Remove it from its holder. Any thread may call this."""
        holder, self.holder = self.holder, None
        if holder is not None:
            holder.drop(self)


class Holder:
    """One thread or one task, with the locks that it holds.

    Attributes:
        first: a `Lock` that was taken while nothing else was held; an attribute costs less than a list.
        others: all other holds, oldest first.
        thread: `get_ident()` of the thread; None for a task.
    """

    __slots__ = ("_key", "_name", "_task", "first", "others", "thread")

    def __init__(self, thread: int | None, task: Task[Any] | None = None) -> None:
        self.first: AnyHold | None = None
        self.others: list[AnyHold] = []
        self.thread = thread
        self._key = id(task)
        self._task = weakref.ref(task) if task is not None else None
        self._name = name_of(thread, task)

    def drop(self, hold: AnyHold) -> None:
        """Remove a hold if it is listed."""
        if self.first is hold:
            self.first = None
        else:
            with suppress(ValueError):
                self.others.remove(hold)
        if self._task is not None and not self.others:
            tasks = tracker.holders.tasks
            if tasks.get(self._key) is self:  # else it is another task's at the same address, or tracking was restarted
                tasks.pop(self._key, None)

    def holds(self) -> list[AnyHold]:
        """Return the holds, oldest first. Drop those whose removal was interrupted by a signal handler's exception."""
        first = self.first
        holds = self.others[:] if first is None else [first, *self.others]
        for hold in holds[:]:
            if hold.holder is not self:
                self.drop(hold)
                holds.remove(hold)
        return holds

    def is_task(self, task: Task[Any]) -> bool:
        """Return whether the holder is this task; a holder of an ended task can be listed under the same address."""
        return self._task is not None and self._task() is task

    def has_ended(self) -> bool:
        """Return whether the thread or task has ended, so that it cannot release any more."""
        if self._task is not None:
            task = self._task()
            return task is None or task.done()
        return tracker.holders.threads.get(self.thread or 0) is not self or self.thread not in sys._current_frames()

    def __str__(self) -> str:
        task = self._task() if self._task is not None else None
        return self._name if self.has_ended() else name_of(self.thread, task)


class Holders:
    """All holders, by thread and by task."""

    def __init__(self) -> None:
        self.threads: dict[int, Holder] = {}
        self.tasks: dict[int, Holder] = {}
        self._ended: deque[Holder] = deque(maxlen=_MOST_ENDED)
        self._sweep_from = _SWEPT_FROM

    def of_new_thread(self, thread: int) -> Holder:
        """Return a new holder for a thread. A thread that has ended may have had the same identity."""
        holder = Holder(thread)
        self._keep(self.threads.get(thread))
        self.threads[thread] = holder
        if len(self.threads) > self._sweep_from:
            alive = sys._current_frames()
            for other, its_holder in self.threads.copy().items():
                if other not in alive and not its_holder.holds():
                    self.threads.pop(other, None)
            self._sweep_from = max(_SWEPT_FROM, 2 * len(self.threads))
        return holder

    def of_task(self, task: Task[Any]) -> Holder:
        """Return the holder of a task. A task that has ended may have had the same address."""
        holder = self.tasks.get(id(task))
        if holder is None or not holder.is_task(task):
            self._keep(holder)
            holder = self.tasks[id(task)] = Holder(None, task)
        return holder

    def held_by(self, task: Task[Any]) -> list[AnyHold]:
        """Return the holds of a task."""
        holder = self.tasks.get(id(task))
        return holder.holds() if holder is not None and holder.is_task(task) else []

    def _keep(self, holder: Holder | None) -> None:
        if holder is not None and holder.holds():
            self._ended.append(holder)

    def __iter__(self) -> Iterator[Holder]:
        """Iterate over the holders that hold something."""
        for holder in (*self.threads.copy().values(), *self.tasks.copy().values(), *self._ended.copy()):
            if holder.holds():
                yield holder


class _Local(threading.local):
    """The holder of the running thread."""

    def __init__(self, holders: Holders) -> None:
        self.holder = holders.of_new_thread(get_ident())


class Tracker:
    """Switches tracking on and off.

    Attributes:
        local: its `holder` is the running thread's; None while the order of locks is not tracked.
        holders: all holders since tracking was switched on.
    """

    __slots__ = ("holders", "local")

    def __init__(self) -> None:
        self.switch(on=False)

    def switch(self, *, on: bool) -> None:
        """Begin or end tracking. Locks that were taken before count as free."""
        self.holders = holders = Holders()
        self.local = _Local(holders) if on else None

    def hold(self, lock: WatchedLock, task: Task[Any] | None = None) -> Hold | None:
        """Return a hold of this thread, or of the task, that the caller begins; None while nothing is tracked."""
        local = self.local
        if local is None:
            return None
        return Hold(lock, local.holder if task is None else self.holders.of_task(task), task)


tracker = Tracker()
"""The tracker of this process."""


def place_of(hold: AnyHold) -> Place:
    """Return where a lock was taken."""
    return Place(hold.code, hold.instruction)
