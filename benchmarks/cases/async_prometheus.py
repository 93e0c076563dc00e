"""prometheus-async, which times coroutines into prometheus_client's histograms."""

from __future__ import annotations

from prometheus_async.aio import time

from ..percall import Sampler, async_work, per_await
from .prometheus import histogram


def coroutine() -> Sampler:
    """Bind labels when the function is decorated; the outcome is not distinguished."""
    return per_await("await f()", f=time(histogram().labels("spatiotemporal", "ok"))(async_work))
