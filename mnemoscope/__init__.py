"""Observability for agent-memory and vector-store services.

    import mnemoscope as scope

    @scope.index_write(index="spatiotemporal")
    def insert(episode): ...

    with scope.cache_lookup("redb") as lookup:
        lookup.hit = (value := cache.get(key)) is not None

    scope.serve(port=9464)  # /metrics /metrics.json /health /ready

Importing this package needs the standard library only.
"""

from typing import TYPE_CHECKING

from mnemoscope.instrumentation import *  # noqa: F403

__version__ = "0.1.0"

# These are imported on first use.
if TYPE_CHECKING:
    from mnemoscope.instrumentation import ASGIMiddleware as ASGIMiddleware
    from mnemoscope.instrumentation import AsyncBoundedSemaphore as AsyncBoundedSemaphore
    from mnemoscope.instrumentation import AsyncCondition as AsyncCondition
    from mnemoscope.instrumentation import AsyncLock as AsyncLock
    from mnemoscope.instrumentation import AsyncRWLock as AsyncRWLock
    from mnemoscope.instrumentation import AsyncSemaphore as AsyncSemaphore
    from mnemoscope.instrumentation import DeferredWrites as DeferredWrites
    from mnemoscope.instrumentation import ObservedLock as ObservedLock
    from mnemoscope.instrumentation import OtlpPusher as OtlpPusher
    from mnemoscope.instrumentation import RequestRecording as RequestRecording
    from mnemoscope.instrumentation import RWLock as RWLock
    from mnemoscope.instrumentation import Server as Server
    from mnemoscope.instrumentation import SnapshotCollector as SnapshotCollector
    from mnemoscope.instrumentation import WSGIMiddleware as WSGIMiddleware
    from mnemoscope.instrumentation import observe_lock as observe_lock
else:
    from mnemoscope.instrumentation import __getattr__ as __getattr__
