"""The time of one scrape: 700 histograms of 12 bounds, which is 10,500 samples, rendered as Prometheus text.

Each histogram gets an observation between two scrapes, which is not timed. The first scrape, which builds the constant
parts, is the warm-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..percall import Sampler
from .load import BOUNDS, HISTOGRAMS, children, our_metric, recorded

MILLISECONDS = 1e3


def ours() -> Sampler:
    from mnemoscope.instrumentation import Registry
    from mnemoscope.instrumentation.exporters.formats.text import render_text

    registry = Registry()
    metric = our_metric("shard.duration", BOUNDS)
    series = [registry.histogram(metric, shard=name) for name in children()]
    return _scrape(lambda: b"".join(render_text(registry.snapshot())), [s.observe for s in series])


def prometheus() -> Sampler:
    from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest

    disable_created_metrics()  # ours writes none either
    registry = CollectorRegistry()
    histogram = Histogram("shard_duration_seconds", "Shards", ["shard"], buckets=BOUNDS, registry=registry)
    series = [histogram.labels(name) for name in children()]
    return _scrape(lambda: generate_latest(registry), [s.observe for s in series])


def aioprometheus() -> Sampler:
    from aioprometheus import Histogram, Registry, render

    registry = Registry()
    histogram = Histogram("shard_duration_seconds", "Shards", buckets=list(BOUNDS), registry=registry)
    names = [{"shard": name} for name in children()]

    def observe(value: float) -> None:
        for labels in names:
            histogram.observe(labels, value)

    return _scrape(lambda: render(registry, ["text/plain"])[0], [observe])


def _scrape(render: Callable[[], bytes], observers: list[Callable[[float], None]]) -> Sampler:
    scrapes = 0

    def sample() -> float:
        nonlocal scrapes
        scrapes += 1
        for observe in observers:
            observe(0.02)
        started = time.process_time()
        page = render()
        took = time.process_time() - started
        if (seen := recorded(page, "shard")) != scrapes * HISTOGRAMS:
            raise RuntimeError(f"the scrape shows {seen:g} observations of {scrapes * HISTOGRAMS}")
        return took * MILLISECONDS

    return sample
