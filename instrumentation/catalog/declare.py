"""Declare a metric: `counter`, `gauge` and `histogram`, with the words that their arguments use.

ORDERS_PLACED = histogram("orders.placed.size", "Bytes of an order", BYTES, labels=(REGION,), buckets=(1e3, 1e6))
"""

from __future__ import annotations

from .model import Across, Area, Kind, Label, Metric, Source, Unit

SECONDS, BYTES, RATIO, COUNT = Unit.SECONDS, Unit.BYTES, Unit.RATIO, Unit.COUNT
MAX, MIN, LATEST = Across.MAX, Across.MIN, Across.LATEST
SLM, WARM, PLAN, AKI, M17 = Source.SLM, Source.WARM, Source.PLAN, Source.AKI, Source.M17
MNEMOSCOPE = Source.MNEMOSCOPE

_AREAS = {
    "lock": Area.LOCKS,
    "index": Area.INDEX,
    "cache": Area.CACHE,
    "storage": Area.STORAGE,
    "completion": Area.COMPLETIONS,
    "episode": Area.COMPLETIONS,
    "recall": Area.RECALL,
    "memory": Area.DUAL_MEMORY,
    "consolidation": Area.COGNITIVE,
    "concept": Area.COGNITIVE,
    "semantic": Area.COGNITIVE,
    "fan": Area.COGNITIVE,
    "pattern": Area.PATTERNS,
    "limit": Area.LIMITS,
    "rollout": Area.ROLLOUT,
    "instrumentation": Area.SELF,
}
"""By the first word of a metric's name; every other word is of the service."""


def counter(
    name: str, help: str, unit: Unit = COUNT, *, labels: tuple[Label, ...] = (), sources: tuple[Source, ...] = ()
) -> Metric:
    """Return a counter: a number that only rises. For the arguments see `Metric`."""
    return Metric(name, Kind.COUNTER, unit, help, _area(name), labels, sources=sources)


def gauge(
    name: str,
    help: str,
    unit: Unit = COUNT,
    *,
    labels: tuple[Label, ...] = (),
    across: Across = Across.SUM,
    sources: tuple[Source, ...] = (),
) -> Metric:
    """Return a gauge: a number that rises and falls. For the arguments see `Metric`."""
    return Metric(name, Kind.GAUGE, unit, help, _area(name), labels, sources=sources, across=across)


def histogram(
    name: str,
    help: str,
    unit: Unit,
    *,
    labels: tuple[Label, ...] = (),
    buckets: tuple[float, ...],
    sources: tuple[Source, ...] = (),
) -> Metric:
    """Return a histogram: observations counted by size. For the arguments see `Metric`."""
    return Metric(name, Kind.HISTOGRAM, unit, help, _area(name), labels, buckets, sources)


def _area(name: str) -> Area:
    return _AREAS.get(name.partition(".")[0], Area.SERVICE)
