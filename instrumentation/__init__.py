"""Record and export: everything a service imports, on the standard library alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import catalog
from .errors import error_kind
from .exposition import asgi_app, health, not_ready, otlp, prometheus_collector, ready, serve, wsgi_app
from .locks import (
    BoundedSemaphore,
    Condition,
    DeferredWrites,
    Lock,
    ObservedLock,
    RLock,
    RWLock,
    Semaphore,
    configure_locks,
    debug_locks,
    observe_lock,
)
from .middleware import ASGIMiddleware, WSGIMiddleware, current_request
from .operation import Probe
from .percall import per_call
from .probes import (
    cache_lookup,
    completion,
    consolidation,
    index_write,
    lock_hold,
    lock_wait,
    recall,
    request,
    storage,
    timed,
    vector_search,
)
from .process import observe_process
from .registry import RecordingError, Registry, configure, default_registry
from .series import Counter, Gauge, Histogram
from .shortcuts import counter, declare, gauge, histogram, snapshot

__all__ = [
    "ASGIMiddleware",
    "BoundedSemaphore",
    "Condition",
    "Counter",
    "DeferredWrites",
    "Gauge",
    "Histogram",
    "Lock",
    "ObservedLock",
    "Probe",
    "RLock",
    "RWLock",
    "RecordingError",
    "Registry",
    "Semaphore",
    "WSGIMiddleware",
    "asgi_app",
    "cache_lookup",
    "catalog",
    "completion",
    "configure",
    "configure_locks",
    "consolidation",
    "counter",
    "current_request",
    "debug_locks",
    "declare",
    "default_registry",
    "error_kind",
    "gauge",
    "health",
    "histogram",
    "index_write",
    "lock_hold",
    "lock_wait",
    "not_ready",
    "observe_lock",
    "observe_process",
    "otlp",
    "per_call",
    "prometheus_collector",
    "ready",
    "recall",
    "request",
    "serve",
    "snapshot",
    "storage",
    "timed",
    "vector_search",
    "wsgi_app",
]

# Locks of tasks need asyncio, which a service of threads has no use for: they are imported when first asked for.
if TYPE_CHECKING:
    from .locks.aio import AsyncBoundedSemaphore as AsyncBoundedSemaphore
    from .locks.aio import AsyncCondition as AsyncCondition
    from .locks.aio import AsyncLock as AsyncLock
    from .locks.aio import AsyncSemaphore as AsyncSemaphore
    from .locks.aio_rwlock import AsyncRWLock as AsyncRWLock

else:  # out of sight of type checkers, to which a module with `__getattr__` has every name

    def __getattr__(name: str) -> object:
        if name == "AsyncRWLock":
            from .locks import aio_rwlock as module
        elif name in ("AsyncBoundedSemaphore", "AsyncCondition", "AsyncLock", "AsyncSemaphore"):
            from .locks import aio as module
        else:
            raise AttributeError(f"module {__name__.removesuffix('.instrumentation')!r} has no attribute {name!r}")
        return getattr(module, name)
