"""aioprometheus' costs per call; its series are looked up by their labels each time."""

from __future__ import annotations

from aioprometheus import Counter, Histogram, Registry, timer

from ..percall import Sampler, async_work, per_await, per_call, work
from .prometheus import BUCKETS

LABELS = {"index": "spatiotemporal", "outcome": "ok"}


def decorated() -> Sampler:
    return per_call("f()", f=timer(_histogram(), LABELS)(work))


def coroutine() -> Sampler:
    return per_await("await f()", f=timer(_histogram(), LABELS)(async_work))


def counter() -> Sampler:
    series = Counter("cache_lookups", "Cache lookups", registry=Registry())
    return per_call("series.inc(labels)", baseline="pass", series=series, labels={"cache": "redb", "result": "hit"})


def _histogram() -> Histogram:
    return Histogram("index_write_seconds", "Index writes", buckets=list(BUCKETS), registry=Registry())
