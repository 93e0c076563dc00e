"""Record and export: everything a service imports, on the standard library alone."""

from __future__ import annotations

from . import catalog
from .errors import error_kind
from .exposition import asgi_app, health, not_ready, otlp, prometheus_collector, ready, serve, wsgi_app
from .locks import ObservedLock, observe_lock
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
    "Counter",
    "Gauge",
    "Histogram",
    "ObservedLock",
    "Probe",
    "RecordingError",
    "Registry",
    "asgi_app",
    "cache_lookup",
    "catalog",
    "completion",
    "configure",
    "consolidation",
    "counter",
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
