"""`AsyncCondition`: `asyncio.Condition` on a lock that records."""

from __future__ import annotations

import asyncio

from ...recording.registry import Registry
from .lock import AsyncLock


class AsyncCondition(asyncio.Condition):
    """`asyncio.Condition` on an `AsyncLock` that records.

    Args:
        lock: the lock to use; it is recorded if it is a lock of this library. A new `AsyncLock` if not given.
        name: its class, if no lock is given; see `AsyncLock`.
        registry: where it records; the default registry if not given.

    Only waits for the lock are recorded, also the one after a notification. The wait for the notification is not.
    """

    def __init__(
        self, lock: asyncio.Lock | None = None, name: str | None = None, *, registry: Registry | None = None
    ) -> None:
        super().__init__(AsyncLock(name, registry=registry) if lock is None else lock)
