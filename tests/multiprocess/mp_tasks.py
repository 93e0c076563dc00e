"""Short work that records, for workers of pools whose environment sets the shared directory."""

from __future__ import annotations

import mnemoscope as scope
from mnemoscope import catalog


def task(number: int) -> int:
    """Record one event of a counter and one of a histogram."""
    scope.counter(catalog.CACHE_STALE_READS, cache="a").inc()
    scope.histogram(catalog.LOCK_WAIT_DURATION, lock="x", mode="read").observe(float(number))
    return number
