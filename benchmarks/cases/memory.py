"""Bytes that one more histogram of 15 buckets takes: what tracemalloc sees for 1,000 of them, by 1,000.

The label values belong to the service and are made before. Each child has got one observation and one scrape.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

from ..percall import Sampler, scaled
from .load import BOUNDS, children, our_metric

CHILDREN = scaled(1_000)
FINITE_BOUNDS = (*BOUNDS, 7.5, 10.0)  # and +Inf, so 15 buckets


def ours() -> Sampler:
    """After a snapshot, which folds what was recorded into the buckets."""
    return _per_child(lambda: _our_children(rendered=False))


def ours_rendered() -> Sampler:
    """With what the text exporter keeps to render the next scrape faster."""
    return _per_child(lambda: _our_children(rendered=True))


def ours_between_scrapes() -> Sampler:
    """At most: 512 recordings since the last fold, each a float of its own."""
    return _per_child(lambda: _our_children(rendered=False, recordings=512))


def prometheus() -> Sampler:
    return _per_child(_prometheus_children)


def _per_child(make: Callable[[], Any]) -> Sampler:
    def sample() -> float:
        make()  # what is made once, whatever the number of children, is not theirs
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            kept = make()
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
            del kept
        finally:
            tracemalloc.stop()
        return (after - before) / CHILDREN

    return sample


_NAMES = children(CHILDREN)


def _our_children(*, rendered: bool, recordings: int = 0) -> Any:
    from mnemoscope.instrumentation import Registry
    from mnemoscope.instrumentation.exporters.text import render_text

    registry = Registry(max_label_sets=CHILDREN)
    metric = our_metric("shard.duration", FINITE_BOUNDS)
    for name in _NAMES:
        registry.histogram(metric, shard=name).observe(0.02)
    snapshot = registry.snapshot()
    if rendered:
        for _ in render_text(snapshot):
            pass
    for name in _NAMES:
        series = registry.histogram(metric, shard=name)
        for number in range(recordings):
            series.observe(number * 0.001)
    return registry, metric


def _prometheus_children() -> Any:
    from prometheus_client import CollectorRegistry, Histogram, generate_latest

    registry = CollectorRegistry()
    histogram = Histogram("shard_seconds", "Shards", ["shard"], buckets=FINITE_BOUNDS, registry=registry)
    for name in _NAMES:
        histogram.labels(name).observe(0.02)
    generate_latest(registry)
    return registry
