"""Metrics of durable storage: operations, divergence, pools, write-ahead log, compaction, backup."""

from __future__ import annotations

from typing import get_args

from .declare import AKI, BYTES, LATEST, MAX, PLAN, SECONDS, SLM, WARM, counter, gauge, histogram
from .labels import (
    BACKEND,
    DIVERGENCE,
    ERROR_KIND,
    OPERATION,
    OUTCOME,
    POOL,
    CircuitState,
    ConnectionState,
    ContentState,
)
from .model import Label

_STORAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_JOB_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
_CONNECTION_STATE = Label("state", "what a connection is doing", get_args(ConnectionState))

STORAGE_OPERATION_DURATION = histogram(
    "storage.operation.duration",
    "Time of one storage operation",
    labels=(BACKEND, OPERATION, OUTCOME),
    buckets=_STORAGE_BUCKETS,
    sources=(SLM,),
)
STORAGE_ERRORS = counter(
    "storage.errors",
    "Storage operations that failed, by kind of error",
    labels=(BACKEND, OPERATION, ERROR_KIND),
    sources=(SLM,),
)
STORAGE_DIVERGENCE = counter(
    "storage.divergence",
    "Entries that differ between two stores, or are missing in one",
    labels=(DIVERGENCE,),
    sources=(SLM,),
)
STORAGE_RECONCILIATIONS = counter(
    "storage.reconciliations",
    "Runs that compared the stores and fixed the differences",
    labels=(OUTCOME,),
    sources=(SLM,),
)
STORAGE_COMPENSATIONS = counter(
    "storage.compensations",
    "Writes undone in one store because another store refused them",
    labels=(BACKEND, OUTCOME),
    sources=(SLM,),
)
STORAGE_CIRCUIT_STATE = gauge(
    "storage.circuit.state",
    "1 for the current state of the circuit breaker, 0 for the others",
    labels=(BACKEND, Label("state", "state of the breaker", get_args(CircuitState))),
    sources=(SLM, AKI),
    across=MAX,
)
STORAGE_CIRCUIT_CONSECUTIVE_FAILURES = gauge(
    "storage.circuit.consecutive_failures",
    "Failures in a row, as counted by the circuit breaker",
    labels=(BACKEND,),
    sources=(SLM, AKI),
    across=MAX,
)
STORAGE_POOL_CONNECTIONS = gauge(
    "storage.pool.connections",
    "Connections of the pool in use and idle, and callers that wait for a connection",
    labels=(POOL, _CONNECTION_STATE),
    sources=(PLAN, SLM),
)
STORAGE_POOL_LIMIT = gauge(
    "storage.pool.limit", "Most connections that the pool opens", labels=(POOL,), sources=(PLAN, SLM)
)
STORAGE_POOL_EXHAUSTED = counter(
    "storage.pool.exhausted",
    "Requests for a connection that gave up because none was free",
    labels=(POOL,),
    sources=(PLAN, SLM),
)
STORAGE_WAL_SIZE = gauge(
    "storage.wal.size", "Bytes of write-ahead log on disk", BYTES, labels=(BACKEND,), sources=(AKI,), across=MAX
)
STORAGE_WAL_FILES = gauge(
    "storage.wal.files", "Write-ahead log files on disk", labels=(BACKEND,), sources=(AKI,), across=MAX
)
STORAGE_WAL_REPLAY_DURATION = histogram(
    "storage.wal.replay.duration",
    "Time to replay the write-ahead log at start",
    labels=(BACKEND, OUTCOME),
    buckets=_JOB_BUCKETS,
    sources=(AKI,),
)
STORAGE_CORRUPTION = counter(
    "storage.corruption",
    "Records that failed their checksum or could not be read",
    labels=(BACKEND,),
    sources=(WARM, AKI),
)
STORAGE_FORMAT_UNSUPPORTED = counter(
    "storage.format.unsupported", "Files whose format version is not supported", labels=(BACKEND,), sources=(WARM,)
)
STORAGE_CONTENT_SIZE = gauge(
    "storage.content.size",
    "Bytes of the content store, live and total; the difference is fragmentation",
    BYTES,
    labels=(BACKEND, Label("state", "live bytes or all bytes", get_args(ContentState))),
    sources=(WARM,),
    across=MAX,
)
STORAGE_COMPACTION_DURATION = histogram(
    "storage.compaction.duration",
    "Time of one compaction run",
    labels=(BACKEND, OUTCOME),
    buckets=_JOB_BUCKETS,
    sources=(WARM,),
)
STORAGE_UPLOAD_DURATION = histogram(
    "storage.upload.duration",
    "Time of one upload to the object store",
    labels=(BACKEND, OUTCOME),
    buckets=_JOB_BUCKETS,
    sources=(AKI,),
)
STORAGE_BACKUP_DURATION = histogram(
    "storage.backup.duration", "Time of one backup", labels=(BACKEND, OUTCOME), buckets=_JOB_BUCKETS, sources=(AKI,)
)
STORAGE_BACKUP_LAST_SUCCESS_TIMESTAMP = gauge(
    "storage.backup.last_success.timestamp",
    "Unix time of the last backup that succeeded",
    SECONDS,
    labels=(BACKEND,),
    sources=(AKI,),
    across=LATEST,
)
STORAGE_RESTORE_DURATION = histogram(
    "storage.restore.duration",
    "Time of one restore from backup",
    labels=(BACKEND, OUTCOME),
    buckets=_JOB_BUCKETS,
    sources=(AKI,),
)
