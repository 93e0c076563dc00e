"""Labels that several metrics share, and the closed sets of values.

The sets are types, so that a type checker refuses a misspelt value: `def lock_wait(lock: str, mode: Mode)`.
"""

from __future__ import annotations

from typing import Literal, get_args

from .model import Label

OTHER = "other"
"""Recorded instead of a value outside a closed set, and of any open label above the cap on label sets."""

Outcome = Literal["ok", "error", "cancelled"]
Mode = Literal["exclusive", "read", "write"]
CacheResult = Literal["hit", "miss", "error"]
Memory = Literal["episodic", "semantic"]
RecallPath = Literal["hierarchical", "flat", "blended"]
FanSize = Literal["low", "medium", "high"]
StorageErrorKind = Literal["timeout", "connection", "busy", "integrity", "corruption", "quota", "other"]
Divergence = Literal["durable_not_cached", "cached_not_durable", "stored_not_indexed", "indexed_not_stored"]
CircuitState = Literal["closed", "half_open", "open"]
ConnectionState = Literal["in_use", "idle", "waiting"]
ContentState = Literal["live", "total"]
InputLimit = Literal["description", "steps", "tags", "artifact", "observation", "episode"]
AuthenticationOutcome = Literal["accepted", "refused", "error"]
ShutdownPhase = Literal["start", "end"]
Track = Literal["stable", "canary"]
Stage = Literal["shadow", "5", "10", "25", "50", "75", "100"]
DropReason = Literal[
    "label_sets", "label_value", "wrong_type", "not_finite", "negative", "overflow", "exemplar", "callback"
]

OUTCOME = Label("outcome", "how the work ended", get_args(Outcome))
LOCK = Label("lock", "name of the lock", example="episodes")
MODE = Label("mode", "how the lock is taken", get_args(Mode))
INDEX = Label("index", "name of the index", example="spatiotemporal")
CACHE = Label("cache", "name of the cache or its backend", example="redb")
BACKEND = Label("backend", "name of the store", example="turso")
OPERATION = Label("operation", "name of the storage operation", example="store_episode")
POOL = Label("pool", "name of the connection pool", example="turso")
MEMORY = Label("memory", "which of the two memories", get_args(Memory))
ROUTE = Label("route", "route template, never the raw path", example="/episodes/{id}/complete")
RECALL_PATH = Label("path", "how memories were looked up", get_args(RecallPath))
ERROR_KIND = Label("kind", "kind of the error", get_args(StorageErrorKind))
DIVERGENCE = Label("kind", "which two stores differ, and how", get_args(Divergence))
TRACK = Label("track", "release track of the instance", get_args(Track))
STAGE = Label("stage", "rollout stage, by share of users", get_args(Stage))
