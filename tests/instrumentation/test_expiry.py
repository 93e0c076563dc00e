"""Idle series leave the scrape and the memory; no recording is lost."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest

import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.instrumentation.recording.expiry import Expiry
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import NumberPoint


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
                return {p.labels: p.value if isinstance(p, NumberPoint) else p.observations for p in family.points}
        return {}

    return read


Shown = Callable[[m.Metric], dict[tuple[str, ...], float]]


def test_an_idle_series_leaves_the_scrape_and_a_busy_one_stays(
    registry: Registry, clock: list[float], shown: Shown
) -> None:
    busy = registry.counter(m.CACHE_STALE_READS, cache="busy")
    registry.counter(m.CACHE_STALE_READS, cache="idle").inc()
    for clock[0] in (0, 30, 61, 62):
        busy.inc()
        last = shown(m.CACHE_STALE_READS)
    assert set(last) == {("busy",)}


def test_an_expired_series_without_references_is_freed_and_begins_at_zero_when_it_comes_back(
    registry: Registry, clock: list[float], shown: Shown
) -> None:
    with scope.index_write("tenant-1", registry=registry):
        pass
    registry.counter(m.CACHE_STALE_READS, cache="tenant-1").inc(5)
    freed = weakref.ref(registry.counter(m.CACHE_STALE_READS, cache="tenant-1"))
    for clock[0] in (0, 61):
        shown(m.CACHE_STALE_READS)
    gc.collect()
    assert freed() is None
    assert shown(m.INDEX_WRITE_DURATION) == {}
    registry.counter(m.CACHE_STALE_READS, cache="tenant-1").inc()
    assert shown(m.CACHE_STALE_READS) == {("tenant-1",): 0}
    clock[0] = 67
    assert shown(m.CACHE_STALE_READS) == {("tenant-1",): 1}


def test_a_restored_series_is_first_shown_unchanged_and_in_later_scrapes_with_what_is_new(
    registry: Registry, clock: list[float], shown: Shown
) -> None:
    held = registry.counter(m.CACHE_STALE_READS, cache="held")
    held.inc(4)
    seen = []
    for clock[0] in (0, 61):
        shown(m.CACHE_STALE_READS)
    assert shown(m.CACHE_STALE_READS) == {}
    held.inc()
    for clock[0] in (100, 101, 105, 106, 107):  # two servers that scrape in turn both see the change
        seen.append(shown(m.CACHE_STALE_READS)[("held",)])
    assert seen == [4, 4, 4, 5, 5]


@pytest.mark.parametrize("ends", ["block", "decorated", "dropped"])
def test_an_operation_in_flight_when_its_series_expires_is_counted(
    registry: Registry, clock: list[float], shown: Shown, ends: str
) -> None:
    with scope.index_write("hourly", registry=registry):  # as the run an hour ago
        pass

    def job() -> Iterator[None]:
        if ends == "decorated":
            yield from scope.index_write("hourly", registry=registry)(lambda: (yield))()
            return
        operation = scope.index_write("hourly", registry=registry)
        with operation:
            del operation
            yield

    running = job()
    next(running)
    for clock[0] in (0, 61, 122, 183):
        shown(m.INDEX_WRITE_DURATION)
    if ends == "dropped":
        running.close()
    else:
        list(running)
    del running
    gc.collect()
    outcome = "cancelled" if ends == "dropped" else "ok"
    first = shown(m.INDEX_WRITE_DURATION)[("hourly", outcome)]
    clock[0] = 190
    assert shown(m.INDEX_WRITE_DURATION)[("hourly", outcome)] == first + 1


@pytest.mark.usefixtures("hostile_switching")
def test_scrapes_at_the_same_time_as_recordings_and_expiry_lose_nothing_and_never_fail() -> None:
    registry = Registry()
    now = itertools.count()
    registry._expiry = Expiry(50, clock=lambda: float(next(now)))
    errors: list[BaseException] = []
    finished = threading.Event()

    def scrape() -> None:
        try:
            while not finished.is_set():
                registry.snapshot()
        except BaseException as error:
            errors.append(error)

    held = [registry.counter(m.CACHE_STALE_READS, cache=f"{n}") for n in range(20)]

    def record(n: int) -> None:
        for round_ in range(300):
            held[(n * 5 + round_ // 40) % 20].inc()

    scrapers = [threading.Thread(target=scrape) for _ in range(3)]
    recorders = [threading.Thread(target=record, args=(n,)) for n in range(4)]
    for thread in (*scrapers, *recorders):
        thread.start()
    for thread in recorders:
        thread.join()
    finished.set()
    for thread in scrapers:
        thread.join()
    assert errors == []
    assert sum(series.point().value for series in held) == 4 * 300


def test_a_series_that_a_probe_refers_to_is_restored_with_its_total(
    registry: Registry, clock: list[float], shown: Shown
) -> None:
    held = registry.counter(m.CACHE_STALE_READS, cache="held")
    held.inc(5)
    for clock[0] in (0, 61):
        shown(m.CACHE_STALE_READS)
    assert shown(m.CACHE_STALE_READS) == {}
    held.inc()
    shown(m.CACHE_STALE_READS)
    clock[0] = 68
    assert shown(m.CACHE_STALE_READS) == {("held",): 6}
    assert registry.counter(m.CACHE_STALE_READS, cache="held") is held


def test_an_expired_series_is_restored_by_its_labels(registry: Registry, clock: list[float], shown: Shown) -> None:
    held = registry.counter(m.CACHE_STALE_READS, cache="held")
    for clock[0] in (0, 61):
        shown(m.CACHE_STALE_READS)
    assert registry.counter(m.CACHE_STALE_READS, cache="held") is held


def test_gauges_and_series_with_closed_labels_never_expire(
    registry: Registry, clock: list[float], shown: Shown
) -> None:
    registry.gauge(m.INDEX_ENTRIES, index="s").set(7)
    registry.declare(m.LOCK_DEADLOCKS)
    for clock[0] in (0, 61, 200):
        shown(m.INDEX_ENTRIES)
    assert shown(m.INDEX_ENTRIES) == {("s",): 7}
    assert () in {p.labels for f in registry.snapshot().families if f.metric is m.LOCK_DEADLOCKS for p in f.points}


def test_an_expiry_that_is_no_positive_number_is_refused() -> None:
    with pytest.raises(ValueError, match="expire_idle: give a positive number of seconds, not 0"):
        Registry(expire_idle=0)
