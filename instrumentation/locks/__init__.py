"""Drop-in locks that record wait and hold times and detect lock-order inversions, stalls and deadlocks.

Each lock has the interface of the lock of `threading` or `asyncio` that it replaces:

    episodes = scope.Lock("episodes")                  # also RLock, Semaphore, BoundedSemaphore, Condition
    with episodes:
        ...
    if episodes.acquire(timeout=0.1):                  # a wait that reaches its limit counts as a timeout
        episodes.release()

    index = scope.RWLock("spatiotemporal")             # readers together, writers alone
    with index.read(): ...
    with index.write(): ...

    cache = scope.AsyncLock("cache")                   # also AsyncSemaphore, AsyncBoundedSemaphore, AsyncCondition
    async with cache: ...
    concepts = scope.AsyncRWLock("concepts")
    async with concepts.read(): ...

    legacy = scope.observe_lock(library.lock, name="library")      # a lock of another library
    with legacy: ...

    writes = scope.DeferredWrites(episodes, limit=1000)            # writes that never wait for a busy lock
    writes.do(insert, episode)

    scope.configure_locks(order="on")                  # in tests and staging: report locks taken in both orders
    scope.debug_locks()                                # what is held, waiting and found, as data for JSON

The folder has one module for each kind of lock. `acquire` is how each of them takes its primitive, `meter` and
`use_counts` record, `watch/` finds inversions, stalls and deadlocks, and `tasks/` has the locks for asyncio.
"""

from __future__ import annotations

from .condition import Condition
from .lock import Lock
from .rlock import RLock
from .semaphores import BoundedSemaphore, Semaphore
from .settings import apply_environment, configure_locks, debug_locks
from .watch.incidents import Incident
from .watch.order import Edge, Inversion

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
