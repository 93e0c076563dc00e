"""Probes that record a duration by outcome and nothing else."""

from __future__ import annotations

from functools import lru_cache

from .. import catalog
from ..catalog import Metric
from ..catalog.labels import Mode
from ..default import default_registry
from ..recording.registry import Registry
from ..recording.series_lookup import SeriesLookup
from .durations import Durations, duration_lookup
from .operation import IsError, Operation, Probe


def timed(
    metric: Metric, /, *, is_error: IsError | None = None, registry: Registry | None = None, **labels: object
) -> Probe[Operation[Durations]]:
    """Record how long something takes in a histogram that counts seconds, of the catalog or of your own.

    A label `outcome` is filled in (`ok`, `error`, `cancelled`) unless it is given.

    Raises:
        ValueError: the metric is no histogram, or the labels are not the metric's.
    """
    lookup = _timed_lookup(metric, tuple(labels))
    return Probe(Operation, lookup.find(registry or default_registry(), *labels.values()), is_error)


@lru_cache(maxsize=1024)
def _timed_lookup(metric: Metric, labels: tuple[str, ...]) -> SeriesLookup[Durations]:
    for name in labels:
        if name not in metric.label_names:
            wanted = ", ".join(metric.label_names) or "none"
            raise ValueError(f"{metric.name}: labels are {wanted}; given {', '.join(labels)}")
    return duration_lookup("timed", metric, *labels)


_LOCK_HOLD = duration_lookup("lock_hold", catalog.LOCK_HOLD_DURATION, "lock", "mode")
_INDEX_WRITE = duration_lookup("index_write", catalog.INDEX_WRITE_DURATION, "index")
_VECTOR_SEARCH = duration_lookup("vector_search", catalog.RECALL_VECTOR_SEARCH_DURATION, "index")


def lock_hold(lock: str, mode: Mode = "exclusive", *, registry: Registry | None = None) -> Probe[Operation[Durations]]:
    """Record how long the block, or the decorated call, holds `lock`."""
    return Probe(Operation, _LOCK_HOLD.find(registry or default_registry(), lock, mode), None)


def index_write(
    index: str, *, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[Operation[Durations]]:
    """Record duration and outcome of one write to `index`."""
    return Probe(Operation, _INDEX_WRITE.find(registry or default_registry(), index), is_error)


def vector_search(
    index: str, *, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[Operation[Durations]]:
    """Record duration and outcome of one search in `index`."""
    return Probe(Operation, _VECTOR_SEARCH.find(registry or default_registry(), index), is_error)
