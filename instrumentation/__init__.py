"""Record and export: everything that a service imports, on the standard library alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import catalog
from .default import configure, counter, declare, default_registry, gauge, histogram, share_directory, snapshot
from .exporters.api import (
    asgi_app,
    health,
    otlp,
    prometheus_collector,
    serve,
    set_not_ready,
    set_ready,
    wsgi_app,
)
from .exporters.health import Health, Readiness
from .exporters.process_gauges import observe_process
from .locks import (
    BoundedSemaphore,
    Condition,
    Edge,
    Incident,
    Inversion,
    Lock,
    RLock,
    Semaphore,
    configure_locks,
    debug_locks,
)
from .middleware.current import current_request
from .probes import (
    CacheLookup,
    Consolidation,
    InFlightOperation,
    Recall,
    RequestOperation,
    StorageOperation,
    cache_lookup,
    completion,
    consolidation,
    in_flight,
    index_write,
    lock_hold,
    lock_wait,
    recall,
    request,
    storage,
    timed,
    vector_search,
)
from .probes.error_kinds import error_kind
from .probes.operation import Operation, Probe
from .probes.per_call import PerCall, per_call
from .recording.registry import RecordingError, Registry
from .recording.series import Counter, Gauge, Histogram
from .recording.snapshot import Exemplar, Family, HistogramPoint, NumberPoint, Snapshot

__all__ = [
    "BoundedSemaphore",
    "CacheLookup",
    "Condition",
    "Consolidation",
    "Counter",
    "Edge",
    "Exemplar",
    "Family",
    "Gauge",
    "Health",
    "Histogram",
    "HistogramPoint",
    "InFlightOperation",
    "Incident",
    "Inversion",
    "Lock",
    "NumberPoint",
    "Operation",
    "PerCall",
    "Probe",
    "RLock",
    "Readiness",
    "Recall",
    "RecordingError",
    "Registry",
    "RequestOperation",
    "Semaphore",
    "Snapshot",
    "StorageOperation",
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
    "in_flight",
    "index_write",
    "lock_hold",
    "lock_wait",
    "observe_process",
    "otlp",
    "per_call",
    "prometheus_collector",
    "recall",
    "request",
    "serve",
    "set_not_ready",
    "set_ready",
    "share_directory",
    "snapshot",
    "storage",
    "timed",
    "vector_search",
    "wsgi_app",
]

# Imported at first use. Locks of tasks need asyncio; few services use every kind of lock, and most use one middleware
# or none. A service that only records needs no exporter.
if TYPE_CHECKING:
    from .exporters.http.server import Server as Server
    from .exporters.otlp.pusher import OtlpPusher as OtlpPusher
    from .exporters.prometheus_bridge import SnapshotCollector as SnapshotCollector
    from .locks.deferred import DeferredWrites as DeferredWrites
    from .locks.observed import ObservedLock as ObservedLock
    from .locks.observed import observe_lock as observe_lock
    from .locks.rwlock import RWLock as RWLock
    from .locks.tasks.condition import AsyncCondition as AsyncCondition
    from .locks.tasks.lock import AsyncLock as AsyncLock
    from .locks.tasks.rwlock import AsyncRWLock as AsyncRWLock
    from .locks.tasks.semaphores import AsyncBoundedSemaphore as AsyncBoundedSemaphore
    from .locks.tasks.semaphores import AsyncSemaphore as AsyncSemaphore
    from .middleware.asgi import ASGIMiddleware as ASGIMiddleware
    from .middleware.request_recording import RequestRecording as RequestRecording
    from .middleware.wsgi import WSGIMiddleware as WSGIMiddleware

else:  # hidden from type checkers, for which a module with `__getattr__` has every name
    _LATE = {
        "ASGIMiddleware": ".middleware.asgi",
        "AsyncBoundedSemaphore": ".locks.tasks.semaphores",
        "AsyncCondition": ".locks.tasks.condition",
        "AsyncLock": ".locks.tasks.lock",
        "AsyncRWLock": ".locks.tasks.rwlock",
        "AsyncSemaphore": ".locks.tasks.semaphores",
        "DeferredWrites": ".locks.deferred",
        "ObservedLock": ".locks.observed",
        "OtlpPusher": ".exporters.otlp.pusher",
        "RWLock": ".locks.rwlock",
        "RequestRecording": ".middleware.request_recording",
        "Server": ".exporters.http.server",
        "SnapshotCollector": ".exporters.prometheus_bridge",
        "WSGIMiddleware": ".middleware.wsgi",
        "observe_lock": ".locks.observed",
    }

    def __getattr__(name: str) -> object:
        if name not in _LATE:
            raise AttributeError(f"module {__name__.removesuffix('.instrumentation')!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_LATE[name], __name__), name)
