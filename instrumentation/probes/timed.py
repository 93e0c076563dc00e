"""Probes that record a duration by outcome and nothing else."""

from __future__ import annotations

from .. import catalog
from ..catalog import Metric
from ..catalog.labels import Mode
from ..default import default_registry
from ..recording.registry import Registry
from .durations import Durations, durations, durations_of
from .operation import IsError, Operation, Probe


def timed(
    metric: Metric, /, *, is_error: IsError | None = None, registry: Registry | None = None, **labels: object
) -> Probe[Operation[Durations]]:
    """Record how long something takes in any histogram of the catalog, or of your own, that counts seconds.

    A label `outcome` is filled in (`ok`, `error`, `cancelled`) unless it is given.

    Raises:
        ValueError: the metric is no histogram, or the labels are not the metric's.
    """
    series = (registry or default_registry()).bound(durations_of(metric, tuple(labels)), *labels.values())
    return Probe(Operation, series, is_error)


_LOCK_HOLD = durations("lock_hold", catalog.LOCK_HOLD_DURATION)
_INDEX_WRITE = durations("index_write", catalog.INDEX_WRITE_DURATION)
_VECTOR_SEARCH = durations("vector_search", catalog.RECALL_VECTOR_SEARCH_DURATION)


def lock_hold(lock: str, mode: Mode = "exclusive", *, registry: Registry | None = None) -> Probe[Operation[Durations]]:
    """Record how long the block, or the decorated call, holds `lock`."""
    return Probe(Operation, (registry or default_registry()).bound(_LOCK_HOLD, lock, mode), None)


def index_write(
    index: str, *, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[Operation[Durations]]:
    """Record duration and outcome of one write to `index`."""
    return Probe(Operation, (registry or default_registry()).bound(_INDEX_WRITE, index), is_error)


def vector_search(
    index: str, *, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[Operation[Durations]]:
    """Record duration and outcome of one search in `index`."""
    return Probe(Operation, (registry or default_registry()).bound(_VECTOR_SEARCH, index), is_error)
