"""oslo.concurrency, which looks locks up by name, times wait and hold, and writes both to a debug log."""

from __future__ import annotations

from oslo_concurrency import lockutils

from ..percall import Sampler, per_call


def named_lock() -> Sampler:
    return per_call("with lockutils.lock('episodes'): work()", lockutils=lockutils)
