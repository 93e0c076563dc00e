"""The durable store: its operations, and the files and connections that they need."""

from __future__ import annotations

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.promql import ratio

from ...board import Section
from ...expressions import Expressions, or_none, or_zero
from ...panels import style
from ...panels.constructors import stat, state_timeline, timeseries
from ...panels.layer import Panel
from ...panels.query import Query
from ...panels.style import GREEN, ORANGE, PER_SECOND, RED, ThresholdStep, zones

_DAY = 86_400
# Backups must be at most a day old: the recovery point objective.
_BACKUP_AGE = style.limits(_DAY, 2 * _DAY)
_CIRCUIT = {"0": ("closed", GREEN), "1": ("half open", ORANGE), "2": ("open", RED)}


def operations(expressions: Expressions) -> Section:
    """Return the section on the operations of the store."""
    return Section("Storage operations", [*_errors_and_latency(expressions), *_consistency(expressions)])


def _errors_and_latency(expressions: Expressions) -> list[Panel]:
    limit = expressions.settings.threshold
    done = expressions.rate(c.STORAGE_OPERATION_DURATION)
    return [
        timeseries(
            "storage-error-ratio",
            "Storage error ratio",
            "Share of storage operations that failed, by backend. If it is yellow, start compensation. If it is red, "
            "roll back.",
            Unit.RATIO,
            Query(expressions.error_ratio(c.STORAGE_OPERATION_DURATION, "backend"), "{{backend}}", many=True),
            steps=zones(limit("storage_error_ratio")),
        ),
        timeseries(
            "storage-errors",
            "Storage errors by kind",
            "Failures per second by kind. For timeout and busy, reduce the load. For integrity and corruption, "
            "restore a backup.",
            PER_SECOND,
            Query(or_none(expressions.rate(c.STORAGE_ERRORS, "kind"), done, "kind"), "{{kind}}", many=True),
        ),
        timeseries(
            "storage-latency",
            "Storage latency, p99",
            "Time of one operation, by backend and operation.",
            Unit.SECONDS,
            *expressions.quantiles(c.STORAGE_OPERATION_DURATION, "backend", "operation", qs=(0.99,)),
        ),
    ]


def _consistency(expressions: Expressions) -> list[Panel]:
    done = expressions.rate(c.STORAGE_OPERATION_DURATION)

    def repairs(metric: c.Metric, outcome: str) -> str:
        return or_zero(expressions.rate(metric, outcome=outcome), done)

    return [
        timeseries(
            "storage-divergence",
            "Divergence",
            "Entries found in one store and not in another, per second, by the pair of stores.",
            PER_SECOND,
            Query(expressions.rate(c.STORAGE_DIVERGENCE, "kind"), "{{kind}}", label=c.STORAGE_DIVERGENCE.label("kind")),
        ),
        timeseries(
            "storage-repair",
            "Compensations and reconciliations",
            "Writes undone in one store because another store refused them, and runs that repaired a difference, per "
            "second. If a run fails, the stores still differ.",
            PER_SECOND,
            Query(repairs(c.STORAGE_COMPENSATIONS, "ok"), "compensated"),
            Query(repairs(c.STORAGE_COMPENSATIONS, "error"), "compensation failed", color=RED, line="dash"),
            Query(repairs(c.STORAGE_RECONCILIATIONS, "ok"), "reconciled"),
            Query(repairs(c.STORAGE_RECONCILIATIONS, "error"), "reconciliation failed", color=RED, line="dot"),
        ),
        state_timeline(
            "storage-circuit",
            "Circuit breaker",
            "State of the circuit breaker of each backend. If it is open for more than five minutes, the backend is "
            "down.",
            Unit.COUNT,
            Query(_circuit(expressions), "{{backend}}"),
            steps=(ThresholdStep(GREEN), ThresholdStep(ORANGE, 1), ThresholdStep(RED, 2)),
            texts=_CIRCUIT,
            width=8,
            rows=8,
        ),
    ]


def _circuit(expressions: Expressions) -> str:
    """Return the worst state of a backend's breakers: 0 closed, 1 half open, 2 open."""
    half = expressions.gauge(c.STORAGE_CIRCUIT_STATE, "backend", how="max", state="half_open")
    opened = expressions.gauge(c.STORAGE_CIRCUIT_STATE, "backend", how="max", state="open")
    return f"(2 * {opened} > 0) or {half}"


def store(expressions: Expressions) -> Section:
    """Return the section on the files and connections of the store."""
    return Section("Store", [*_maintenance(expressions), *_resources(expressions)])


def _maintenance(expressions: Expressions) -> list[Panel]:
    done = expressions.rate(c.STORAGE_OPERATION_DURATION)
    return [
        stat(
            "storage-corruption",
            "Corrupt records",
            "Records in the time range that failed their checksum. If there is any, open the corruption runbook.",
            Unit.COUNT,
            Query(or_zero(expressions.total(c.STORAGE_CORRUPTION), done), "corrupt"),
            steps=style.limits(1, 2),
            decimals=0,
            trend=False,
            width=6,
        ),
        stat(
            "backup-age",
            "Age of the last backup",
            "Time since a backup last succeeded, of the backend with the oldest backup. The limit is 24 hours.",
            Unit.SECONDS,
            Query(f"time() - {expressions.gauge(c.STORAGE_BACKUP_LAST_SUCCESS_TIMESTAMP, how='min')}", "age"),
            steps=_BACKUP_AGE,
            width=6,
        ),
        stat(
            "backups",
            "Backups",
            "Backups in the time range, by outcome.",
            Unit.COUNT,
            Query(expressions.total(c.STORAGE_BACKUP_DURATION, "outcome"), "{{outcome}}"),
            decimals=0,
            trend=False,
            width=6,
        ),
        stat(
            "compactions",
            "Compactions",
            "Compaction runs in the time range, by outcome.",
            Unit.COUNT,
            Query(expressions.total(c.STORAGE_COMPACTION_DURATION, "outcome"), "{{outcome}}"),
            decimals=0,
            trend=False,
            width=6,
        ),
    ]


def _resources(expressions: Expressions) -> list[Panel]:
    limit = expressions.settings.threshold
    live, total = (expressions.gauge(c.STORAGE_CONTENT_SIZE, "backend", state=state) for state in ("live", "total"))
    return [
        timeseries(
            "storage-pool",
            "Connection pool",
            "Connections in use and idle, callers that wait, and the limit. If callers wait while the limit is "
            "reached, the pool is exhausted.",
            Unit.COUNT,
            Query(
                expressions.gauge(c.STORAGE_POOL_CONNECTIONS, "state"),
                "{{state}}",
                label=c.STORAGE_POOL_CONNECTIONS.label("state"),
            ),
            Query(expressions.gauge(c.STORAGE_POOL_LIMIT), "limit", color=RED, line="dash"),
        ),
        timeseries(
            "storage-wal",
            "Write-ahead log",
            "Bytes of write-ahead log, by backend. If it only grows, no checkpoint runs.",
            Unit.BYTES,
            Query(expressions.gauge(c.STORAGE_WAL_SIZE, "backend", how="max"), "{{backend}}", many=True),
            steps=zones(limit("wal_size")),
        ),
        timeseries(
            "storage-fragmentation",
            "Fragmentation",
            "Share of the content store that is no longer in use, by backend. If it is above the line, compact the "
            "store.",
            Unit.RATIO,
            Query(f"1 - {ratio(live, total)}", "{{backend}}", many=True),
            steps=zones(limit("fragmentation")),
            maximum=1,
        ),
    ]
