"""The probes of an agent-memory service.

Each is a decorator and a context manager, for functions, coroutines, generators, async generators and methods.
A probe never raises into the service and never waits for another thread.
"""

from .cache import CacheLookup, cache_lookup
from .in_flight import InFlightOperation, completion, in_flight, lock_wait
from .memory import Consolidation, Recall, consolidation, recall
from .requests import RequestOperation, request
from .storage import StorageOperation, storage
from .timed import index_write, lock_hold, timed, vector_search

__all__ = [
    "CacheLookup",
    "Consolidation",
    "InFlightOperation",
    "Recall",
    "RequestOperation",
    "StorageOperation",
    "cache_lookup",
    "completion",
    "consolidation",
    "in_flight",
    "index_write",
    "lock_hold",
    "lock_wait",
    "recall",
    "request",
    "storage",
    "timed",
    "vector_search",
]
