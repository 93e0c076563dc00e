"""The collector in a prometheus_client registry of the service."""

from __future__ import annotations

import subprocess
import sys

import prometheus_client
import pytest
from exporter_samples import EXEMPLAR, lock_waits, lookups, sample_values, snapshot, whole_catalog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.exporters.formats.openmetrics import render_openmetrics
from mnemoscope.instrumentation.exporters.formats.text import render_text
from mnemoscope.instrumentation.exporters.prometheus_bridge import SnapshotCollector
from mnemoscope.instrumentation.recording.snapshot import Family, HistogramPoint, NumberPoint, Snapshot


def registry_of(shot: Snapshot) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(lambda: shot))
    return registry


def test_the_text_of_the_registry_is_ours_line_by_line() -> None:
    shot = whole_catalog()
    assert generate_latest(registry_of(shot)).splitlines() == b"".join(render_text(shot)).splitlines()


def test_the_openmetrics_of_the_registry_is_ours_line_by_line_with_units_and_exemplars() -> None:
    long = EXEMPLAR._replace(labels=(("trace_id", "x" * 200),))
    negative = catalog.histogram("test.drift", "Drift", catalog.COUNT, buckets=(-1.0, 1.0))
    shot = whole_catalog(exemplars=True)
    shot = shot._replace(
        families=(
            *(family for family in shot.families if family.metric is not catalog.EPISODE_CREATED),
            Family(catalog.EPISODE_CREATED, (NumberPoint((), 1, long),)),
            Family(negative, (HistogramPoint((), (1, 1, 1), 0.0),)),
        )
    )
    output = generate_openmetrics(registry_of(shot))
    assert output.splitlines() == b"".join(render_openmetrics(shot)).splitlines()
    assert list(parse_openmetrics(output.decode()))


def test_the_hosts_own_metrics_stand_beside_ours() -> None:
    shot = snapshot(lookups(3, 4))
    registry = registry_of(shot)
    prometheus_client.Gauge("host_temperature", "Temperature", registry=registry).set(21)
    samples = {
        (s.name, frozenset(s.labels.items())): s.value
        for family in parse_text(generate_latest(registry).decode())
        for s in family.samples
    }
    assert samples == {**sample_values(shot), ("host_temperature", frozenset()): 21}


def test_registering_twice_is_refused_as_is_a_name_the_host_already_has() -> None:
    registry = registry_of(snapshot())
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(SnapshotCollector(snapshot))
    taken = CollectorRegistry()
    prometheus_client.Counter(catalog.CACHE_LOOKUPS.family(), "mine", registry=taken)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        taken.register(SnapshotCollector(snapshot))


def test_a_metric_outside_the_catalog_is_described_too() -> None:
    metric = catalog.gauge("host.own", "Own")
    collector = SnapshotCollector(lambda: snapshot(Family(metric, ())))
    names = [family.name for family in collector.describe()]
    assert metric.family() in names
    assert len(names) == len(set(names)) == len(catalog.CATALOG) + 1


def test_a_restricted_registry_shows_the_named_samples() -> None:
    registry = registry_of(snapshot(lock_waits(1), lookups(1, 2)))
    restricted = registry.restricted_registry([catalog.CACHE_LOOKUPS.prometheus_name()])
    assert [family.name for family in parse_text(generate_latest(restricted).decode())] == [
        catalog.CACHE_LOOKUPS.family()
    ]


def test_every_scrape_takes_a_new_snapshot() -> None:
    hits = iter([1.0, 2.0, 3.0])
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(lambda: snapshot(lookups(next(hits), 0))))
    name, labels = catalog.CACHE_LOOKUPS.prometheus_name(), {"cache": "redb", "result": "hit"}
    assert registry.get_sample_value(name, labels) == 2.0
    assert registry.get_sample_value(name, labels) == 3.0


def test_without_prometheus_client_the_error_names_the_extra_to_install() -> None:
    script = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "try: import mnemoscope.instrumentation.exporters.prometheus_bridge\n"
        "except ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert "pip install 'mnemoscope[prometheus]'" in run.stdout
