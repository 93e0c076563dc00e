"""What each thread and each task holds, while the order of locks is tracked."""

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
from .thread_or_task import current_task, described

if TYPE_CHECKING:
    from asyncio import Task
    from types import CodeType

    from .waits import WatchedLock

_MOST_ENDED = 1000
_SWEPT_FROM = 256


class AnyHold(Protocol):
    """A lock that is held. It notes code and instruction, not the frame, which would keep all that the code works on.

    Attributes:
        lock: the lock.
        code: what took it.
        instruction: where, in that code.
        task: what ran there, if that was a task and the lock is one of threads.
        held: the list that it is in; None once the lock is released.
    """

    @property
    def lock(self) -> WatchedLock: ...

    code: CodeType
    instruction: int
    task: Task[Any] | None
    holder: Holder | None


class Hold:
    """One hold of a lock; a `Lock`, which has no more than one at a time, is its own."""

    __slots__ = ("code", "holder", "instruction", "lock", "task")

    def __init__(self, lock: WatchedLock, holder: Holder, task: Task[Any] | None) -> None:
        frame = caller(1)
        self.lock = lock
        self.code = frame.f_code
        self.instruction = frame.f_lasti
        self.task = current_task() if task is None else None  # what a task holds is in a list of its own
        self.holder: Holder | None = holder

    def begin(self) -> None:
        """Add it to what is held; once it is kept where `end` will be called, whatever comes between."""
        if self.holder is not None:
            self.holder.others.append(self)

    def end(self) -> None:
        """Take it from what is held; any thread may."""
        holder, self.holder = self.holder, None
        if holder is not None:
            holder.drop(self)


class Holder:
    """What one thread or one task holds.

    Attributes:
        first: a `Lock` that was taken while nothing else was held: setting it costs less than a list.
        others: all others, oldest first.
        thread: `get_ident()` of the thread; None for a task.
    """

    __slots__ = ("_key", "_name", "_task", "first", "others", "thread")

    def __init__(self, thread: int | None, task: Task[Any] | None = None) -> None:
        self.first: AnyHold | None = None
        self.others: list[AnyHold] = []
        self.thread = thread
        self._key = id(task)
        self._task = weakref.ref(task) if task is not None else None
        self._name = described(thread, task)

    def drop(self, hold: AnyHold) -> None:
        """Remove a hold, if it is there."""
        if self.first is hold:
            self.first = None
        else:
            with suppress(ValueError):
                self.others.remove(hold)
        if self._task is not None and not self.others:
            tasks = tracker.holders.tasks
            if tasks.get(self._key) is self:  # not that of another task at the same address, or of a later book
                tasks.pop(self._key, None)

    def holds(self) -> list[AnyHold]:
        """Return what is held, oldest first; what a signal handler's exception kept from being removed is removed."""
        first = self.first
        holds = self.others[:] if first is None else [first, *self.others]
        for hold in holds[:]:
            if hold.holder is not self:
                self.drop(hold)
                holds.remove(hold)
        return holds

    def is_of(self, task: Task[Any]) -> bool:
        """Return whether it is this task's; another may have had its address."""
        return self._task is not None and self._task() is task

    def has_ended(self) -> bool:
        """Return whether nothing is left that could release: the thread or the task has ended."""
        if self._task is not None:
            task = self._task()
            return task is None or task.done()
        return tracker.holders.threads.get(self.thread or 0) is not self or self.thread not in sys._current_frames()

    def __str__(self) -> str:
        task = self._task() if self._task is not None else None
        return self._name if self.has_ended() else described(self.thread, task)


class Holders:
    """All that is held, by thread and by task."""

    def __init__(self) -> None:
        self.threads: dict[int, Holder] = {}
        self.tasks: dict[int, Holder] = {}
        self._ended: deque[Holder] = deque(maxlen=_MOST_ENDED)
        self._sweep_from = _SWEPT_FROM

    def of_new_thread(self, thread: int) -> Holder:
        """Return the list of a thread that has none; one that has ended may have had the same identity."""
        holder = Holder(thread)
        self._keep(self.threads.get(thread))
        self.threads[thread] = holder
        if len(self.threads) > self._sweep_from:
            alive = sys._current_frames()
            for other, its in self.threads.copy().items():
                if other not in alive and not its.holds():
                    self.threads.pop(other, None)
            self._sweep_from = max(_SWEPT_FROM, 2 * len(self.threads))
        return holder

    def of_task(self, task: Task[Any]) -> Holder:
        """Return the list of a task; one that has ended may have had the same address."""
        holder = self.tasks.get(id(task))
        if holder is None or not holder.is_of(task):
            self._keep(holder)
            holder = self.tasks[id(task)] = Holder(None, task)
        return holder

    def held_by(self, task: Task[Any]) -> list[AnyHold]:
        """Return what a task holds."""
        holder = self.tasks.get(id(task))
        return holder.holds() if holder is not None and holder.is_of(task) else []

    def _keep(self, holder: Holder | None) -> None:
        if holder is not None and holder.holds():
            self._ended.append(holder)

    def __iter__(self) -> Iterator[Holder]:
        """Iterate over the lists that hold something."""
        for holder in (*self.threads.copy().values(), *self.tasks.copy().values(), *self._ended.copy()):
            if holder.holds():
                yield holder


class _Local(threading.local):
    """What the running thread holds."""

    def __init__(self, holders: Holders) -> None:
        self.holder = holders.of_new_thread(get_ident())


class Tracker:
    """The switch, and what is held since it was switched on.

    Attributes:
        local: what the running thread holds; None while order is not tracked.
        holders: what all hold.
    """

    __slots__ = ("holders", "local")

    def __init__(self) -> None:
        self.switch(on=False)

    def switch(self, *, on: bool) -> None:
        """Begin or end tracking. What was taken before is not known to be held."""
        self.holders = holders = Holders()
        self.local = _Local(holders) if on else None

    def hold(self, lock: WatchedLock, task: Task[Any] | None = None) -> Hold | None:
        """Return a hold of this thread, or of the task, to be begun; None while order is not tracked."""
        local = self.local
        if local is None:
            return None
        return Hold(lock, local.holder if task is None else self.holders.of_task(task), task)


tracker = Tracker()
"""The one of this process."""


def place(hold: AnyHold) -> Place:
    """Return where a lock was taken."""
    return Place(hold.code, hold.instruction)
