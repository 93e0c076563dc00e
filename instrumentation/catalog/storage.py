"""Durable storage: operations, divergence, pools, write-ahead log, compaction, backup."""

from __future__ import annotations

from typing import get_args

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
from .model import Across, Area, Kind, Label, Metric, Source, Unit

_STORAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_JOB_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
_AREA = Area.STORAGE
_CONNECTION_STATE = Label("state", "what the connection does", get_args(ConnectionState))

STORAGE_DURATION = Metric(
    "storage.operation.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of one storage operation",
    _AREA,
    (BACKEND, OPERATION, OUTCOME),
    _STORAGE_BUCKETS,
    (Source.SLM,),
)
STORAGE_ERRORS = Metric(
    "storage.errors",
    Kind.COUNTER,
    Unit.COUNT,
    "Storage operations that failed, by class of error",
    _AREA,
    (BACKEND, OPERATION, ERROR_KIND),
    (),
    (Source.SLM,),
)
STORAGE_DIVERGENCE = Metric(
    "storage.divergence",
    Kind.COUNTER,
    Unit.COUNT,
    "Entries found in one store and not, or otherwise, in another",
    _AREA,
    (DIVERGENCE,),
    (),
    (Source.SLM,),
)
STORAGE_RECONCILIATIONS = Metric(
    "storage.reconciliations",
    Kind.COUNTER,
    Unit.COUNT,
    "Runs that compared the stores and mended what differed",
    _AREA,
    (OUTCOME,),
    (),
    (Source.SLM,),
)
STORAGE_COMPENSATIONS = Metric(
    "storage.compensations",
    Kind.COUNTER,
    Unit.COUNT,
    "Writes undone in one store because another refused them",
    _AREA,
    (BACKEND, OUTCOME),
    (),
    (Source.SLM,),
)
CIRCUIT_STATE = Metric(
    "storage.circuit.state",
    Kind.GAUGE,
    Unit.COUNT,
    "One for the state the circuit breaker is in, zero for the others",
    _AREA,
    (BACKEND, Label("state", "state of the breaker", get_args(CircuitState))),
    (),
    (Source.SLM, Source.AKI),
    across=Across.MAX,
)
CIRCUIT_FAILURES = Metric(
    "storage.circuit.consecutive.failures",
    Kind.GAUGE,
    Unit.COUNT,
    "Failures in a row that the circuit breaker has seen",
    _AREA,
    (BACKEND,),
    (),
    (Source.SLM, Source.AKI),
    across=Across.MAX,
)
POOL_CONNECTIONS = Metric(
    "storage.pool.connections",
    Kind.GAUGE,
    Unit.COUNT,
    "Connections of the pool in use and idle, and callers waiting for one",
    _AREA,
    (POOL, _CONNECTION_STATE),
    (),
    (Source.PLAN, Source.SLM),
)
POOL_LIMIT = Metric(
    "storage.pool.limit",
    Kind.GAUGE,
    Unit.COUNT,
    "Connections the pool may open",
    _AREA,
    (POOL,),
    (),
    (Source.PLAN, Source.SLM),
)
POOL_EXHAUSTED = Metric(
    "storage.pool.exhausted",
    Kind.COUNTER,
    Unit.COUNT,
    "Requests for a connection that found none and gave up",
    _AREA,
    (POOL,),
    (),
    (Source.PLAN, Source.SLM),
)
WAL_SIZE = Metric(
    "storage.wal.size",
    Kind.GAUGE,
    Unit.BYTES,
    "Bytes of write-ahead log on disk",
    _AREA,
    (BACKEND,),
    (),
    (Source.AKI,),
    across=Across.MAX,
)
WAL_FILES = Metric(
    "storage.wal.files",
    Kind.GAUGE,
    Unit.COUNT,
    "Write-ahead log files on disk",
    _AREA,
    (BACKEND,),
    (),
    (Source.AKI,),
    across=Across.MAX,
)
WAL_REPLAY = Metric(
    "storage.wal.replay.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time to replay the write-ahead log at start",
    _AREA,
    (BACKEND, OUTCOME),
    _JOB_BUCKETS,
    (Source.AKI,),
)
CORRUPTION = Metric(
    "storage.corruption",
    Kind.COUNTER,
    Unit.COUNT,
    "Records that failed their checksum or could not be read",
    _AREA,
    (BACKEND,),
    (),
    (Source.WARM, Source.AKI),
)
FORMAT_UNSUPPORTED = Metric(
    "storage.format.unsupported",
    Kind.COUNTER,
    Unit.COUNT,
    "Files met whose format version is not supported",
    _AREA,
    (BACKEND,),
    (),
    (Source.WARM,),
)
CONTENT_SIZE = Metric(
    "storage.content.size",
    Kind.GAUGE,
    Unit.BYTES,
    "Bytes of the content store, live and total; fragmentation is what is not live",
    _AREA,
    (BACKEND, Label("state", "which bytes", get_args(ContentState))),
    (),
    (Source.WARM,),
    across=Across.MAX,
)
COMPACTION = Metric(
    "storage.compaction.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of one compaction run",
    _AREA,
    (BACKEND, OUTCOME),
    _JOB_BUCKETS,
    (Source.WARM,),
)
UPLOAD = Metric(
    "storage.upload.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of one upload to the object store",
    _AREA,
    (BACKEND, OUTCOME),
    _JOB_BUCKETS,
    (Source.AKI,),
)
BACKUP = Metric(
    "storage.backup.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of one backup",
    _AREA,
    (BACKEND, OUTCOME),
    _JOB_BUCKETS,
    (Source.AKI,),
)
BACKUP_LAST_SUCCESS = Metric(
    "storage.backup.last.success.timestamp",
    Kind.GAUGE,
    Unit.SECONDS,
    "Unix time of the last backup that succeeded",
    _AREA,
    (BACKEND,),
    (),
    (Source.AKI,),
    across=Across.LATEST,
)
RESTORE = Metric(
    "storage.restore.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of one restore from backup",
    _AREA,
    (BACKEND, OUTCOME),
    _JOB_BUCKETS,
    (Source.AKI,),
)
