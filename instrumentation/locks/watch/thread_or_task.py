"""What waits for a lock or holds it: a thread, or a task and the thread of its event loop."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .places import Place, call_stack, in_locks

if TYPE_CHECKING:
    from asyncio import Task
    from types import FrameType


class ThreadOrTask(NamedTuple):
    """A thread or a task that asks for a lock, or holds it.

    Attributes:
        thread: `get_ident()` of the thread; of a task, the one that runs its event loop.
        task: the task, for the locks of tasks; None for those of threads.
    """

    thread: int
    task: Task[Any] | None = None

    @property
    def key(self) -> object:
        """What holds: the task if there is one, else the thread."""
        return self.thread if self.task is None else self.task

    def __str__(self) -> str:
        return described(self.thread, self.task)


task_finders: list[Callable[[], Task[Any] | None]] = []
"""Gives the task that runs in this thread; empty until the locks of tasks are imported, for others need no asyncio."""


def current_task() -> Task[Any] | None:
    """Return the task that runs in this thread; None if there is none, or if no locks of tasks are in use."""
    return task_finders[0]() if task_finders else None


def described(thread: int | None, task: Task[Any] | None = None) -> str:
    """Return a thread, or a task and the thread that runs it, for a person to read."""
    # Not `threading.enumerate`: it takes a lock, and this runs where any lock may be held. (The stubs lack `_active`.)
    found = threading._active.get(thread) if thread is not None else None  # type: ignore[attr-defined]
    thread_name = f"thread {found.name if found else thread}"
    if task is None:
        return thread_name
    return f"task {task.get_name()}" if thread is None else f"task {task.get_name()} on {thread_name}"


def stack_of(owner: ThreadOrTask, frames: Mapping[int, FrameType] | None = None) -> tuple[str, ...]:
    """Return where a thread or a suspended task is now, outermost call first; nothing if that cannot be seen.

    Args:
        owner: the thread or task.
        frames: `sys._current_frames()`, for several calls.
    """
    if owner.task is not None and (stack := _task_stack(owner.task)):
        return stack
    return call_stack((frames or sys._current_frames()).get(owner.thread))


def _task_stack(task: Task[Any]) -> tuple[str, ...]:
    """Return the places of a suspended task, from its own coroutine to what it awaits; nothing while it runs."""
    places: list[str] = []
    awaited: Any = task.get_coro()
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        if awaited.cr_running:
            return ()
        if not in_locks(frame):
            places.append(str(Place(frame.f_code, frame.f_lasti)))
        awaited = awaited.cr_await
    return tuple(places)
