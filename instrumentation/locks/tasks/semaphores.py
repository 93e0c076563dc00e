"""`AsyncSemaphore` and `AsyncBoundedSemaphore`: the semaphores of asyncio, which record how they are used."""

from __future__ import annotations

import asyncio

from ...recording.registry import Registry
from ..watch.thread_or_task import ThreadOrTask
from .recorded_primitive import RecordedPrimitive


class AsyncSemaphore(RecordedPrimitive, asyncio.Semaphore):
    """`asyncio.Semaphore` that records; a hold is one permit.

    Args:
        value: the number of permits at first.
        name: its class; see `AsyncLock`.
        registry: where it records; the default registry if not given.

    Permits have no owner, so a semaphore takes no part in the order of locks, and a wait for a permit can only stall.

    Raises:
        ValueError: `value` is negative.
    """

    _ordered = False

    def __init__(self, value: int = 1, name: str | None = None, *, registry: Registry | None = None) -> None:
        super().__init__(value)
        self._observe(name, registry)

    def blockers(self, mode: str) -> list[ThreadOrTask]:
        """Return nothing, because any task may release a permit."""
        return []


class AsyncBoundedSemaphore(AsyncSemaphore, asyncio.BoundedSemaphore):
    """`asyncio.BoundedSemaphore` that records: releasing more than was acquired raises ValueError.

    Its arguments and errors are those of `AsyncSemaphore`.
    """

    def __init__(self, value: int = 1, name: str | None = None, *, registry: Registry | None = None) -> None:
        super().__init__(value, name, registry=registry)
