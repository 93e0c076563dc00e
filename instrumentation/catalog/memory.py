"""Locks, index and cache: what stands between a request and its memory."""

from __future__ import annotations

from typing import get_args

from .labels import CACHE, INDEX, LOCK, MODE, OUTCOME, CacheResult
from .model import Across, Area, Kind, Label, Metric, Source, Unit

# Lock waits start at microseconds; 1 s is the writer-starvation limit.
_LOCK_BUCKETS = (1e-05, 5e-05, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
# Index writes: zones turn at 50 and 200 ms, so both are bounds, with neighbours on either side.
_INDEX_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1)

LOCK_WAIT = Metric(
    "lock.wait.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time from asking for a lock to holding it",
    Area.LOCKS,
    (LOCK, MODE),
    _LOCK_BUCKETS,
    (Source.SLM,),
)
LOCK_HOLD = Metric(
    "lock.hold.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time a lock was held",
    Area.LOCKS,
    (LOCK, MODE),
    _LOCK_BUCKETS,
    (Source.SLM,),
)
LOCK_CONTENDED = Metric(
    "lock.contended",
    Kind.COUNTER,
    Unit.COUNT,
    "Acquisitions that found the lock taken and had to wait",
    Area.LOCKS,
    (LOCK, MODE),
    (),
    (Source.SLM,),
)
LOCK_WAITERS = Metric(
    "lock.waiters",
    Kind.GAUGE,
    Unit.COUNT,
    "Threads or tasks that wait for the lock now",
    Area.LOCKS,
    (LOCK, MODE),
    (),
    (Source.SLM,),
)
LOCK_WAITERS_PEAK = Metric(
    "lock.waiters.peak",
    Kind.GAUGE,
    Unit.COUNT,
    "Most threads or tasks that waited for the lock at once in the last 30 to 60 seconds",
    Area.LOCKS,
    (LOCK, MODE),
    (),
    (Source.SLM,),
)
LOCK_DEFERRED = Metric(
    "lock.deferred",
    Kind.COUNTER,
    Unit.COUNT,
    "Writes put off because a try-lock failed",
    Area.LOCKS,
    (LOCK,),
    (),
    (Source.SLM,),
)
LOCK_DEFERRED_DEPTH = Metric(
    "lock.deferred.depth",
    Kind.GAUGE,
    Unit.COUNT,
    "Writes that wait in the deferred queue now",
    Area.LOCKS,
    (LOCK,),
    (),
    (Source.SLM,),
)
LOCK_TIMEOUTS = Metric(
    "lock.timeouts",
    Kind.COUNTER,
    Unit.COUNT,
    "Acquisitions that gave up after their time limit",
    Area.LOCKS,
    (LOCK, MODE),
    (),
    (Source.SLM, Source.AKI),
)
LOCK_INVERSIONS = Metric(
    "lock.order.inversions",
    Kind.COUNTER,
    Unit.COUNT,
    "Pairs of locks found to be taken in both orders",
    Area.LOCKS,
    (
        Label("first", "lock taken first", example="episodes"),
        Label("second", "lock taken second", example="index"),
    ),
    (),
    (Source.SLM,),
)
LOCK_DEADLOCKS = Metric(
    "lock.deadlocks",
    Kind.COUNTER,
    Unit.COUNT,
    "Cycles of waiters in which nobody can go on",
    Area.LOCKS,
    (),
    (),
    (Source.SLM,),
)
LOCK_STALLS = Metric(
    "lock.stalls",
    Kind.COUNTER,
    Unit.COUNT,
    "Waits that passed the stall limit without being part of a deadlock",
    Area.LOCKS,
    (LOCK,),
    (),
    (Source.SLM,),
)
LOCK_POISONED = Metric(
    "lock.poisoned",
    Kind.COUNTER,
    Unit.COUNT,
    "Locks recovered after a holder failed while writing",
    Area.LOCKS,
    (LOCK,),
    (),
    (Source.WARM,),
)

INDEX_WRITE = Metric(
    "index.write.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time to write one entry to an index",
    Area.INDEX,
    (INDEX, OUTCOME),
    _INDEX_BUCKETS,
    (Source.SLM,),
)
INDEX_ENTRIES = Metric(
    "index.entries",
    Kind.GAUGE,
    Unit.COUNT,
    "Entries an index holds",
    Area.INDEX,
    (INDEX,),
    (),
    (Source.SLM,),
    across=Across.MAX,
)
INDEX_MEMORY = Metric(
    "index.memory",
    Kind.GAUGE,
    Unit.BYTES,
    "Memory an index takes",
    Area.INDEX,
    (INDEX,),
    (),
    (Source.SLM,),
)
INDEX_MISSING = Metric(
    "index.missing",
    Kind.COUNTER,
    Unit.COUNT,
    "Entries that were stored but could not be indexed",
    Area.INDEX,
    (INDEX,),
    (),
    (Source.SLM,),
)

CACHE_LOOKUPS = Metric(
    "cache.lookups",
    Kind.COUNTER,
    Unit.COUNT,
    "Cache lookups by result; the hit ratio is computed from these",
    Area.CACHE,
    (CACHE, Label("result", "whether the cache had it", get_args(CacheResult))),
    (),
    (Source.SLM, Source.PLAN),
)
CACHE_LOOKUP_DURATION = Metric(
    "cache.lookup.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of one cache lookup",
    Area.CACHE,
    (CACHE,),
    (1e-05, 5e-05, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    (Source.SLM,),
)
CACHE_STALE = Metric(
    "cache.stale.reads",
    Kind.COUNTER,
    Unit.COUNT,
    "Reads that were served an out-of-date value",
    Area.CACHE,
    (CACHE,),
    (),
    (Source.SLM,),
)
CACHE_INVALIDATIONS = Metric(
    "cache.invalidations",
    Kind.COUNTER,
    Unit.COUNT,
    "Entries dropped because the durable value changed",
    Area.CACHE,
    (CACHE,),
    (),
    (Source.SLM, Source.PLAN),
)
CACHE_EVICTIONS = Metric(
    "cache.evictions",
    Kind.COUNTER,
    Unit.COUNT,
    "Entries dropped to make room",
    Area.CACHE,
    (CACHE,),
    (),
    (Source.PLAN,),
)
CACHE_ENTRIES = Metric(
    "cache.entries",
    Kind.GAUGE,
    Unit.COUNT,
    "Entries the cache holds",
    Area.CACHE,
    (CACHE,),
    (),
    (Source.PLAN,),
    across=Across.MAX,
)
CACHE_SIZE = Metric(
    "cache.size",
    Kind.GAUGE,
    Unit.BYTES,
    "Bytes the cache holds",
    Area.CACHE,
    (CACHE,),
    (),
    (Source.PLAN,),
    across=Across.MAX,
)
