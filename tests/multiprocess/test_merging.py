"""A scrape of one process shows the values of all processes."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from mp_helpers import end, histogram, point, until, value

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.catalog.labels import OTHER
from mnemoscope.instrumentation.multiprocess.merge import exact
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import NumberPoint

Member = Callable[..., Registry]


def test_counters_and_histograms_of_all_processes_are_added_up(member: Member) -> None:
    for amount in (1, 2, 4):
        registry = member()
        registry.counter(catalog.CACHE_STALE_READS, cache="a").inc(amount)
        registry.histogram(catalog.LOCK_WAIT_DURATION, lock="x", mode="read").observe(amount)
        registry.snapshot()  # publishes immediately
    reader = member()

    assert value(reader, catalog.CACHE_STALE_READS, "a") == 7
    merged = histogram(reader, catalog.LOCK_WAIT_DURATION, "x", "read")
    assert (merged.observations, merged.sum) == (3, 7)
    assert merged.counts[-2:] == (2, 0)
    assert merged.counts[catalog.LOCK_WAIT_DURATION.buckets.index(1)] == 1


def test_a_process_publishes_by_itself_without_being_scraped(member: Member, directory: Path) -> None:
    quiet, reader = member(), member()
    quiet.counter(catalog.CACHE_STALE_READS, cache="a").inc(3)

    assert until(lambda: value(reader, catalog.CACHE_STALE_READS, "a") == 3, "published by its thread")


@pytest.mark.parametrize(
    ("metric", "labels", "merged"),
    [
        (catalog.LOCK_WAITERS, {"lock": "x", "mode": "read"}, 6.0),
        (catalog.STORAGE_WAL_SIZE, {"backend": "turso"}, 3.0),
        (catalog.SEMANTIC_HEALTH, {}, 1.0),
        (catalog.MEMORY_COHORT_SAMPLING, {}, 2.0),
    ],
)
def test_gauges_are_merged_as_their_metric_says(
    member: Member, metric: catalog.Metric, labels: dict[str, str], merged: float
) -> None:
    for number in (1, 3, 2):
        registry = member()
        registry.gauge(metric, **labels).set(number)
        registry.snapshot()

    assert value(member(), metric, *labels.values()) == merged


def test_a_gauge_goes_with_its_process_but_the_latest_setting_stays(member: Member) -> None:
    worker, reader = member(), member()
    worker.gauge(catalog.LOCK_WAITERS, lock="x", mode="read").inc()
    worker.gauge(catalog.STORAGE_BACKUP_LAST_SUCCESS_TIMESTAMP, backend="turso").set(1_700_000_000)
    worker.snapshot()
    assert value(reader, catalog.LOCK_WAITERS, "x", "read") == 1

    end(worker)

    for _ in range(2):  # before, and out of the archive
        assert value(reader, catalog.LOCK_WAITERS, "x", "read") is None
        assert value(reader, catalog.STORAGE_BACKUP_LAST_SUCCESS_TIMESTAMP, "turso") == 1_700_000_000


def test_the_newest_exemplar_of_a_bucket_is_shown_also_of_a_process_that_has_ended(member: Member) -> None:
    old, new, reader = member(), member(), member()
    for name, registry in (("old", old), ("new", new)):
        registry.histogram(catalog.LOCK_WAIT_DURATION, lock="x", mode="read").observe(0.02, {"trace_id": name})
        registry.counter(catalog.CACHE_STALE_READS, cache="a").inc(1, {"trace_id": name, "odd": "é'"})
    old.histogram(catalog.LOCK_WAIT_DURATION, lock="x", mode="read").observe(3, {"trace_id": "slow"})
    for registry in (new, old):
        end(registry)

    shown = histogram(reader, catalog.LOCK_WAIT_DURATION, "x", "read").exemplars
    assert [dict(e.labels)["trace_id"] for e in shown if e] == ["new", "slow"]
    found = point(reader.snapshot(), catalog.CACHE_STALE_READS, "a")
    assert isinstance(found, NumberPoint)
    assert found.exemplar is not None
    assert found.exemplar.labels == (("trace_id", "new"), ("odd", "é'"))


def test_dead_processes_end_up_in_one_archive(member: Member, directory: Path) -> None:
    reader = member()
    for _ in range(30):
        worker = member()
        worker.counter(catalog.CACHE_STALE_READS, cache="a").inc()
        end(worker)

    assert value(reader, catalog.CACHE_STALE_READS, "a") == 30
    assert len(list(directory.glob("*.cells"))) == 1, "only the reader's own is left"
    end(reader)
    assert value(member(), catalog.CACHE_STALE_READS, "a") == 30


def test_the_archive_is_held_to_the_cap_on_label_sets(member: Member) -> None:
    reader = member(max_label_sets=5)
    for i in range(12):
        worker = member()
        worker.counter(catalog.CACHE_STALE_READS, cache=f"user-{i}").inc()
        end(worker)
        reader.snapshot()

    (family,) = [f for f in reader.snapshot().families if f.metric is catalog.CACHE_STALE_READS]
    assert len(family.points) == 6
    assert value(reader, catalog.CACHE_STALE_READS, OTHER) == 7


def test_no_sum_shrinks_by_a_bit_when_its_process_ends(member: Member) -> None:
    # Prometheus takes a counter that is one bit smaller for one that began again at zero.
    chance = random.Random(7)
    workers = [member() for _ in range(12)]
    for worker in workers:
        series = worker.histogram(catalog.LOCK_WAIT_DURATION, lock="x", mode="read")
        for _ in range(50):
            series.observe(chance.random() * 10 ** chance.randint(-6, 3))
        worker.snapshot()
    reader = member()
    sums = [histogram(reader, catalog.LOCK_WAIT_DURATION, "x", "read").sum]
    chance.shuffle(workers)
    for worker in workers:
        end(worker)
        sums.append(histogram(reader, catalog.LOCK_WAIT_DURATION, "x", "read").sum)

    assert len(set(sums)) == 1


def test_exact_parts_lose_nothing() -> None:
    terms = [0.1, 1e9, 1e-9, 0.3, 7e5] * 20
    parts = exact(terms)
    assert math.fsum([*parts, *(-t for t in terms)]) == 0
    assert math.fsum([*exact([*parts, 0.7]), -0.7, *(-t for t in terms)]) == 0


def test_a_metric_of_the_service_is_merged_and_known_to_a_reader_that_never_recorded_it(member: Member) -> None:
    def own() -> catalog.Metric:
        labels = (catalog.Label("road", "which road"),)
        return catalog.gauge("zebra.crossing", "Zebras", catalog.BYTES, labels=labels, across=catalog.MAX)

    for size in (4, 9):
        worker = member()
        worker.gauge(own(), road="m1").set(size)
        worker.snapshot()
    reader = member()

    shot = reader.snapshot()
    assert value(shot, own(), "m1") == 9
    (metric,) = [f.metric for f in shot.families if f.metric.name == "zebra.crossing"]
    assert (metric.unit, metric.help, metric.label_names) == (catalog.Unit.BYTES, "Zebras", ("road",))
    late = own()
    reader.gauge(late, road="m1").set(11)
    assert value(reader, late, "m1") == 11
    assert [f.metric.name for f in reader.snapshot().families].count("zebra.crossing") == 1


def test_a_metric_with_other_buckets_is_left_out_and_counted(member: Member) -> None:
    def sizes(*buckets: float) -> catalog.Metric:
        return catalog.histogram("zebra.size", "Zebras", catalog.BYTES, buckets=buckets)

    first, second = member(), member()
    first.histogram(sizes(1, 2)).observe(1)
    second.histogram(sizes(1, 2, 3)).observe(1)
    second.counter(catalog.CACHE_STALE_READS, cache="a").inc()

    until(lambda: value(first, catalog.CACHE_STALE_READS, "a") == 1, "the rest of that process is shown")
    merged = histogram(first, sizes(1, 2))
    assert merged.counts == (1, 0, 0)
    assert value(first, catalog.INSTRUMENTATION_FILES_REJECTED, "mismatch") == 1


def test_a_failing_gauge_function_leaves_out_that_process_only(member: Member) -> None:
    good, bad = member(), member()
    good.gauge(catalog.LOCK_DEFERRED_DEPTH, lock="x").set_function(lambda: 5)
    answers = itertools.chain([3.0])
    bad.gauge(catalog.LOCK_DEFERRED_DEPTH, lock="x").set_function(lambda: next(answers))
    good.snapshot()
    bad.snapshot()
    bad.snapshot()  # StopIteration

    assert value(good, catalog.LOCK_DEFERRED_DEPTH, "x") == 5


def test_clear_sets_the_process_back_for_readers_as_well(member: Member) -> None:
    worker, reader = member(), member()
    worker.counter(catalog.CACHE_STALE_READS, cache="a").inc(5)
    worker.snapshot()
    worker.clear()
    worker.counter(catalog.CACHE_STALE_READS, cache="a").inc()
    worker.snapshot()

    assert value(reader, catalog.CACHE_STALE_READS, "a") == 1


def test_without_a_directory_nothing_of_this_mode_is_loaded() -> None:
    import subprocess
    import sys

    script = (
        "import sys, threading, mnemoscope as s; s.counter(s.catalog.LOCK_DEADLOCKS).inc(); s.snapshot();"
        "print([m for m in sys.modules if 'multiproc' in m], threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")

    assert done.stdout.split() == ["[]", "1"]
