"""The latest values: whether the service is broken, and in which part."""

from __future__ import annotations

from mnemoscope.alerts.rules import locks as faults
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit

from ...board import Section
from ...expressions import Expressions
from ...panels.constructors import stat
from ...panels.layer import Panel
from ...panels.query import Query
from ...panels.style import GREEN, RED, zones


def section(expressions: Expressions) -> Section:
    """Return the section."""
    return Section("At a glance", [*_state(expressions), *_latency(expressions)])


def _state(expressions: Expressions) -> list[Panel]:
    """Return the panels on readiness, errors, cache hits and load."""
    limit = expressions.settings.threshold
    return [
        stat(
            "ready",
            "Ready",
            "Whether every selected instance accepts requests. If one is not ready, its /ready shows the reason.",
            Unit.COUNT,
            Query(expressions.gauge(c.SERVICE_READY, how="min"), "ready"),
            texts={"0": ("not ready", RED), "1": ("ready", GREEN)},
            trend=False,
        ),
        stat(
            "storage-error-ratio-now",
            "Storage errors",
            "Share of storage operations that failed. If it is red, roll back.",
            Unit.RATIO,
            Query(expressions.error_ratio(c.STORAGE_OPERATION_DURATION), "errors"),
            steps=zones(limit("storage_error_ratio")),
        ),
        stat(
            "cache-hit-ratio-now",
            "Cache hits",
            "Share of cache lookups that hit, over all caches.",
            Unit.RATIO,
            Query(expressions.hit_ratio(), "hits"),
            steps=zones(limit("cache_hit_ratio")),
        ),
        stat(
            "completions-peak-now",
            "Peak completions",
            "Highest number of concurrent completions on one instance within the last minute.",
            Unit.COUNT,
            Query(expressions.gauge(c.COMPLETION_IN_FLIGHT_PEAK, how="max"), "peak"),
            steps=zones(limit("concurrent_completions")),
        ),
    ]


def _latency(expressions: Expressions) -> list[Panel]:
    """Return the panels on deadlocks and on the time of each kind of work."""
    limit = expressions.settings.threshold
    return [
        stat(
            faults.DEADLOCK_PANEL,
            "Deadlocks",
            "Deadlocks in the time range. The objective is 0.",
            Unit.COUNT,
            Query(expressions.total(c.LOCK_DEADLOCKS), "deadlocks"),
            steps=zones(limit("lock_deadlocks")),
            decimals=0,
            trend=False,
        ),
        stat(
            "lock-wait-now",
            "Lock wait, p99",
            "99 % of acquisitions of any lock waited at most this long.",
            Unit.SECONDS,
            Query(expressions.quantile(0.99, c.LOCK_WAIT_DURATION), "p99", exemplar=True),
            steps=zones(limit("lock_wait_p99")),
        ),
        stat(
            "index-write-now",
            "Index write, p99",
            "99 % of index writes took at most this long.",
            Unit.SECONDS,
            Query(expressions.quantile(0.99, c.INDEX_WRITE_DURATION), "p99", exemplar=True),
            steps=zones(limit("index_write_p99")),
        ),
        stat(
            "recall-now",
            "Recall, p99",
            "99 % of recalls, on any path, took at most this long.",
            Unit.SECONDS,
            Query(expressions.quantile(0.99, c.RECALL_DURATION), "p99", exemplar=True),
            steps=zones(limit("recall_p99")),
        ),
    ]
