"""Mnemoscope's own costs per call."""

from __future__ import annotations

from time import perf_counter

import mnemoscope as scope
from mnemoscope import catalog

from ..percall import Sampler, async_work, in_threads, per_await, per_call, work
from .load import require_files, spread_durations

INDEX = "spatiotemporal"


def decorated() -> Sampler:
    return per_call("f()", f=scope.index_write(INDEX)(work))


def coroutine() -> Sampler:
    return per_await("await f()", f=scope.index_write(INDEX)(async_work))


def inline_block() -> Sampler:
    """Make the probe where it is used, as services do."""
    return per_call("with scope.index_write('spatiotemporal'): work()", scope=scope)


def kept_block() -> Sampler:
    """Make the probe once and enter it repeatedly."""
    return per_call("with probe: work()", probe=scope.index_write(INDEX))


def nested_block() -> Sampler:
    """Enter one kept probe again before it is left."""
    both = per_call("with probe, probe: work()", probe=scope.index_write(INDEX))
    return lambda: both() / 2


def shared_block() -> Sampler:
    return in_threads(8, "with probe: work()", probe=scope.index_write(INDEX))


def storage_decorated() -> Sampler:
    """Decorate with a probe that records more than a duration by outcome: its wrapper makes an operation each call."""
    return per_call("f()", f=scope.storage("turso", "store_episode")(work))


def observe() -> Sampler:
    histogram = scope.histogram(catalog.INDEX_WRITE_DURATION, index=INDEX, outcome="ok")
    return per_call("histogram.observe(0.02)", baseline="pass", histogram=histogram)


def observe_spread() -> Sampler:
    histogram = scope.histogram(catalog.INDEX_WRITE_DURATION, index=INDEX, outcome="ok")
    return per_call(
        "histogram.observe(next(durations))",
        baseline="next(durations)",
        histogram=histogram,
        durations=spread_durations(),
    )


def counter() -> Sampler:
    series = scope.counter(catalog.CACHE_LOOKUPS, cache="redb", result="hit")
    return per_call("series.inc()", baseline="pass", series=series)


def counter_by_labels() -> Sampler:
    return per_call(
        "scope.counter(metric, cache='redb', result='hit').inc()",
        baseline="pass",
        scope=scope,
        metric=catalog.CACHE_LOOKUPS,
    )


def in_flight() -> Sampler:
    """Record in-flight count, its peak, the duration and the outcome: all that `completion` records."""
    return per_call("f()", f=scope.completion()(work))


def one_thread() -> Sampler:
    return in_threads(1, "f()", f=scope.index_write(INDEX)(work))


def eight_threads() -> Sampler:
    return in_threads(8, "f()", f=scope.index_write(INDEX)(work))


def one_thread_wall() -> Sampler:
    return in_threads(1, "f()", f=scope.index_write(INDEX)(work), clock=perf_counter)


def eight_threads_wall() -> Sampler:
    return in_threads(8, "f()", f=scope.index_write(INDEX)(work), clock=perf_counter)


def multiprocess_decorated() -> Sampler:
    return _into_files(decorated())


def multiprocess_inline_block() -> Sampler:
    return _into_files(inline_block())


def multiprocess_counter() -> Sampler:
    return _into_files(counter())


def _into_files(sampler: Sampler) -> Sampler:
    scope.snapshot()
    require_files("MNEMOSCOPE_MULTIPROC_DIR")
    return sampler
