"""threadle, which keeps a wait-for graph of its locks to be looked at; no metrics."""

from __future__ import annotations

from threadle import TrackedLock

from ..percall import Sampler, per_call
from .locks import CALLS, NAME


def tracked_lock() -> Sampler:
    """Call its methods: its lock is no context manager."""
    return per_call(CALLS, lock=TrackedLock(NAME))
