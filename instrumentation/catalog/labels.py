"""Labels that several metrics share, each defined once."""

from __future__ import annotations

from .model import Label

OUTCOME = Label("outcome", "how the work ended", ("ok", "error", "cancelled"))
LOCK = Label("lock", "name of the lock", example="episodes")
MODE = Label("mode", "how the lock is taken", ("exclusive", "read", "write"))
INDEX = Label("index", "name of the index", example="spatiotemporal")
CACHE = Label("cache", "name of the cache or its backend", example="redb")
BACKEND = Label("backend", "name of the store", example="turso")
OPERATION = Label("operation", "what was asked of the store", example="store_episode")
POOL = Label("pool", "name of the connection pool", example="turso")
MEMORY = Label("memory", "which of the two memories", ("episodic", "semantic"))
ROUTE = Label("route", "route template, never the raw path", example="/episodes/{id}/complete")
RECALL_PATH = Label("path", "how memories were looked up", ("hierarchical", "flat", "blended"))
ERROR_KIND = Label(
    "kind",
    "class of the error",
    ("timeout", "connection", "busy", "integrity", "corruption", "quota", "other"),
)
DIVERGENCE = Label(
    "kind",
    "which two disagree",
    ("durable_not_cached", "cached_not_durable", "stored_not_indexed", "indexed_not_stored"),
)
TRACK = Label("track", "release track of the instance", ("stable", "canary"))
STAGE = Label(
    "stage",
    "rollout stage, by share of users",
    ("shadow", "5", "10", "25", "50", "75", "100"),
)
