"""Metrics of indexes and caches."""

from __future__ import annotations

from typing import get_args

from .declare import BYTES, MAX, PLAN, SLM, counter, gauge, histogram
from .labels import CACHE, INDEX, OUTCOME, CacheResult
from .model import Label

# The limits of index writes, 50 and 200 ms, are bounds, with neighbours on either side.
_INDEX_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1)


INDEX_WRITE_DURATION = histogram(
    "index.write.duration",
    "Time to write one entry to an index",
    labels=(INDEX, OUTCOME),
    buckets=_INDEX_BUCKETS,
    sources=(SLM,),
)
INDEX_ENTRIES = gauge("index.entries", "Entries that an index holds", labels=(INDEX,), sources=(SLM,), across=MAX)
INDEX_MEMORY = gauge("index.memory", "Memory that an index takes", BYTES, labels=(INDEX,), sources=(SLM,))
INDEX_MISSING = counter(
    "index.missing", "Entries that were stored but could not be indexed", labels=(INDEX,), sources=(SLM,)
)

CACHE_LOOKUPS = counter(
    "cache.lookups",
    "Cache lookups by result; queries compute the hit ratio from these",
    labels=(CACHE, Label("result", "whether the cache held the entry", get_args(CacheResult))),
    sources=(SLM, PLAN),
)
CACHE_LOOKUP_DURATION = histogram(
    "cache.lookup.duration",
    "Time of one cache lookup",
    labels=(CACHE,),
    buckets=(1e-05, 5e-05, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    sources=(SLM,),
)
CACHE_STALE_READS = counter(
    "cache.stale_reads", "Reads that returned an out-of-date value", labels=(CACHE,), sources=(SLM,)
)
CACHE_INVALIDATIONS = counter(
    "cache.invalidations", "Entries dropped because the durable value changed", labels=(CACHE,), sources=(SLM, PLAN)
)
CACHE_EVICTIONS = counter("cache.evictions", "Entries dropped to make room", labels=(CACHE,), sources=(PLAN,))
CACHE_ENTRIES = gauge("cache.entries", "Entries that the cache holds", labels=(CACHE,), sources=(PLAN,), across=MAX)
CACHE_SIZE = gauge("cache.size", "Bytes that the cache holds", BYTES, labels=(CACHE,), sources=(PLAN,), across=MAX)
