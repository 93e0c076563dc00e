"""Declare a metric: `counter`, `gauge` and `histogram`, and short names for their arguments.

ORDERS_PLACED_SIZE = histogram("orders.placed.size", "Bytes of an order", BYTES, labels=(REGION,), buckets=(1e3, 1e6))
"""

from __future__ import annotations

from .model import Across, Kind, Label, Metric, Source, Unit

SECONDS, BYTES, RATIO, COUNT = Unit.SECONDS, Unit.BYTES, Unit.RATIO, Unit.COUNT
MAX, MIN, LATEST = Across.MAX, Across.MIN, Across.LATEST
SLM, WARM, PLAN, AKI, M17 = Source.SLM, Source.WARM, Source.PLAN, Source.AKI, Source.M17
MNEMOSCOPE = Source.MNEMOSCOPE

Labels = tuple[Label, ...]
Sources = tuple[Source, ...]
Buckets = tuple[float, ...]


def counter(name: str, help: str, unit: Unit = COUNT, *, labels: Labels = (), sources: Sources = ()) -> Metric:
    """Return a counter: a number that only rises. `Metric` explains the arguments."""
    return Metric(name, Kind.COUNTER, unit, help, labels, sources=sources)


def gauge(
    name: str, help: str, unit: Unit = COUNT, *, labels: Labels = (), sources: Sources = (), across: Across = Across.SUM
) -> Metric:
    """Return a gauge: a number that rises and falls. `Metric` explains the arguments."""
    return Metric(name, Kind.GAUGE, unit, help, labels, sources=sources, across=across)


def histogram(
    name: str, help: str, unit: Unit = SECONDS, *, buckets: Buckets, labels: Labels = (), sources: Sources = ()
) -> Metric:
    """Return a histogram: observations counted by size, durations by default. `Metric` explains the arguments."""
    return Metric(name, Kind.HISTOGRAM, unit, help, labels, buckets, sources)
