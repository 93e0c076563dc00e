"""Sections on storage, completions, limits and the process itself."""

from __future__ import annotations

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.promql import ratio

from ..board import Section
from ..expressions import Expressions, or_none, or_zero, share
from ..panels import style
from ..panels.constructors import stat, state_timeline, timeseries
from ..panels.query import Query
from ..panels.style import BLUE, GREEN, ORANGE, PER_SECOND, RED, REQUESTS, ThresholdStep, zones

_DAY = 86_400
# The recovery point that backups have to keep.
_BACKUP_AGE = style.limits(_DAY, 2 * _DAY)
_CIRCUIT = {"0": ("closed", GREEN), "1": ("half open", ORANGE), "2": ("open", RED)}


def storage(expressions: Expressions) -> list[Section]:
    """The durable store: its operations, and the files and connections under it."""
    return [_operations(expressions), _store(expressions)]


def _operations(expressions: Expressions) -> Section:
    limit = expressions.settings.threshold
    operations = expressions.rate(c.STORAGE_OPERATION_DURATION)
    return Section(
        "Storage operations",
        [
            timeseries(
                "storage-error-ratio",
                "Storage error ratio",
                "Share of storage operations that failed, by backend. Yellow is the compensation trigger, "
                "red rolls back.",
                Unit.RATIO,
                Query(expressions.error_ratio(c.STORAGE_OPERATION_DURATION, "backend"), "{{backend}}", many=True),
                steps=zones(limit("storage_error_ratio")),
                alerts=("StorageErrorRatioHigh",),
            ),
            timeseries(
                "storage-errors",
                "Storage errors by kind",
                "Failures a second by class: timeouts and busy ask for load relief, integrity and "
                "corruption for a restore.",
                PER_SECOND,
                Query(or_none(expressions.rate(c.STORAGE_ERRORS, "kind"), operations, "kind"), "{{kind}}", many=True),
            ),
            timeseries(
                "storage-latency",
                "Storage latency, p99",
                "Time of one operation, by backend and operation.",
                Unit.SECONDS,
                *expressions.quantiles(c.STORAGE_OPERATION_DURATION, "backend", "operation", qs=(0.99,)),
            ),
            timeseries(
                "storage-divergence",
                "Divergence",
                "Entries found in one store and not in another, a second, by who disagrees with whom.",
                PER_SECOND,
                Query(
                    expressions.rate(c.STORAGE_DIVERGENCE, "kind"), "{{kind}}", label=c.STORAGE_DIVERGENCE.label("kind")
                ),
            ),
            timeseries(
                "storage-repair",
                "Compensations and reconciliations",
                "Writes undone in one store because another refused them, and runs that mended a "
                "difference, a second. "
                "A failed one leaves the stores apart.",
                PER_SECOND,
                Query(or_zero(expressions.rate(c.STORAGE_COMPENSATIONS, outcome="ok"), operations), "compensated"),
                Query(
                    or_zero(expressions.rate(c.STORAGE_COMPENSATIONS, outcome="error"), operations),
                    "compensation failed",
                    color=RED,
                    line="dash",
                ),
                Query(or_zero(expressions.rate(c.STORAGE_RECONCILIATIONS, outcome="ok"), operations), "reconciled"),
                Query(
                    or_zero(expressions.rate(c.STORAGE_RECONCILIATIONS, outcome="error"), operations),
                    "reconciliation failed",
                    color=RED,
                    line="dot",
                ),
            ),
            state_timeline(
                "storage-circuit",
                "Circuit breaker",
                "State of the breaker before each backend. Open for more than five minutes: the backend is down.",
                Unit.COUNT,
                Query(_circuit(expressions), "{{backend}}"),
                steps=(ThresholdStep(GREEN), ThresholdStep(ORANGE, 1), ThresholdStep(RED, 2)),
                texts=_CIRCUIT,
                width=8,
                rows=8,
            ),
        ],
    )


def _circuit(expressions: Expressions) -> str:
    """The worst state of a backend's breakers: 0 closed, 1 half open, 2 open."""
    half = expressions.gauge(c.STORAGE_CIRCUIT_STATE, "backend", how="max", state="half_open")
    opened = expressions.gauge(c.STORAGE_CIRCUIT_STATE, "backend", how="max", state="open")
    return f"(2 * {opened} > 0) or {half}"


def _store(expressions: Expressions) -> Section:
    limit = expressions.settings.threshold
    live, total = (expressions.gauge(c.STORAGE_CONTENT_SIZE, "backend", state=state) for state in ("live", "total"))
    return Section(
        "Store",
        [
            stat(
                "storage-corruption",
                "Corrupt records",
                "Records in the time range that failed their checksum. One is enough to open the corruption runbook.",
                Unit.COUNT,
                Query(
                    or_zero(expressions.total(c.STORAGE_CORRUPTION), expressions.rate(c.STORAGE_OPERATION_DURATION)),
                    "corrupt",
                ),
                steps=style.limits(1, 2),
                decimals=0,
                trend=False,
                width=6,
            ),
            stat(
                "backup-age",
                "Age of the last backup",
                "Time since a backup last succeeded, the oldest of the backends; the recovery point is 24 hours.",
                Unit.SECONDS,
                Query(f"time() - {expressions.gauge(c.STORAGE_BACKUP_LAST_SUCCESS_TIMESTAMP, how='min')}", "age"),
                steps=_BACKUP_AGE,
                width=6,
            ),
            stat(
                "backups",
                "Backups",
                "Backups in the time range, by how they ended.",
                Unit.COUNT,
                Query(expressions.total(c.STORAGE_BACKUP_DURATION, "outcome"), "{{outcome}}"),
                decimals=0,
                trend=False,
                width=6,
            ),
            stat(
                "compactions",
                "Compactions",
                "Compaction runs in the time range, by how they ended.",
                Unit.COUNT,
                Query(expressions.total(c.STORAGE_COMPACTION_DURATION, "outcome"), "{{outcome}}"),
                decimals=0,
                trend=False,
                width=6,
            ),
            timeseries(
                "storage-pool",
                "Connection pool",
                "Connections in use and idle, callers waiting, and the limit. Waiting callers at the "
                "limit: the pool is exhausted.",
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
                "Bytes of write-ahead log, by backend. Growth without end means that no checkpoint runs.",
                Unit.BYTES,
                Query(expressions.gauge(c.STORAGE_WAL_SIZE, "backend", how="max"), "{{backend}}", many=True),
                steps=zones(limit("wal_size")),
            ),
            timeseries(
                "storage-fragmentation",
                "Fragmentation",
                "Share of the content store that is no longer live, by backend; compact above the line.",
                Unit.RATIO,
                Query(f"1 - {ratio(live, total)}", "{{backend}}", many=True),
                steps=zones(limit("fragmentation")),
                maximum=1,
            ),
        ],
    )


def completions(expressions: Expressions) -> Section:
    """Episodes that are completed at once, and those that have to wait."""
    limit = expressions.settings.threshold
    done = expressions.rate(c.COMPLETION_DURATION)
    return Section(
        "Completions",
        [
            timeseries(
                "completions-turned-away",
                "Completions that failed",
                "Completions that failed, and that were turned away because the queue was full, a second.",
                PER_SECOND,
                Query(or_zero(expressions.rate(c.COMPLETION_DURATION, outcome="error"), done), "failed"),
                Query(or_zero(expressions.rate(c.COMPLETION_REJECTIONS), done), "rejected", line="dash"),
                width=6,
            ),
            timeseries(
                "completions-in-flight",
                "Concurrent completions",
                "Completions that run now, the peak of the last minute, the queue and the limit, of the "
                "busiest instance. "
                "The alert judges the peak.",
                Unit.COUNT,
                Query(expressions.gauge(c.COMPLETION_IN_FLIGHT_PEAK, how="max"), "peak"),
                Query(expressions.gauge(c.COMPLETION_IN_FLIGHT, how="max"), "now", line="dash"),
                Query(expressions.gauge(c.COMPLETION_QUEUE_DEPTH, how="max"), "queued", line="dot"),
                Query(expressions.gauge(c.COMPLETION_LIMIT, how="max"), "limit", color=RED, line="dash"),
                steps=zones(limit("concurrent_completions")),
                width=6,
                alerts=("CompletionConcurrencyHigh",),
            ),
            timeseries(
                "completions-rate",
                "Episodes",
                "Episodes created and completed a second; apart for long, work piles up.",
                PER_SECOND,
                Query(expressions.rate(c.EPISODE_CREATED), "created"),
                Query(expressions.rate(c.COMPLETION_DURATION, outcome="ok"), "completed", line="dash"),
                width=6,
            ),
            timeseries(
                "completions-latency",
                "Completion latency",
                "Time to complete an episode, waiting for a permit included.",
                Unit.SECONDS,
                *expressions.quantiles(c.COMPLETION_DURATION),
                width=6,
            ),
        ],
    )


def limits(expressions: Expressions) -> Section:
    """What was refused, and why."""
    requests = expressions.rate(c.REQUEST_DURATION)
    return Section(
        "Limits",
        [
            timeseries(
                "limits-input",
                "Inputs refused",
                "Inputs a second that passed a limit, by limit.",
                PER_SECOND,
                Query(
                    expressions.rate(c.LIMIT_REJECTIONS, "limit"), "{{limit}}", label=c.LIMIT_REJECTIONS.label("limit")
                ),
                width=12,
            ),
            timeseries(
                "limits-rate",
                "Requests refused",
                "Share of requests refused because a quota was used up or they came too fast.",
                Unit.RATIO,
                Query(share(expressions.rate(c.LIMIT_QUOTA_EXCEEDED), requests), "quota used up"),
                Query(share(expressions.rate(c.LIMIT_RATE_LIMITED), requests), "too fast", line="dash"),
                width=12,
            ),
        ],
    )


def service(expressions: Expressions) -> Section:
    """Requests, and the process that answers them."""
    limit = expressions.settings.threshold
    instance = expressions.settings.instance_labels[0]
    legend = f"{{{{{instance}}}}}"
    return Section(
        "Service",
        [
            timeseries(
                "request-errors",
                "Request error ratio",
                "Share of requests that failed by the service's own fault.",
                Unit.RATIO,
                Query(expressions.error_ratio(c.REQUEST_DURATION), "errors", color=RED),
                width=6,
            ),
            timeseries(
                "request-rate",
                "Requests",
                "Requests a second, by route.",
                REQUESTS,
                Query(expressions.rate(c.REQUEST_DURATION, "route"), "{{route}}", many=True),
                width=6,
            ),
            timeseries(
                "request-latency",
                "Request latency",
                "Time to answer a request, over all routes.",
                Unit.SECONDS,
                *expressions.quantiles(c.REQUEST_DURATION),
                width=6,
            ),
            timeseries(
                "request-in-flight",
                "Requests in flight",
                "Requests that are not answered to their last byte, by instance. Growth without end: answers hang.",
                Unit.COUNT,
                Query(expressions.gauge(c.REQUEST_IN_FLIGHT, instance), legend, many=True),
                width=6,
            ),
            timeseries(
                "service-uptime",
                "Uptime",
                "Time since each instance started; a saw-tooth is a crash loop.",
                Unit.SECONDS,
                Query(expressions.gauge(c.SERVICE_UPTIME, instance, how="max"), legend, many=True),
                width=6,
            ),
            timeseries(
                "service-memory",
                "Memory of its limit",
                "Resident memory as a share of what the process may use, by instance.",
                Unit.RATIO,
                Query(
                    ratio(
                        expressions.gauge(c.SERVICE_MEMORY, instance),
                        expressions.gauge(c.SERVICE_MEMORY_LIMIT, instance),
                    ),
                    legend,
                    many=True,
                ),
                steps=zones(limit("memory_ratio")),
                width=6,
            ),
            timeseries(
                "service-files",
                "Open files",
                "File descriptors open, by instance.",
                Unit.COUNT,
                Query(expressions.gauge(c.SERVICE_OPEN_FILES, instance), legend, many=True),
                steps=zones(limit("open_files")),
                width=6,
            ),
            timeseries(
                "instrumentation-dropped",
                "Recordings dropped",
                "Recordings a second that the instrumentation refused, to spare the host; the boards are "
                "blind to these.",
                PER_SECOND,
                Query(
                    or_zero(
                        expressions.rate(c.INSTRUMENTATION_DROPPED),
                        f"sum({expressions.live.series(c.INSTRUMENTATION_SERIES)})",
                    ),
                    "dropped",
                    color=BLUE,
                ),
                width=6,
            ),
        ],
    )
