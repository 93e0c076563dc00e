"""The base of `AsyncLock` and `AsyncSemaphore`: it records what a primitive of asyncio does.

A subclass puts it before the primitive among its bases. So fairness, cancellation and the binding to one event loop
are those of the Python that runs.

It has the limits of asyncio's primitives: if a wait is closed after the lock was granted, or its event loop is closed
during the wait, the lock stays taken and cannot be used again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ...default import default_registry
from ...recording.registry import Registry
from ..meter import EXCLUSIVE
from ..watch import order
from ..watch.holders import tracker
from ..watch.places import creation_site
from ..watch.thread_or_task import ThreadOrTask
from ..watch.waits import Wait
from .holds import TaskHold, TaskHolds, caller_identity, running_task

if TYPE_CHECKING:

    class _Primitive:
        """What the primitives of asyncio have in common."""

        def locked(self) -> bool: ...
        async def acquire(self) -> Literal[True]: ...
        def release(self) -> None: ...
else:
    _Primitive = object


class RecordedPrimitive(_Primitive):
    """Records the waits and holds of the primitive that follows it among the bases."""

    _ordered = True  # takes part in the order of locks

    def _observe(self, name: str | None, registry: Registry | None) -> None:
        self.name = name or creation_site()
        self.registry = registry or default_registry()
        self._holds: TaskHolds[TaskHold] = TaskHolds(self, EXCLUSIVE, ordered=self._ordered)
        self._asking = 0  # acquisitions under way that found it taken

    async def acquire(self) -> Literal[True]:
        """Wait until it is free, take it, and return True, as asyncio's does."""
        if tracker.local is not None and self._ordered:
            order.add_edges(self, running_task())
        # It may be free for a moment, and yet promised to a task that asked before.
        waited = self._asking > 0 or self.locked()
        hold, taken = TaskHold(), False
        try:
            if waited:
                self._asking += 1
                try:
                    with Wait(self._holds.meter, self, caller_identity()) as wait:
                        taken = wait.taken = await super().acquire()
                finally:
                    self._asking -= 1
            else:
                taken = await super().acquire()
            self._holds.begin(self, hold, waited=waited)
            return True
        except BaseException:
            if taken:
                self._let_go(hold)
            raise

    def release(self) -> None:
        """Release it, as asyncio's does, including the error when there is nothing to release. Any task may."""
        hold = None
        for hold in self._holds.current:  # without a call, in which a signal handler could raise
            break
        try:
            if len(self._holds.current) > 1:
                hold = self._holds.of_caller() or hold
        finally:
            self._let_go(hold)

    def _let_go(self, hold: TaskHold | None) -> None:
        release = super().release
        try:
            release()
        finally:
            if hold is not None:
                try:
                    self._holds.end(hold)
                except BaseException:
                    self._holds.end(hold)
                    raise

    def blockers(self, mode: str) -> list[ThreadOrTask]:
        """Return the tasks that hold it; see `WatchedLock.blockers`."""
        return self._holds.holders()
