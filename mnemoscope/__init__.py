"""Observability for agent-memory and vector-store services.

    import mnemoscope as scope

    @scope.index_write(index="spatiotemporal")
    def insert(episode): ...

    with scope.cache_lookup("redb") as lookup:
        lookup.hit = (value := cache.get(key)) is not None

    scope.serve(port=9464)  # /metrics /metrics.json /health /ready

Importing this needs the standard library alone.
"""

from mnemoscope.instrumentation import *  # noqa: F403
from mnemoscope.instrumentation import __all__ as __all__

__version__ = "0.1.0"
