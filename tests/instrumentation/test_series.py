"""Series: exact totals under threads, signals and forks; nothing poisoned, nothing lost."""

from __future__ import annotations

import itertools
import math
import os
import signal
import threading
import weakref

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.recording.in_flight import InFlight, Peak
from mnemoscope.instrumentation.recording.journal import LIMIT, Fold
from mnemoscope.instrumentation.recording.registry import RecordingError, Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint, NumberPoint

THREADS, EACH = 4, 20_000


@pytest.fixture
def registry() -> Registry:
    return Registry()


def run_threads(work: object, count: int = THREADS) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def points(registry: Registry, metric: catalog.Metric) -> dict[tuple[str, ...], NumberPoint | HistogramPoint]:
    for family in registry.snapshot().families:
        if family.metric is metric:
            return {point.labels: point for point in family.points}
    return {}


@pytest.mark.usefixtures("hostile_switching")
def test_no_increment_is_lost_between_threads_that_switch_every_microsecond(registry: Registry) -> None:
    counter = registry.counter(catalog.CACHE_STALE_READS, cache="redb")
    run_threads(lambda: [counter.inc() for _ in range(EACH)])
    assert counter.point().value == THREADS * EACH


@pytest.mark.usefixtures("hostile_switching")
def test_a_scrape_between_recordings_sees_sums_and_counts_of_the_same_observations(registry: Registry) -> None:
    histogram = registry.histogram(catalog.LOCK_WAIT_DURATION, lock="a", mode="read")
    done = threading.Event()
    torn: list[HistogramPoint] = []

    def scrape() -> None:
        last = 0
        while not done.is_set():
            point = histogram.point()
            # Every observation is exactly 0.25, so a sum of other observations than the counts is visible.
            if point.sum != point.observations * 0.25 or point.observations < last:
                torn.append(point)
            last = point.observations

    scraper = threading.Thread(target=scrape)
    scraper.start()
    run_threads(lambda: [histogram.observe(0.25) for _ in range(EACH)])
    done.set()
    scraper.join()
    assert not torn
    assert histogram.point().observations == THREADS * EACH


def test_an_observation_counts_in_the_bucket_whose_upper_bound_it_equals(registry: Registry) -> None:
    histogram = registry.histogram(catalog.INDEX_WRITE_DURATION, index="s", outcome="ok")
    bounds = catalog.INDEX_WRITE_DURATION.buckets
    for bound in bounds:
        histogram.observe(bound)
    histogram.observe(bounds[-1] * 2)
    assert histogram.point().counts == (1,) * (len(bounds) + 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0])
def test_an_invalid_duration_is_dropped_and_counted_and_the_rest_of_the_batch_recorded(
    registry: Registry, bad: float
) -> None:
    histogram = registry.histogram(catalog.LOCK_WAIT_DURATION, lock="a", mode="read")
    for value in (0.5, bad, 0.25):
        histogram.observe(value)
    assert (histogram.point().observations, histogram.point().sum) == (2, 0.75)
    reason = "negative" if bad == -1 else "not_finite"
    assert points(registry, catalog.INSTRUMENTATION_DROPPED)[(catalog.LOCK_WAIT_DURATION.name, reason)].value == 1


FAR_BELOW, ON_A_BOUND, BEYOND = 1e-9, catalog.LOCK_WAIT_DURATION.buckets[2], catalog.LOCK_WAIT_DURATION.buckets[-1] * 3
DURATIONS = st.one_of(
    st.sampled_from([0.0, -0.0, FAR_BELOW, ON_A_BOUND, BEYOND, -1.0, -5e-324, math.nan, math.inf]),
    st.floats(min_value=0, max_value=20),
)
BATCHES = st.lists(
    st.one_of(
        st.lists(DURATIONS, max_size=30),
        # One bucket takes most observations, so that the next batch is searched for it first.
        st.builds(lambda usual, rest: [usual] * 40 + rest, DURATIONS, st.lists(DURATIONS, max_size=60)),
    ),
    max_size=6,
)


@given(batches=BATCHES)
def test_batches_are_counted_as_prometheus_client_counts_one_by_one(batches: list[list[float]]) -> None:
    histogram = Registry().histogram(catalog.LOCK_WAIT_DURATION, lock="a", mode="read")
    theirs = prometheus_client.Histogram("h", "h", registry=None, buckets=catalog.LOCK_WAIT_DURATION.buckets)
    for batch in batches:
        for value in batch:
            histogram.observe(value)
            if math.isfinite(value) and value >= 0:
                theirs.observe(value)
        found = histogram.point()
        cumulative = [s.value for s in next(iter(theirs.collect())).samples if s.name == "h_bucket"]
        assert list(itertools.accumulate(found.counts)) == cumulative
    assert histogram.point().sum == pytest.approx(theirs._sum.get())


def test_a_negative_bound_lets_no_negative_value_in(registry: Registry) -> None:
    metric = catalog.LOCK_WAIT_DURATION.replace(name="acme_drift_seconds", buckets=(-1.0, 1.0, 2.0), labels=())
    histogram = registry.histogram(metric)
    for _ in range(2):  # the second time, most fall between the first two bounds
        for value in (0.5, 0.5, -0.5):
            histogram.observe(value)
        histogram.fold()
    assert histogram.point().counts == (0, 4, 0, 0)


def test_a_counter_never_goes_down(registry: Registry) -> None:
    counter = registry.counter(catalog.CACHE_STALE_READS, cache="redb")
    counter.inc(3)
    counter.inc(-2)
    counter.inc(math.nan)
    assert counter.point().value == 3


def test_a_gauge_keeps_the_order_of_sets_and_changes(registry: Registry) -> None:
    gauge = registry.gauge(catalog.COMPLETION_QUEUE_DEPTH)
    gauge.inc(5)
    gauge.set(10)
    gauge.dec(2)
    for _ in range(LIMIT * 2):
        gauge.inc()
        gauge.dec()
    assert gauge.point() == NumberPoint((), 8.0)


def test_a_gauge_function_that_fails_is_left_out_and_counted(registry: Registry) -> None:
    registry.gauge(catalog.COMPLETION_QUEUE_DEPTH).set_function(lambda: 1 / 0)
    assert points(registry, catalog.COMPLETION_QUEUE_DEPTH) == {}
    dropped = points(registry, catalog.INSTRUMENTATION_DROPPED)
    assert dropped[(catalog.COMPLETION_QUEUE_DEPTH.name, "callback")].value >= 1


def test_strict_mode_raises_where_a_recording_would_be_dropped() -> None:
    histogram = Registry(strict=True).histogram(catalog.LOCK_WAIT_DURATION, lock="a", mode="read")
    for bad, reason in ((math.nan, "not_finite"), (-1.0, "negative"), ("1", "wrong_type"), (1e308, "overflow")):
        with pytest.raises(RecordingError, match=reason):
            histogram.observe(bad)  # type: ignore[arg-type]
    assert histogram.point().observations == 0


def test_recording_from_a_signal_handler_loses_nothing_and_never_deadlocks(registry: Registry) -> None:
    counter = registry.counter(catalog.CACHE_STALE_READS, cache="redb")
    handled = 0
    scraping = False

    def handler(_signal: int, _frame: object) -> None:
        nonlocal handled, scraping
        handled += 1
        counter.inc()
        if handled % 50 == 0 and not scraping:
            scraping = True
            counter.point()  # inside an interrupted fold this waits a little, but not indefinitely
            scraping = False

    previous = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        own = 0
        while handled < 300:
            counter.inc()
            own += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert counter.point().value == own + handled


def test_recording_from_a_finaliser_that_runs_inside_a_fold_is_kept(registry: Registry) -> None:
    counter = registry.counter(catalog.CACHE_STALE_READS, cache="redb")

    class Recorder:
        def __del__(self) -> None:
            counter.inc()

    for _ in range(LIMIT * 3):
        cycle = Recorder()
        cycle.self = cycle  # type: ignore[attr-defined]
        counter.inc()
    del cycle
    import gc

    gc.collect()
    assert counter.point().value == 2 * LIMIT * 3


def test_a_forked_child_starts_at_zero_and_keeps_the_settings_of_gauges(registry: Registry) -> None:
    counter = registry.counter(catalog.CACHE_STALE_READS, cache="redb")
    limit = registry.gauge(catalog.COMPLETION_LIMIT)
    busy = registry.gauge(catalog.LOCK_WAITERS, lock="a", mode="read")
    counter.inc(5)
    limit.set(20)
    busy.inc()
    tracker = registry.in_flight("work")
    tracker.enter(token := Fold())
    fold = Fold()
    assert counter.guard.admits(weakref.ref(fold))  # as if another thread were folding at the moment of the fork
    child = os.fork()
    if child == 0:
        counter.inc()
        good = (counter.point().value, limit.point().value, busy.point().value, tracker.now()) == (1, 20, 0, 0)  # type: ignore[union-attr]
        os._exit(0 if good else 1)
    counter.guard.release(weakref.ref(fold))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert counter.point().value == 5
    assert tracker.now() == 1
    del token


@pytest.mark.usefixtures("hostile_switching")
def test_reading_a_peak_does_not_reset_it_for_other_readers() -> None:
    peak = Peak(clock=lambda: 0.0)
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            peak.read(0)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    seen = []
    for level in range(5_000):
        peak.note(level)
        seen.append(peak.read(0))
    done.set()
    for reader in readers:
        reader.join()
    assert [level for level, peak_then in enumerate(seen) if peak_then != level] == []


def test_a_peak_is_seen_by_every_scrape_for_at_least_its_window_and_then_forgotten() -> None:
    now = [0.0]
    peak = Peak(window=30, clock=lambda: now[0])
    peak.note(7)
    assert [peak.read(0), peak.read(0)] == [7, 7]
    now[0] = 31
    assert peak.read(0) == 7
    now[0] = 61
    assert peak.read(2) == 2


def test_the_peak_of_concurrent_work_is_exact() -> None:
    tracker = InFlight()
    gate = threading.Barrier(9)

    def work() -> None:
        token = Fold()
        tracker.enter(token)
        gate.wait()
        gate.wait()
        tracker.leave(token)
        tracker.leave(token)  # a second end changes nothing

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.wait()
    assert tracker.now() == 8
    gate.wait()
    for thread in threads:
        thread.join()
    assert (tracker.now(), tracker.peak()) == (0, 8)


def test_a_forked_child_has_its_own_uptime(registry: Registry) -> None:
    registry._monotonic -= 1000
    uptime = registry.gauge(catalog.SERVICE_UPTIME)
    child = os.fork()
    if child == 0:
        os._exit(0 if uptime.point().value < 900 else 1)  # type: ignore[union-attr]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert uptime.point().value >= 1000  # type: ignore[union-attr]
