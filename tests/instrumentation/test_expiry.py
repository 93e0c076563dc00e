"""Idle series leave the scrape and the memory; nothing that is written to is ever lost."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest

import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.instrumentation.expiry import Expiry
from mnemoscope.instrumentation.registry import Registry


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def registry(clock: list[float]) -> Registry:
    registry = Registry()
    registry._expiry = Expiry(60, clock=lambda: clock[0])
    return registry


@pytest.fixture
def shown(registry: Registry) -> Callable[[m.Metric], dict[tuple[str, ...], float]]:
    def read(metric: m.Metric) -> dict[tuple[str, ...], float]:
        for family in registry.snapshot().families:
            if family.metric is metric:
                return {point.labels: getattr(point, "value", None) or point[2] for point in family.points}
        return {}

    return read


Shown = Callable[[m.Metric], dict[tuple[str, ...], float]]


def test_an_idle_series_leaves_the_scrape_and_a_busy_one_stays(
    registry: Registry, clock: list[float], shown: Shown
) -> None:
    busy = registry.counter(m.CACHE_STALE, cache="busy")
    registry.counter(m.CACHE_STALE, cache="idle").inc()
    for clock[0] in (0, 30, 61, 62):
        busy.inc()
        last = shown(m.CACHE_STALE)
    assert set(last) == {("busy",)}


def test_a_series_that_nobody_holds_is_freed_and_begins_at_zero_when_it_comes_back(
    registry: Registry, clock: list[float], shown: Shown
) -> None:
    with scope.index_write("tenant-1", registry=registry):
        pass
    registry.counter(m.CACHE_STALE, cache="tenant-1").inc(5)
    freed = weakref.ref(registry.counter(m.CACHE_STALE, cache="tenant-1"))
    for clock[0] in (0, 61):
        shown(m.CACHE_STALE)
    gc.collect()
    assert freed() is None
    assert shown(m.INDEX_WRITE) == {}
    registry.counter(m.CACHE_STALE, cache="tenant-1").inc()
    assert shown(m.CACHE_STALE) == {("tenant-1",): 1}


def test_a_series_that_a_probe_holds_wakes_with_its_total(registry: Registry, clock: list[float], shown: Shown) -> None:
    held = registry.counter(m.CACHE_STALE, cache="held")
    held.inc(5)
    for clock[0] in (0, 61):
        shown(m.CACHE_STALE)
    assert shown(m.CACHE_STALE) == {}
    held.inc()
    assert shown(m.CACHE_STALE) == {("held",): 6}
    assert registry.counter(m.CACHE_STALE, cache="held") is held


def test_a_sleeping_series_is_found_again_by_its_labels(registry: Registry, clock: list[float], shown: Shown) -> None:
    held = registry.counter(m.CACHE_STALE, cache="held")
    for clock[0] in (0, 61):
        shown(m.CACHE_STALE)
    assert registry.counter(m.CACHE_STALE, cache="held") is held


def test_gauges_and_series_that_cannot_be_many_never_expire(
    registry: Registry, clock: list[float], shown: Shown
) -> None:
    registry.gauge(m.INDEX_ENTRIES, index="s").set(7)
    registry.declare(m.LOCK_DEADLOCKS)
    for clock[0] in (0, 61, 200):
        shown(m.INDEX_ENTRIES)
    assert shown(m.INDEX_ENTRIES) == {("s",): 7}
    assert () in {p.labels for f in registry.snapshot().families if f.metric is m.LOCK_DEADLOCKS for p in f.points}


def test_an_expiry_that_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot expire after 0"):
        Registry(expire_idle=0)
