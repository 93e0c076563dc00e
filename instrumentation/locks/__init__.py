"""Locks that record: wait, hold, contention, order inversions, stalls and deadlocks.

    episodes = scope.Lock("episodes")
    index = scope.RWLock("spatiotemporal")
    legacy = scope.observe_lock(library.lock, name="library")
    scope.configure_locks(order="on")        # in tests and staging: report locks taken in both orders

Each is used as the one of `threading` that it stands for. A further kind of lock builds on `meter.take`.
"""

from __future__ import annotations

from .condition import Condition
from .lock import Lock
from .rlock import RLock
from .semaphores import BoundedSemaphore, Semaphore
from .settings import apply_environment, configure_locks, debug_locks
from .watch.order import Edge, Inversion
from .watch.watchdog import Incident

apply_environment()

__all__ = [
    "BoundedSemaphore",
    "Condition",
    "Edge",
    "Incident",
    "Inversion",
    "Lock",
    "RLock",
    "Semaphore",
    "configure_locks",
    "debug_locks",
]
