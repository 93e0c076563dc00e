"""prometheus_client's costs per call, in single or multi-process mode as its environment says."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mnemoscope import catalog

from ..percall import Sampler, in_threads, per_call, work
from .load import require_files, spread_durations

BUCKETS = catalog.INDEX_WRITE_DURATION.buckets


def histogram() -> Histogram:
    """Make one with the labels and bounds of our index write; what is observed here falls below the first bound."""
    return Histogram(
        "index_write_seconds", "Index writes", ["index", "outcome"], buckets=BUCKETS, registry=CollectorRegistry()
    )


def labels_time() -> Sampler:
    """Use `labels().time()` as a block: its cheapest form, without a call around it and without an outcome."""
    return per_call("with h.labels('spatiotemporal', 'ok').time(): work()", h=histogram())


def bound_time_decorator() -> Sampler:
    return per_call("f()", f=histogram().labels("spatiotemporal", "ok").time()(work))


def bound_time_block() -> Sampler:
    return per_call("with child.time(): work()", child=histogram().labels("spatiotemporal", "ok"))


def observe() -> Sampler:
    child = histogram().labels("spatiotemporal", "ok")
    return per_call("child.observe(0.02)", baseline="pass", child=child)


def observe_spread() -> Sampler:
    child = histogram().labels("spatiotemporal", "ok")
    return per_call(
        "child.observe(next(durations))", baseline="next(durations)", child=child, durations=spread_durations()
    )


def counter() -> Sampler:
    child = _counter().labels("redb", "hit")
    return per_call("child.inc()", baseline="pass", child=child)


def counter_by_labels() -> Sampler:
    return per_call("c.labels('redb', 'hit').inc()", baseline="pass", c=_counter())


def in_progress() -> Sampler:
    gauge = Gauge("completions", "Completions under way", registry=CollectorRegistry())
    return per_call("f()", f=gauge.track_inprogress()(work))


def one_thread() -> Sampler:
    return in_threads(1, "with h.labels('spatiotemporal', 'ok').time(): work()", h=histogram())


def eight_threads() -> Sampler:
    return in_threads(8, "with h.labels('spatiotemporal', 'ok').time(): work()", h=histogram())


def multiprocess_labels_time() -> Sampler:
    return _into_files(labels_time())


def multiprocess_bound_time() -> Sampler:
    return _into_files(bound_time_decorator())


def multiprocess_observe() -> Sampler:
    return _into_files(observe())


def multiprocess_counter() -> Sampler:
    return _into_files(counter())


def _into_files(sampler: Sampler) -> Sampler:
    require_files("PROMETHEUS_MULTIPROC_DIR")
    return sampler


def _counter() -> Counter:
    return Counter("cache_lookups", "Cache lookups", ["cache", "result"], registry=CollectorRegistry())
