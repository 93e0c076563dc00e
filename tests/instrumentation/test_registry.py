"""The registry limits the number of series, accepts any value, and refuses wrong names."""

from __future__ import annotations

import pytest

import mnemoscope as scope
from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.catalog.labels import OTHER
from mnemoscope.instrumentation.recording.registry import RecordingError, Registry


def labels_of(registry: Registry, metric: catalog.Metric) -> set[tuple[str, ...]]:
    return {p.labels for f in registry.snapshot().families if f.metric is metric for p in f.points}


def dropped(registry: Registry, metric: catalog.Metric, reason: str) -> float:
    return registry.counter(catalog.INSTRUMENTATION_DROPPED, metric=metric.name, reason=reason).point().value


def test_label_sets_past_the_cap_share_one_series_and_are_counted() -> None:
    registry = Registry(max_label_sets=3)
    for i in range(10):
        registry.counter(catalog.CACHE_STALE_READS, cache=f"user-{i}").inc()
    assert labels_of(registry, catalog.CACHE_STALE_READS) == {("user-0",), ("user-1",), ("user-2",), (OTHER,)}
    assert registry.counter(catalog.CACHE_STALE_READS, cache="user-9").point().value == 7
    assert dropped(registry, catalog.CACHE_STALE_READS, "label_sets") >= 7


def test_the_overflow_series_keeps_closed_labels() -> None:
    registry = Registry(max_label_sets=1)
    for lock in ("a", "b"):
        registry.counter(catalog.LOCK_CONTENDED, lock=lock, mode="read").inc()
    assert labels_of(registry, catalog.LOCK_CONTENDED) == {("a", "read"), (OTHER, "read")}


def test_a_value_outside_a_closed_set_is_recorded_as_other() -> None:
    registry = Registry()
    registry.counter(catalog.LOCK_CONTENDED, lock="a", mode="sideways").inc()
    assert labels_of(registry, catalog.LOCK_CONTENDED) == {("a", OTHER)}
    assert dropped(registry, catalog.LOCK_CONTENDED, "label_value") == 1


def test_long_and_undecodable_label_values_are_fixed_and_recorded() -> None:
    registry = Registry(max_label_length=8)
    registry.counter(catalog.CACHE_STALE_READS, cache="x" * 100).inc()
    registry.counter(catalog.CACHE_STALE_READS, cache="bad\udcff").inc()
    assert labels_of(registry, catalog.CACHE_STALE_READS) == {("x" * 8,), ("bad?",)}


def test_values_that_are_no_strings_are_written_as_text() -> None:
    registry = Registry()
    registry.counter(catalog.CACHE_STALE_READS, cache=7).inc()  # type: ignore[arg-type]
    assert labels_of(registry, catalog.CACHE_STALE_READS) == {("7",)}


@pytest.mark.parametrize("labels", [{}, {"cach": "redb"}, {"cache": "redb", "more": "x"}])
def test_wrong_label_names_raise_at_the_call(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"cache\.stale_reads: labels are cache; given"):
        Registry().counter(catalog.CACHE_STALE_READS, **labels)


def test_a_metric_of_another_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="is a counter, not a gauge"):
        Registry().gauge(catalog.CACHE_STALE_READS, cache="redb")


def test_declared_series_exist_at_zero_before_the_first_event() -> None:
    registry = Registry()
    registry.declare(catalog.LOCK_DEADLOCKS, catalog.STORAGE_ERRORS, backend="turso", operation="read")
    assert labels_of(registry, catalog.LOCK_DEADLOCKS) == {()}
    kinds = catalog.STORAGE_ERRORS.label("kind").values
    assert labels_of(registry, catalog.STORAGE_ERRORS) == {("turso", "read", kind) for kind in kinds}


def test_an_open_label_cannot_be_declared_without_a_value() -> None:
    with pytest.raises(ValueError, match="label cache is open"):
        Registry().declare(catalog.CACHE_STALE_READS)


def test_the_same_labels_give_the_same_series() -> None:
    registry = Registry()
    assert registry.counter(catalog.CACHE_STALE_READS, cache="a") is registry.counter(
        catalog.CACHE_STALE_READS, cache="a"
    )


def test_a_service_may_record_its_own_metrics_and_they_come_last() -> None:
    own = catalog.counter("zebra.count", "Zebras")
    registry = Registry()
    registry.counter(own).inc()
    assert registry.snapshot().families[-1].metric is own


def test_the_prefix_comes_from_the_environment_and_a_bad_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNEMOSCOPE_PREFIX", "acme")
    assert Registry().snapshot().prefix == "acme"
    with pytest.raises(ValueError, match="prefix '9x'"):
        Registry("9x")


def test_the_series_of_probes_do_not_grow_with_labels_from_requests() -> None:
    registry = Registry(max_label_sets=5)
    for i in range(50):
        with scope.index_write(f"tenant-{i}", registry=registry):
            pass
    assert all(len(kept) <= 6 for kept in registry.probe_series.values())
    written = next(f for f in registry.snapshot().families if f.metric is catalog.INDEX_WRITE_DURATION)
    assert sum(point.observations for point in written.points) == 50  # type: ignore[union-attr]


def test_clear_keeps_series_usable() -> None:
    registry = Registry()
    counter = registry.counter(catalog.CACHE_STALE_READS, cache="a")
    counter.inc(4)
    registry.clear()
    counter.inc()
    assert counter.point().value == 1


def test_strict_mode_raises_for_a_label_value_outside_its_set() -> None:
    with pytest.raises(RecordingError, match="label_value"):
        Registry(strict=True).counter(catalog.LOCK_CONTENDED, lock="a", mode="sideways")


def test_two_metrics_of_one_name_cannot_be_recorded_together() -> None:
    registry = Registry()
    registry.counter(catalog.CACHE_STALE_READS, cache="a")
    twin = catalog.CACHE_STALE_READS.replace(help="Another")
    with pytest.raises(ValueError, match="another metric of that name"):
        registry.counter(twin, cache="a")


def test_endless_label_values_make_no_more_series_than_the_cap_and_lose_nothing() -> None:
    registry = Registry(max_label_sets=10)
    for i in range(500):
        registry.counter(catalog.CACHE_STALE_READS, cache=f"user-{i}").inc()
    by_labels = registry._metrics[catalog.CACHE_STALE_READS.name].by_labels
    assert len(by_labels) <= 11
    assert sum(series.point().value for series in by_labels.values()) == 500


@pytest.mark.parametrize(
    ("name", "kind", "unit", "taken"),
    [
        ("cache_lookups", catalog.Kind.COUNTER, catalog.Unit.COUNT, "cache.lookups"),
        ("lock.wait.duration.seconds.count", catalog.Kind.GAUGE, catalog.Unit.COUNT, "lock.wait.duration"),
        ("acme_orders.placed", catalog.Kind.COUNTER, catalog.Unit.COUNT, "acme.orders.placed"),
    ],
)
def test_declaring_a_metric_that_shares_a_prometheus_name_with_another_raises(
    name: str, kind: catalog.Kind, unit: catalog.Unit, taken: str
) -> None:
    registry = Registry()
    mine = catalog.counter("acme.orders.placed", "Mine")
    registry.counter(mine).inc()
    other = catalog.Metric(name, kind, unit, "Another")
    with pytest.raises(ValueError, match=rf"metric {name}: .* is also a Prometheus name of {taken}; rename it"):
        registry.declare(other)
    registry.declare(catalog.CACHE_LOOKUPS, cache="redb")


def test_a_catalog_metric_may_be_recorded_with_other_buckets() -> None:
    registry = Registry()
    own = catalog.LOCK_WAIT_DURATION.replace(buckets=(0.1, 1.0))
    registry.histogram(own, lock="a", mode="read").observe(0.5)
    assert registry.histogram(own, lock="a", mode="read").point().counts == (0, 1, 0)
