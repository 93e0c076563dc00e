"""The two text formats, checked against prometheus_client and promtool."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from itertools import pairwise

import prometheus_client
import pytest
from exporter_samples import EXEMPLAR, histogram, lock_waits, lookups, sample_values, snapshot, whole_catalog
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.utils import floatToGoString

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.catalog import Kind, Label, Metric
from mnemoscope.instrumentation.exporters.formats.chunks import CHUNK_CHARACTERS
from mnemoscope.instrumentation.exporters.formats.openmetrics import render_openmetrics
from mnemoscope.instrumentation.exporters.formats.text import render_text
from mnemoscope.instrumentation.exporters.formats.text_lines import go_string
from mnemoscope.instrumentation.recording.snapshot import Exemplar, Family, HistogramPoint, NumberPoint, Snapshot


def text(shot: Snapshot) -> str:
    return b"".join(render_text(shot)).decode()


def openmetrics(shot: Snapshot) -> str:
    return b"".join(render_openmetrics(shot)).decode()


def parsed(families: Iterable[prometheus_client.Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    samples = [sample for family in families for sample in family.samples]
    assert len({(s.name, frozenset(s.labels.items())) for s in samples}) == len(samples)
    return {(s.name, frozenset(s.labels.items())): s.value for s in samples}


@pytest.fixture
def _no_created_series() -> Iterator[None]:
    prometheus_client.disable_created_metrics()
    yield
    prometheus_client.enable_created_metrics()


def recorded_twice(*metrics: Metric) -> tuple[CollectorRegistry, Snapshot]:
    """Return the same events, recorded with prometheus_client and as a snapshot."""
    registry = CollectorRegistry()
    families = []
    for metric in metrics:
        labels = tuple(f'{label.sample} \\ "%s"\n' for label in metric.labels)
        arguments = (metric.family("mnemo"), metric.help, metric.label_names)
        point: NumberPoint | HistogramPoint
        if metric.kind is Kind.HISTOGRAM:
            theirs = prometheus_client.Histogram(*arguments, buckets=metric.buckets, registry=registry)
            child = theirs.labels(*labels) if labels else theirs
            total = 0.0
            for count, bound in enumerate((*metric.buckets, metric.buckets[-1] * 3)):
                for _ in range(count):
                    child.observe(bound)
                    total += bound
            point = HistogramPoint(labels, tuple(range(len(metric.buckets) + 1)), total)
        elif metric.kind is Kind.COUNTER:
            counter = prometheus_client.Counter(*arguments, registry=registry)
            (counter.labels(*labels) if labels else counter).inc(2_500_000)
            point = NumberPoint(labels, 2_500_000)
        else:
            gauge = prometheus_client.Gauge(*arguments, registry=registry)
            (gauge.labels(*labels) if labels else gauge).set(-0.1)
            point = NumberPoint(labels, -0.1)
        families.append(Family(metric, (point,)))
    return registry, snapshot(*families)


@pytest.mark.usefixtures("_no_created_series")
def test_text_is_line_by_line_what_prometheus_client_writes() -> None:
    registry, shot = recorded_twice(*catalog.CATALOG)
    assert text(shot).splitlines() == generate_latest(registry).decode().splitlines()


@pytest.mark.usefixtures("_no_created_series")
def test_openmetrics_is_what_prometheus_client_writes_but_for_the_units_it_is_not_given() -> None:
    registry, shot = recorded_twice(*catalog.CATALOG)
    ours = [line for line in openmetrics(shot).splitlines() if not line.startswith("# UNIT ")]
    assert ours == generate_openmetrics(registry).decode().splitlines()


@pytest.mark.usefixtures("_no_created_series")
def test_a_labelled_family_without_series_keeps_its_help_and_type_as_in_prometheus_client() -> None:
    metric = catalog.LOCK_WAIT_DURATION
    registry = CollectorRegistry()
    prometheus_client.Histogram(metric.family("mnemo"), metric.help, metric.label_names, registry=registry)
    assert text(snapshot(Family(metric, ()))) == generate_latest(registry).decode()


def test_text_parses_to_exactly_the_samples_of_the_snapshot() -> None:
    shot = whole_catalog()
    assert parsed(parse_text(text(shot))) == sample_values(shot)


def test_openmetrics_parses_to_exactly_the_samples_of_the_snapshot() -> None:
    shot = whole_catalog(exemplars=True)
    assert parsed(parse_openmetrics(openmetrics(shot))) == sample_values(shot)


def test_openmetrics_names_the_unit_of_every_family_whose_name_ends_with_one() -> None:
    units = {family.name: family.unit for family in parse_openmetrics(openmetrics(whole_catalog()))}
    assert units[catalog.LOCK_WAIT_DURATION.family()] == "seconds"
    assert units[catalog.STORAGE_WAL_SIZE.family()] == "bytes"
    assert units[catalog.MEMORY_WEIGHT.family()] == "ratio"
    assert units[catalog.CACHE_LOOKUPS.family()] == ""


def test_exemplars_stand_on_buckets_and_counters_in_openmetrics_only() -> None:
    shot = whole_catalog(exemplars=True)
    samples = [s for family in parse_openmetrics(openmetrics(shot)) for s in family.samples if s.exemplar]
    assert {s.name.rsplit("_", 1)[1] for s in samples} == {"bucket", "total"}
    assert {s.exemplar.labels["trace_id"] for s in samples} == {dict(EXEMPLAR.labels)["trace_id"]}
    assert {(s.exemplar.value, float(s.exemplar.timestamp)) for s in samples} == {(EXEMPLAR.value, EXEMPLAR.timestamp)}
    assert text(shot) == text(whole_catalog())


def test_an_exemplar_with_labels_longer_than_the_format_allows_is_left_out() -> None:
    exact = Exemplar((("trace_id", "x" * 120),), 1.0, 2.0)
    longer = exact._replace(labels=(("trace_id", "x" * 121),))
    for exemplar, shown in ((exact, True), (longer, False)):
        shot = snapshot(Family(catalog.EPISODE_CREATED, (NumberPoint((), 1, exemplar),)))
        (family,) = parse_openmetrics(openmetrics(shot))
        assert (family.samples[0].exemplar is not None) is shown


def test_a_histogram_with_negative_bounds_shows_no_sum_and_no_count() -> None:
    metric = catalog.histogram("test.drift", "Drift", catalog.COUNT, buckets=(-1.0, 0.0, 1.0))
    shot = snapshot(Family(metric, (HistogramPoint((), (1, 2, 3, 4), -2.5),)))
    (family,) = parse_openmetrics(openmetrics(shot))
    assert [(s.labels.get("le"), s.value) for s in family.samples] == [
        ("-1.0", 1), ("0.0", 3), ("1.0", 6), ("+Inf", 10),
    ]  # fmt: skip


@given(st.floats())
@example(1e6)
@example(999999.0)
@example(123456789.125)
@example(-1e7)
@example(1e16)
@example(float("nan"))
def test_numbers_are_written_as_prometheus_client_writes_them(value: float) -> None:
    assert go_string(value) == floatToGoString(value)


@given(st.lists(st.integers(0, 2**60), min_size=16, max_size=16))
@example([999_999, 1] + [0] * 13 + [2**53])
@example([10_000_000] * 16)
def test_counts_are_written_as_prometheus_client_writes_them(counts: list[int]) -> None:
    shot = snapshot(Family(catalog.LOCK_WAIT_DURATION, (HistogramPoint(("episodes", "read"), tuple(counts), 0.0),)))
    written = [line.rsplit(" ", 1)[1] for line in text(shot).splitlines() if "_bucket{" in line]
    assert written == [floatToGoString(sum(counts[: i + 1])) for i in range(16)]


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
@example("100%s", 'a\\n"b"\n')
def test_any_label_value_comes_back_as_it_was(lock: str, mode: str) -> None:
    shot = snapshot(
        Family(catalog.LOCK_CONTENDED, (NumberPoint((lock, mode)[: len(catalog.LOCK_CONTENDED.labels)], 1),))
    )
    assert parsed(parse_text(text(shot))) == sample_values(shot)


def test_a_lone_surrogate_in_a_label_value_does_not_cost_the_scrape() -> None:
    shot = snapshot(Family(catalog.EPISODE_CREATED, (NumberPoint((), 1),)), lookups(1, 2))
    broken = shot._replace(families=(*shot.families, Family(catalog.CACHE_SIZE, (NumberPoint(("\ud800",), 3),))))
    assert f'{catalog.CACHE_SIZE.prometheus_name()}{{cache="?"}} 3.0' in text(broken)


def test_help_with_special_characters_is_escaped_as_each_format_wants_it() -> None:
    metric = catalog.gauge("test.quoted", 'A "b" \\ c\nd')
    shot = snapshot(Family(metric, (NumberPoint((), 1),)))
    assert next(iter(parse_text(text(shot)))).documentation == metric.help
    assert next(iter(parse_openmetrics(openmetrics(shot)))).documentation == metric.help


def test_a_large_snapshot_comes_in_several_chunks_of_whole_lines() -> None:
    metric = catalog.LOCK_WAIT_DURATION
    points = tuple(histogram(metric, (f"lock-{i}", "read"), (1, 2)) for i in range(200))
    chunks = list(render_text(snapshot(Family(metric, points))))
    assert len(chunks) > 2
    assert all(chunk.endswith(b"\n") for chunk in chunks)
    assert all(len(chunk) < 2 * CHUNK_CHARACTERS for chunk in chunks)


def test_more_series_than_are_kept_are_still_rendered_right() -> None:
    label = Label("key", "an open label", example="k")
    metric = catalog.gauge("test.many", "Many", labels=(label,))
    shot = snapshot(Family(metric, tuple(NumberPoint((f"{i}",), i) for i in range(5000))))
    assert text(shot) == text(shot)
    assert parsed(parse_text(text(shot))) == sample_values(shot)


def test_buckets_are_cumulative_and_end_with_the_count() -> None:
    (family,) = parse_text(text(snapshot(lock_waits(3, 0, 4, total=0.5))))
    buckets = [s.value for s in family.samples if s.name.endswith("_bucket")]
    assert buckets[:3] == [3, 3, 7]
    assert all(a <= b for a, b in pairwise(buckets))
    assert buckets[-1] == 7


@pytest.mark.prometheus
def test_promtool_finds_nothing_to_object_to_in_the_whole_catalog(promtool: list[str]) -> None:
    run = subprocess.run([*promtool, "check", "metrics"], input=text(whole_catalog()), capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
