"""`AsyncLock`: `asyncio.Lock` that records how it is used."""

from __future__ import annotations

import asyncio
from types import TracebackType

from ...recording.registry import Registry
from ..poison import Poisonable
from .recorded_primitive import RecordedPrimitive


class AsyncLock(RecordedPrimitive, asyncio.Lock, Poisonable):
    """`asyncio.Lock` that records.

    Args:
        name: its class, for metrics and for the order of locks; the place where it is made if not given.
        poison: mark it as poisoned when an `async with` block is left by an exception, cancellation included; see
            `poisoned` and `recover`.
        registry: where it records; the default registry if not given.

    A cycle of tasks that wait for each other is reported as a deadlock even if `asyncio.timeout` or `wait_for` is going
    to end one of the waits: such a limit cannot be seen. On Python 3.11, `wait_for(lock.acquire(), ...)` acquires in a
    separate task, which has then ended. So the holder is not known, a deadlock through it is reported as a stall, and
    any task may call `recover`.
    """

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        super().__init__()
        self._observe(name, registry)
        self._can_be_poisoned(poison)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._poison_if(failed=kind is not None)
        finally:
            self.release()

    def _is_held_by(self, thread: int) -> bool:
        return self._holds.held_by_caller()
