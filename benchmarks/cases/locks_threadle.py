"""threadle, which keeps a wait-for graph of its locks for inspection; no metrics."""

from __future__ import annotations

from threadle import TrackedLock

from ..percall import Sampler, per_call
from .locks import CALLS, NAME


def tracked_lock() -> Sampler:
    """Call the methods of the lock, which is no context manager."""
    return per_call(CALLS, lock=TrackedLock(NAME))
