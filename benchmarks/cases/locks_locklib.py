"""locklib, whose locks raise instead of waiting in a deadlock; no metrics."""

from __future__ import annotations

from locklib import SmartLock

from ..percall import Sampler, per_call
from .locks import BLOCK


def smart_lock() -> Sampler:
    return per_call(BLOCK, lock=SmartLock())
