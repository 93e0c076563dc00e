"""The identity, name and stack of a thread or task that waits for a lock or holds it."""

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
    """A thread or a task that waits for a lock, or holds it.

    Attributes:
        thread: `get_ident()` of the thread, or of the thread that runs the task's event loop.
        task: the task, for locks of tasks; None for locks of threads.
    """

    thread: int
    task: Task[Any] | None = None

    @property
    def key(self) -> object:
        """The task if there is one, else the thread."""
        return self.thread if self.task is None else self.task

    def __str__(self) -> str:
        return name_of(self.thread, self.task)


task_finders: list[Callable[[], Task[Any] | None]] = []
"""Returns the task that runs in this thread. Empty until locks of tasks are imported: other locks need no asyncio."""


def current_task() -> Task[Any] | None:
    """Return the task that runs in this thread; None if there is none, or if no locks of tasks are in use."""
    return task_finders[0]() if task_finders else None


def name_of(thread: int | None, task: Task[Any] | None = None) -> str:
    """Return the name of a thread, or of a task and the thread that runs it."""
    # `threading.enumerate` takes a lock, and this runs while any lock may be held. (The stubs lack `_active`.)
    found = threading._active.get(thread) if thread is not None else None  # type: ignore[attr-defined]
    thread_name = f"thread {found.name if found else thread}"
    if task is None:
        return thread_name
    return f"task {task.get_name()}" if thread is None else f"task {task.get_name()} on {thread_name}"


def stack_of(which: ThreadOrTask, frames: Mapping[int, FrameType] | None = None) -> tuple[str, ...]:
    """Return where a thread or a suspended task is now, outermost call first; empty if that cannot be seen.

    Args:
        which: the thread or task.
        frames: the result of `sys._current_frames()`, to share it among several calls.
    """
    if which.task is not None and (stack := _task_stack(which.task)):
        return stack
    return call_stack((frames or sys._current_frames()).get(which.thread))


def _task_stack(task: Task[Any]) -> tuple[str, ...]:
    """Return the places of a suspended task, from its own coroutine to what it awaits; empty while the task runs."""
    places: list[str] = []
    awaited: Any = task.get_coro()
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        if awaited.cr_running:
            return ()
        if not in_locks(frame):
            places.append(str(Place(frame.f_code, frame.f_lasti)))
        awaited = awaited.cr_await
    return tuple(places)
