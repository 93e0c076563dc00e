"""`Condition`: `threading.Condition` on a lock that records."""

from __future__ import annotations

import threading
from typing import Any

from ..recording.registry import Registry
from .rlock import RLock
from .watch.places import creation_site


class Condition(threading.Condition):
    """`threading.Condition` on an `RLock` that records.

    Args:
        lock: the lock to use; it is recorded if it is a lock of this library. A new `RLock` if not given.
        name: its class, if no lock is given; see `Lock`.
        registry: where it records; the default registry if not given.

    Only waits for the lock are recorded, also the one after a notification. The wait for the notification is not.
    """

    def __init__(self, lock: Any = None, name: str | None = None, *, registry: Registry | None = None) -> None:
        if lock is None:
            lock = RLock(name or creation_site(), registry=registry)
        super().__init__(lock)
