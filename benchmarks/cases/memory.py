"""Memory of a histogram with 15 buckets: the size of many, as tracemalloc measures it, divided by their number.

The label values exist before, because they belong to the service. Each histogram has one observation and one scrape,
and some have traffic after that.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

from ..percall import Sampler, scaled
from .load import BOUNDS, children, our_metric

CHILDREN = scaled(1_000)
BUSY = scaled(2_000)
FINITE_BOUNDS = (*BOUNDS, 7.5, 10.0)  # and +Inf, so 15 buckets
ROUNDS_OF_TRAFFIC = 7
"""How often a journal of ours fills up."""


def ours() -> Sampler:
    """Measure after a snapshot, which folds the recordings into the buckets."""
    return _each(CHILDREN, _ours)


def ours_rendered() -> Sampler:
    """Measure with the text that the exporter keeps to render the next scrape faster."""
    return _each(CHILDREN, lambda names: _ours(names, rendered=True))


def prometheus() -> Sampler:
    return _each(CHILDREN, _prometheus)


def ours_under_traffic() -> Sampler:
    """Measure at the largest size: the next recording would cause a fold."""
    return _each(BUSY, lambda names: _ours(names, recordings=traffic()))


def ours_rendered_under_traffic() -> Sampler:
    return _each(BUSY, lambda names: _ours(names, rendered=True, recordings=traffic()))


def prometheus_under_traffic() -> Sampler:
    return _each(BUSY, lambda names: _prometheus(names, recordings=traffic()))


def traffic() -> int:
    """Return several hundred recordings, the last of which fill our journal up to its limit."""
    from mnemoscope.instrumentation.recording.journal import LIMIT

    return ROUNDS_OF_TRAFFIC * LIMIT - 1


def _each(count: int, make: Callable[[list[str]], Any]) -> Sampler:
    names = children(count)

    def sample() -> float:
        make(names[:1])  # objects that exist once, whatever the number of histograms, do not count
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            kept = make(names)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
            del kept
        finally:
            tracemalloc.stop()
        return (after - before) / count

    return sample


def _ours(names: list[str], *, rendered: bool = False, recordings: int = 0) -> Any:
    from mnemoscope.instrumentation import Registry
    from mnemoscope.instrumentation.exporters.formats.text import render_text

    registry = Registry(max_label_sets=len(names))
    metric = our_metric("shard.duration", FINITE_BOUNDS)
    every = [registry.histogram(metric, shard=name) for name in names]
    _record(every)
    snapshot = registry.snapshot()
    if rendered:
        for _ in render_text(snapshot):
            pass
    _record(every, recordings)
    return registry, metric


def _prometheus(names: list[str], recordings: int = 0) -> Any:
    from prometheus_client import CollectorRegistry, Histogram, generate_latest

    registry = CollectorRegistry()
    histogram = Histogram("shard_seconds", "Shards", ["shard"], buckets=FINITE_BOUNDS, registry=registry)
    every = [histogram.labels(name) for name in names]
    _record(every)
    generate_latest(registry)
    _record(every, recordings)
    return registry


def _record(every: Sequence[Any], recordings: int = 1) -> None:
    for series in every:
        for number in range(recordings):
            series.observe(0.02 + number * 0.001)  # a separate float object for each
