"""The catalog: well formed, complete, and named as Prometheus' own translation of OTLP would name it."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import sys
from collections.abc import Callable
from typing import Literal, get_args, get_origin

import pytest

import mnemoscope
from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.catalog import CATALOG, ExposedNames, Kind, Label, Metric, Source, Unit, labels
from mnemoscope.model import objectives

# The signals that the reviewed systems need, each with the metrics that measure it.
SIGNALS = {
    "lock wait": ["lock.wait.duration"],
    "lock hold": ["lock.hold.duration"],
    "contention and waiters": ["lock.contended", "lock.waiters"],
    "deferred writes": ["lock.deferred", "lock.deferred.depth"],
    "inversions, deadlocks, stalls": ["lock.order_inversions", "lock.deadlocks", "lock.stalls"],
    "poisoned locks": ["lock.poisoned"],
    "index writes": ["index.write.duration"],
    "index size": ["index.memory", "index.entries"],
    "silent index failures": ["index.missing"],
    "cache": ["cache.lookups", "cache.stale_reads", "cache.invalidations", "cache.evictions", "cache.size"],
    "storage errors": ["storage.errors", "storage.operation.duration"],
    "divergence": ["storage.divergence", "storage.reconciliations", "storage.compensations"],
    "circuit breaker": ["storage.circuit.state", "storage.circuit.consecutive_failures"],
    "pool": ["storage.pool.connections", "storage.pool.limit", "storage.pool.exhausted"],
    "write-ahead log": [
        "storage.wal.size",
        "storage.wal.files",
        "storage.wal.replay.duration",
        "storage.corruption",
        "storage.format.unsupported",
    ],
    "content": ["storage.content.size", "storage.compaction.duration"],
    "object store and backup": [
        "storage.upload.duration",
        "storage.backup.duration",
        "storage.backup.last_success.timestamp",
        "storage.restore.duration",
    ],
    "completions": [
        "completion.in_flight",
        "completion.in_flight.peak",
        "completion.limit",
        "completion.queue.depth",
        "completion.rejections",
        "completion.duration",
        "episode.created",
        "episode.step_batch.size",
        "episode.step_flush.duration",
    ],
    "recall": [
        "recall.duration",
        "recall.vector_search.duration",
        "recall.fallbacks",
        "recall.diversity",
        "recall.empty",
    ],
    "dual memory": ["memory.weight", "memory.semantic.timeouts", "memory.cohort.sampling"],
    "cognitive": [
        "consolidation.duration",
        "consolidation.episodes",
        "concept.formed",
        "concept.quality",
        "semantic.health",
        "fan.associations",
        "fan.recall.duration",
    ],
    "patterns": ["pattern.extraction.duration", "pattern.heuristics.updated"],
    "limits": ["limit.rejections", "limit.quota_exceeded", "limit.rate_limited"],
    "service": [
        "service.uptime",
        "service.shutdown.duration",
        "service.shutdown.in_flight",
        "service.open_files",
        "service.memory",
        "service.memory.limit",
        "service.authentication.duration",
    ],
    "rollout": ["rollout.feature_flag", "rollout.info"],
}


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_signal_of_the_reviews_has_its_metrics(signal: str) -> None:
    for name in SIGNALS[signal]:
        assert catalog.by_name(name).sources


def test_every_reviewed_system_is_served() -> None:
    assert {source for metric in CATALOG for source in metric.sources} == set(Source)


def test_no_two_metrics_share_a_name_under_any_prefix() -> None:
    names = ExposedNames(CATALOG)

    assert [names.conflict(metric) for metric in CATALOG] == [None] * len(CATALOG)


def test_the_constants_are_the_same_objects_however_the_catalog_is_imported() -> None:
    ways = [mnemoscope.catalog, *map(importlib.import_module, ("mnemoscope.catalog", catalog.__name__))]
    for name in (*(n for n in vars(catalog) if n[0].isupper()), "by_name", "find"):
        assert {id(getattr(way, name)) for way in ways} == {id(getattr(catalog, name))}


TYPES = {name: get_args(value) for name, value in vars(labels).items() if get_origin(value) is Literal}


@pytest.mark.parametrize(
    ("probe", "argument", "label", "name"),
    [
        (mnemoscope.lock_wait, "mode", catalog.LOCK_WAIT_DURATION.label("mode"), "Mode"),
        (mnemoscope.lock_hold, "mode", catalog.LOCK_HOLD_DURATION.label("mode"), "Mode"),
        (mnemoscope.recall, "path", catalog.RECALL_DURATION.label("path"), "RecallPath"),
        (mnemoscope.storage, "kind", catalog.STORAGE_ERRORS.label("kind"), "StorageErrorKind"),
        (mnemoscope.Registry.drop, "reason", catalog.INSTRUMENTATION_DROPPED.label("reason"), "DropReason"),
    ],
)
def test_a_closed_label_that_a_probe_takes_has_the_values_of_its_type(
    probe: Callable[..., object], argument: str, label: Label, name: str
) -> None:
    assert argument in inspect.signature(probe).parameters
    assert label.values == TYPES[name] == get_args(getattr(catalog, name))


def test_every_closed_label_that_a_service_records_has_a_type_and_every_type_a_label() -> None:
    closed = {label.values for metric in CATALOG for label in metric.labels if label.values}
    own = {label.values for metric in CATALOG if metric.name.startswith("instrumentation.") for label in metric.labels}

    assert closed - own <= set(TYPES.values()) <= closed
    assert len(set(TYPES.values())) == len(TYPES)


def test_the_constant_of_a_metric_is_its_name_in_capitals_with_underscores_for_dots() -> None:
    constants = {name: value for name, value in vars(catalog).items() if isinstance(value, Metric)}

    assert constants == {metric.name.upper().replace(".", "_"): metric for metric in CATALOG}


def test_a_vector_search_is_recorded_by_outcome() -> None:
    assert "outcome" in catalog.RECALL_VECTOR_SEARCH_DURATION.label_names


def test_buckets_straddle_every_limit_that_is_judged_on_them() -> None:
    for threshold in objectives.THRESHOLDS:
        if threshold.metric.kind is not Kind.HISTOGRAM or threshold.unit is not threshold.metric.unit:
            continue
        for limit in filter(None, (threshold.yellow, threshold.red)):
            bounds = threshold.metric.buckets
            assert float(limit) in bounds, f"{threshold.key}: {limit} is no bound of {threshold.metric.name}"
            assert bounds[0] < float(limit) <= bounds[-1]


def test_durations_are_seconds_sizes_are_bytes_and_counters_have_no_unit_of_time() -> None:
    for metric in CATALOG:
        if "duration" in metric.name:
            assert metric.unit is Unit.SECONDS
        if metric.kind is Kind.COUNTER:
            assert metric.prometheus_name().endswith("_total")
        assert not any(word in metric.prometheus_name() for word in ("milli", "_ms", "kilo", "percent"))


def test_the_error_for_an_unknown_name_offers_the_nearest_name() -> None:
    with pytest.raises(KeyError, match=r"did you mean lock\.wait\.duration"):
        catalog.by_name("lock.wait.durations")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "Lock.Wait"}, "dotted lower-case"),
        ({"help": "Ends with a period."}, "without a period"),
        ({"buckets": ()}, "histograms, and only they"),
        ({"buckets": (1, 1)}, "ascend strictly"),
        ({"buckets": (1, float("inf"))}, "finite"),
        ({"labels": (catalog.LOCK_WAIT_DURATION.labels[0],) * 2}, "duplicate label"),
    ],
)
def test_a_malformed_metric_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        catalog.LOCK_WAIT_DURATION.replace(**changes)


def test_a_metric_and_its_labels_do_not_change_and_survive_copies() -> None:
    metric, label = catalog.LOCK_WAIT_DURATION, catalog.LOCK_WAIT_DURATION.labels[0]
    with pytest.raises(AttributeError, match="cannot assign to field 'help'"):
        metric.help = "Another"
    with pytest.raises(AttributeError, match="cannot delete field 'name'"):
        del label.name
    for again in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert repr(again) == repr(metric)
        assert again.label_names == ("lock", "mode")
        assert again.labels == metric.labels
        assert again.labels is not metric.labels
    assert {label, label.replace()} == {label} != {label.replace(help="Another")}
    with pytest.raises(TypeError, match="colour"):
        metric.replace(colour="red")


def test_a_copy_with_changes_derives_its_label_names_anew() -> None:
    replace = copy.replace if sys.version_info >= (3, 13) else dataclasses.replace
    for changed in (catalog.LOCK_WAIT_DURATION.replace(labels=()), replace(catalog.LOCK_WAIT_DURATION, labels=())):
        assert changed.label_names == ()
        assert changed.buckets == catalog.LOCK_WAIT_DURATION.buckets


def test_two_metrics_with_equal_fields_are_not_equal() -> None:
    assert len({catalog.LOCK_WAIT_DURATION, catalog.LOCK_WAIT_DURATION.replace()}) == 2


@pytest.mark.parametrize("name", ["le", "job", "instance", "__name__", "Upper"])
def test_a_label_name_that_prometheus_reserves_or_refuses_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="label"):
        Label(name, "x")


def test_a_ratio_gauge_ends_in_ratio_and_a_unit_is_not_repeated() -> None:
    assert catalog.SEMANTIC_HEALTH.prometheus_name() == "mnemo_semantic_health_ratio"
    metric = catalog.gauge("wait.seconds", "Wait", catalog.SECONDS)
    assert metric.prometheus_name() == "mnemo_wait_seconds"
