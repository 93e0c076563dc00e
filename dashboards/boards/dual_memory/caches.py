"""Caches: whether they hit, whether their values are current, and what they drop."""

from __future__ import annotations

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit

from ...board import Section
from ...expressions import Expressions, or_zero, share
from ...panels.constructors import timeseries
from ...panels.query import Query
from ...panels.style import PER_SECOND, zones


def section(expressions: Expressions) -> Section:
    """Return the section."""
    limit = expressions.settings.threshold
    lookups = expressions.rate(c.CACHE_LOOKUPS)
    return Section(
        "Caches",
        [
            timeseries(
                "cache-faults",
                "Stale reads and failed lookups",
                "Share of lookups that returned an out-of-date value, and share of lookups that failed.",
                Unit.RATIO,
                Query(share(expressions.rate(c.CACHE_STALE_READS), lookups), "stale"),
                Query(share(expressions.rate(c.CACHE_LOOKUPS, result="error"), lookups), "failed", line="dash"),
                width=6,
            ),
            timeseries(
                "cache-hit-ratio",
                "Cache hit ratio",
                "Share of lookups that hit, by cache. It falls after a restart and recovers. If it does not recover, "
                "check evictions.",
                Unit.RATIO,
                Query(expressions.hit_ratio("cache"), "{{cache}}", many=True),
                steps=zones(limit("cache_hit_ratio")),
                maximum=1,
                width=6,
            ),
            timeseries(
                "cache-churn",
                "Evictions and invalidations",
                "Entries dropped per second: evicted to make room, or invalidated because the stored value changed.",
                PER_SECOND,
                Query(or_zero(expressions.rate(c.CACHE_EVICTIONS), lookups), "evicted"),
                Query(or_zero(expressions.rate(c.CACHE_INVALIDATIONS), lookups), "invalidated", line="dash"),
                width=6,
            ),
            timeseries(
                "cache-size",
                "Cache size",
                "Bytes held, by cache. A cache at its limit evicts entries.",
                Unit.BYTES,
                Query(expressions.gauge(c.CACHE_SIZE, "cache"), "{{cache}}", many=True),
                width=6,
            ),
        ],
    )
