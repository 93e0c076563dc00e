"""Metrics that would look alike on one page are found before that page is rendered."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from mnemoscope.catalog import CACHE_LOOKUPS, CATALOG, ExposedNames, Kind, Metric, Unit
from mnemoscope.instrumentation.exporters.formats.openmetrics import render_openmetrics
from mnemoscope.instrumentation.exporters.formats.text import render_text
from mnemoscope.instrumentation.recording.snapshot import Family, HistogramPoint, NumberPoint, Snapshot

# Few words, and those that the formats add to names, so that two metrics often meet.
WORDS = ("x", "x", "seconds", "bytes", "ratio", "total", "created", "count", "sum", "bucket")
NAMES = st.builds(
    lambda first, rest: first + "".join(sign + word for sign, word in rest),
    st.sampled_from(WORDS),
    st.lists(st.tuples(st.sampled_from("._"), st.sampled_from(WORDS)), max_size=2),
)
PREFIXES = st.from_regex(r"\A[a-z][a-z0-9_]{0,9}\Z")


def named(name: str, kind: Kind = Kind.GAUGE, unit: Unit = Unit.COUNT) -> Metric:
    return Metric(name, kind, unit, "Help", buckets=(1.0,) if kind is Kind.HISTOGRAM else ())


METRICS = st.builds(named, NAMES, st.sampled_from(Kind), st.sampled_from(Unit))


def rendered(*metrics: Metric, prefix: str = "mnemo") -> tuple[str, str]:
    """Return the page that shows one series of each metric, as text and as OpenMetrics."""
    families = [
        Family(m, (HistogramPoint((), (1, 0), 0.5) if m.kind is Kind.HISTOGRAM else NumberPoint((), 1.0),))
        for m in metrics
    ]
    snapshot = Snapshot(prefix, 0.0, 0.0, tuple(families))
    return b"".join(render_text(snapshot)).decode(), b"".join(render_openmetrics(snapshot)).decode()


def names_in_text(metric: Metric, prefix: str = "mnemo") -> set[str]:
    """Return the families and samples of the metric's page, as prometheus_client reads it."""
    text, _ = rendered(metric, prefix=prefix)
    types = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    return types | {sample.name for family in text_families(text) for sample in family.samples}


def clash(one: Metric, other: Metric) -> bool:
    """Return whether a page with both is refused as OpenMetrics, or shows two things under one name as text."""
    try:
        list(openmetrics_families(rendered(one, other)[1]))
    except ValueError:
        return True
    return not names_in_text(one).isdisjoint(names_in_text(other))


@given(METRICS, METRICS)
@example(named("x.y"), named("x_y"))
@example(named("x", Kind.HISTOGRAM, Unit.SECONDS), named("x.seconds.count"))
@example(named("x", Kind.COUNTER), named("x.created"))
@example(named("x", Kind.COUNTER), named("x.created", Kind.COUNTER))
@example(named("x.count", Kind.COUNTER), named("x", Kind.HISTOGRAM))
@example(named("seconds", unit=Unit.SECONDS), named("seconds"))
def test_two_metrics_conflict_exactly_when_a_page_with_both_is_refused_or_ambiguous(one: Metric, other: Metric) -> None:
    assert ExposedNames([one]).conflict(other) is (one if clash(one, other) else None)


@given(METRICS, PREFIXES)
def test_exposed_names_cover_all_names_on_a_page_under_any_prefix(metric: Metric, prefix: str) -> None:
    (family,) = openmetrics_families(rendered(metric, prefix=prefix)[1])
    taken = {f"{prefix}_{name}" for name in metric.exposed_names()}

    assert taken >= {family.name, metric.family(prefix), *metric.sample_names(prefix), *names_in_text(metric, prefix)}


def test_the_whole_catalog_fits_on_one_page_without_a_conflict() -> None:
    text, openmetrics = rendered(*(named(m.name, m.kind, m.unit) for m in CATALOG))

    assert len(list(openmetrics_families(openmetrics))) == len(CATALOG) == text.count("# TYPE")


def test_the_error_names_both_metrics_and_the_shared_name_and_a_refused_metric_takes_up_no_name() -> None:
    names = ExposedNames(CATALOG)
    mine = named("cache.lookups.total")

    with pytest.raises(ValueError, match=r"cache_lookups_total is also a Prometheus name of cache\.lookups; rename"):
        names.add(mine)

    assert names.conflict(mine) is CACHE_LOOKUPS
    assert names.conflict(CACHE_LOOKUPS) is None
    names.add(CACHE_LOOKUPS)
    refused = named("x.seconds", Kind.HISTOGRAM)
    names.add(named("x", Kind.GAUGE, Unit.SECONDS))
    with pytest.raises(ValueError, match="rename it"):
        names.add(refused)
    assert names.conflict(named("x.seconds.count")) is None


def test_of_two_threads_that_add_conflicting_metrics_one_is_refused() -> None:
    mine, rival = named("x.y"), named("x_y")

    class Overtaken(ExposedNames):
        def conflict(self, metric: Metric) -> Metric | None:
            found = super().conflict(metric)
            if metric is mine:
                self.add(rival)
            return found

    with pytest.raises(ValueError, match=r"name of x_y; rename it"):
        Overtaken().add(mine)
