"""What workers of pools do: short work that records, in a process that its environment has told of the directory."""

from __future__ import annotations

import mnemoscope as scope
from mnemoscope import catalog


def task(number: int) -> int:
    """One event of a counter, one of a histogram."""
    scope.counter(catalog.CACHE_STALE_READS, cache="a").inc()
    scope.histogram(catalog.LOCK_WAIT_DURATION, lock="x", mode="read").observe(float(number))
    return number
