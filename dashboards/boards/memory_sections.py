"""Sections on recall, the two memories, locks, index and caches."""

from __future__ import annotations

from mnemoscope.alerts import record_names
from mnemoscope.alerts.rules import locks as faults
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.promql import Matcher

from ..board import Section
from ..expressions import Expressions, or_none, or_zero, share
from ..panels.constructors import bargauge, timeseries
from ..panels.query import Query
from ..panels.style import GREY, PER_SECOND, RED, zones


def recall(expressions: Expressions) -> Section:
    """How often, how well and how fast memories are found."""
    settings, limit = expressions.settings, expressions.settings.threshold
    judged = record_names.quantile(settings, "job_path", c.RECALL_DURATION, 99)
    recalls = expressions.rate(c.RECALL_DURATION, "path")
    return Section(
        "Recall",
        [
            timeseries(
                "recall-errors",
                "Recalls that failed",
                "Share of recalls that ended in an error, by path. Anything but 0 needs a look at storage and index.",
                Unit.RATIO,
                Query(
                    expressions.error_ratio(c.RECALL_DURATION, "path"),
                    "{{path}}",
                    label=c.RECALL_DURATION.label("path"),
                ),
            ),
            timeseries(
                "recall-latency",
                "Recall latency",
                "Time of one recall over all paths. The lines are the green and the red limit of p99.",
                Unit.SECONDS,
                *expressions.quantiles(c.RECALL_DURATION),
                steps=zones(limit("recall_p99")),
            ),
            timeseries(
                "blended-recall",
                "Blended recall latency",
                "Time of a recall that asks both memories. The grey line is what the alert judges; "
                "if it rises alone, look at the weights and at semantic timeouts.",
                Unit.SECONDS,
                *expressions.quantiles(c.RECALL_DURATION, path="blended"),
                Query(
                    expressions.record(judged, Matcher("path", "=", "blended")),
                    "p99 judged {{job}}",
                    color=GREY,
                    line="dash",
                ),
                steps=zones(limit("blended_recall_p99")),
                alerts=("BlendedRecallLatencyP99Breach",),
            ),
            timeseries(
                "recall-rate",
                "Recalls",
                "Recalls a second by path: how hierarchical and flat retrieval share the load.",
                PER_SECOND,
                Query(recalls, "{{path}}", label=c.RECALL_DURATION.label("path")),
                stack=True,
            ),
            timeseries(
                "recall-empty",
                "Recalls without an answer",
                "Share of recalls that found nothing, by path, and of hierarchical ones that fell back to "
                "flat. "
                "A rise after a deployment means that something is stored but not indexed.",
                Unit.RATIO,
                Query(
                    share(expressions.rate(c.RECALL_EMPTY, "path"), recalls),
                    "empty {{path}}",
                    label=c.RECALL_EMPTY.label("path"),
                ),
                Query(
                    share(
                        expressions.rate(c.RECALL_FALLBACKS), expressions.rate(c.RECALL_DURATION, path="hierarchical")
                    ),
                    "fell back to flat",
                    color=RED,
                    line="dash",
                ),
            ),
            timeseries(
                "vector-search",
                "Vector search latency",
                "Time of the search within a recall, p95 by index. Compare with recall latency: "
                "if recall is slow and this is not, the time goes to locks or storage.",
                Unit.SECONDS,
                *expressions.quantiles(c.RECALL_VECTOR_SEARCH_DURATION, "index", qs=(0.95,)),
                steps=zones(limit("vector_search_p95")),
            ),
        ],
    )


def blending(expressions: Expressions) -> Section:
    """How episodic and semantic memory share a blended recall."""
    blended = expressions.rate(c.RECALL_DURATION, path="blended")
    return Section(
        "Blending and weights",
        [
            timeseries(
                "semantic-timeouts",
                "Blended recalls without semantic memory",
                "Share of blended recalls that went on without semantic memory because it took too long.",
                Unit.RATIO,
                Query(share(expressions.rate(c.MEMORY_SEMANTIC_TIMEOUTS), blended), "timed out"),
            ),
            bargauge(
                "memory-weight",
                "Weights",
                "Weight of each memory in a blended recall, mean of the instances; 0.7 and 0.3 by default.",
                Unit.RATIO,
                Query(expressions.gauge(c.MEMORY_WEIGHT, "memory", how="avg"), "{{memory}}"),
                maximum=1,
                width=4,
            ),
            timeseries(
                "memory-items",
                "Items held",
                "Episodes and concepts; the most any instance holds, for instances may share a store.",
                Unit.COUNT,
                Query(
                    expressions.gauge(c.MEMORY_ITEMS, "memory", how="max"),
                    "{{memory}}",
                    label=c.MEMORY_ITEMS.label("memory"),
                ),
                width=6,
            ),
            timeseries(
                "cohort",
                "Dual-memory cohort",
                "Share of users served by dual memory, lowest and highest of the instances; they must agree.",
                Unit.RATIO,
                Query(expressions.gauge(c.MEMORY_COHORT_SAMPLING, how="max"), "highest"),
                Query(expressions.gauge(c.MEMORY_COHORT_SAMPLING, how="min"), "lowest", line="dash"),
                maximum=1,
                width=6,
            ),
        ],
    )


def locks(expressions: Expressions) -> Section:
    """Who waits for whom, how long, and whether anyone waits for ever."""
    settings, limit = expressions.settings, expressions.settings.threshold
    acquired = expressions.rate(c.LOCK_WAIT_DURATION)
    kinds = {
        "deadlocks": c.LOCK_DEADLOCKS,
        "stalls": c.LOCK_STALLS,
        "timeouts": c.LOCK_TIMEOUTS,
        "poisoned": c.LOCK_POISONED,
    }
    return Section(
        "Locks",
        [
            timeseries(
                "lock-contention",
                "Contention",
                "Share of acquisitions that found the lock taken. High with short waits is harmless; "
                "high with long waits asks for shorter critical sections.",
                Unit.RATIO,
                Query(
                    share(
                        expressions.rate(c.LOCK_CONTENDED, "lock", "mode"),
                        expressions.rate(c.LOCK_WAIT_DURATION, "lock", "mode"),
                    ),
                    "{{lock}} {{mode}}",
                    many=True,
                ),
            ),
            timeseries(
                "lock-hold",
                "Lock hold time, p99",
                "How long a lock was held, by lock and mode: the holder that others wait for.",
                Unit.SECONDS,
                *expressions.quantiles(c.LOCK_HOLD_DURATION, "lock", "mode", qs=(0.99,)),
                logarithmic=True,
            ),
            timeseries(
                "lock-wait",
                "Lock wait, p99",
                "Time from asking for a lock to holding it, by lock and mode. The grey line is what the alert judges.",
                Unit.SECONDS,
                *expressions.quantiles(c.LOCK_WAIT_DURATION, "lock", "mode", qs=(0.99,)),
                Query(
                    expressions.record(record_names.quantile(settings, "job_lock_mode", c.LOCK_WAIT_DURATION, 99)),
                    "judged {{lock}} {{mode}} {{job}}",
                    color=GREY,
                    line="dash",
                    many=True,
                ),
                steps=zones(limit("lock_wait_p99")),
                logarithmic=True,
                alerts=("LockWaitHigh",),
            ),
            timeseries(
                "lock-faults",
                "Lock faults",
                "Deadlocks, stalls, time-outs and poisoned locks a second; all should be 0.",
                PER_SECOND,
                *(Query(or_zero(expressions.rate(metric), acquired), name) for name, metric in kinds.items()),
                width=6,
            ),
            timeseries(
                faults.INVERSION_PANEL,
                "Locks taken in both orders",
                "Instances that found a pair of locks taken in both orders in the time range, by pair; `none` "
                "stands for no pair. Any pair is a deadlock that has not happened yet.",
                Unit.COUNT,
                Query(
                    or_none(expressions.seen(c.LOCK_ORDER_INVERSIONS, "first", "second"), acquired, "first"),
                    "{{first}} {{second}}",
                    many=True,
                ),
                width=6,
                alerts=(faults.INVERSION,),
            ),
            timeseries(
                "lock-waiters",
                "Waiters",
                "Threads and tasks that wait now, by lock and mode. A line that never falls is a stall.",
                Unit.COUNT,
                Query(expressions.gauge(c.LOCK_WAITERS, "lock", "mode"), "{{lock}} {{mode}}", many=True),
                width=6,
            ),
            timeseries(
                "lock-deferred",
                "Deferred writes",
                "Writes that wait in the deferred queue because a try-lock failed. A queue that only "
                "grows never drains.",
                Unit.COUNT,
                Query(expressions.gauge(c.LOCK_DEFERRED_DEPTH, "lock"), "{{lock}}", many=True),
                width=6,
            ),
        ],
    )


def index(expressions: Expressions) -> Section:
    """Whether writes reach the index, and what it costs."""
    settings, limit = expressions.settings, expressions.settings.threshold
    writes = expressions.rate(c.INDEX_WRITE_DURATION)
    return Section(
        "Index",
        [
            timeseries(
                "index-errors",
                "Index writes lost",
                "Index writes that failed, and entries stored but not indexed, a second. Recall cannot "
                "find what is lost here.",
                PER_SECOND,
                Query(or_zero(expressions.rate(c.INDEX_WRITE_DURATION, outcome="error"), writes), "failed"),
                Query(or_zero(expressions.rate(c.INDEX_MISSING), writes), "stored, not indexed", line="dash"),
                width=6,
            ),
            timeseries(
                "index-memory",
                "Index memory",
                "Memory of the index that holds most, by index. The lines are 1 M and 10 M episodes.",
                Unit.BYTES,
                Query(expressions.gauge(c.INDEX_MEMORY, "index", how="max"), "{{index}}", many=True),
                steps=zones(limit("index_memory")),
                width=6,
            ),
            timeseries(
                "index-entries",
                "Index entries",
                "Entries of the fullest instance, by index; compare with the items held.",
                Unit.COUNT,
                Query(expressions.gauge(c.INDEX_ENTRIES, "index", how="max"), "{{index}}", many=True),
                width=6,
            ),
            timeseries(
                "index-write",
                "Index write, p99",
                "Time to write one entry, by index. The grey line is what the alert judges.",
                Unit.SECONDS,
                *expressions.quantiles(c.INDEX_WRITE_DURATION, "index", qs=(0.95, 0.99)),
                Query(
                    expressions.record(record_names.quantile(settings, "job_index", c.INDEX_WRITE_DURATION, 99)),
                    "judged {{index}} {{job}}",
                    color=GREY,
                    line="dash",
                    many=True,
                ),
                steps=zones(limit("index_write_p99")),
                width=6,
                alerts=("IndexWriteSlow",),
            ),
        ],
    )


def caches(expressions: Expressions) -> Section:
    """Whether the caches pay for themselves, and tell the truth."""
    limit = expressions.settings.threshold
    lookups = expressions.rate(c.CACHE_LOOKUPS)
    return Section(
        "Caches",
        [
            timeseries(
                "cache-faults",
                "Stale reads and failed lookups",
                "Share of lookups that were served an out-of-date value, or that failed.",
                Unit.RATIO,
                Query(share(expressions.rate(c.CACHE_STALE_READS), lookups), "stale"),
                Query(share(expressions.rate(c.CACHE_LOOKUPS, result="error"), lookups), "failed", line="dash"),
                width=6,
            ),
            timeseries(
                "cache-hit-ratio",
                "Cache hit ratio",
                "Share of lookups that hit, by cache. It falls after a restart and recovers; if it does "
                "not, look at evictions.",
                Unit.RATIO,
                Query(expressions.hit_ratio("cache"), "{{cache}}", many=True),
                steps=zones(limit("cache_hit_ratio")),
                maximum=1,
                width=6,
                alerts=("CacheHitRatioLow",),
            ),
            timeseries(
                "cache-churn",
                "Evictions and invalidations",
                "Entries dropped a second: to make room, or because the durable value changed.",
                PER_SECOND,
                Query(or_zero(expressions.rate(c.CACHE_EVICTIONS), lookups), "evicted"),
                Query(or_zero(expressions.rate(c.CACHE_INVALIDATIONS), lookups), "invalidated", line="dash"),
                width=6,
            ),
            timeseries(
                "cache-size",
                "Cache size",
                "Bytes held, by cache; at its limit it evicts.",
                Unit.BYTES,
                Query(expressions.gauge(c.CACHE_SIZE, "cache"), "{{cache}}", many=True),
                width=6,
            ),
        ],
    )
