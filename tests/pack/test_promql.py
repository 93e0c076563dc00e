"""PromQL: built expressions use existing labels and parse; parsing finds what Prometheus would read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mnemoscope import catalog
from mnemoscope.errors import MnemoscopeError
from mnemoscope.promql import Matcher, Queries, le, parse, quantile, ratio, selectors, without


def test_a_query_takes_its_names_from_the_catalog_and_carries_the_sites_matchers() -> None:
    queries = Queries("acme", (Matcher("namespace", "=", "memory"),))
    assert (
        queries.rate(catalog.RECALL_DURATION, "5m", Matcher("outcome", "!=", "ok"), part="count", path="flat")
        == 'rate(acme_recall_duration_seconds_count{namespace="memory", path="flat", outcome!="ok"}[5m])'
    )


def test_a_label_that_the_metric_does_not_have_is_refused() -> None:
    with pytest.raises(KeyError, match="has no label 'path'"):
        Queries().series(catalog.CACHE_LOOKUPS, path="flat")


def test_a_value_outside_the_labels_set_is_refused() -> None:
    with pytest.raises(ValueError, match="result is one of hit, miss, error, not 'warm'"):
        Queries().series(catalog.CACHE_LOOKUPS, result="warm")


@pytest.mark.parametrize("metric", [catalog.RECALL_DURATION, catalog.CACHE_LOOKUPS])
def test_histograms_are_queried_by_part_and_others_are_not(metric: catalog.Metric) -> None:
    part = "" if metric.kind is catalog.Kind.HISTOGRAM else "bucket"
    with pytest.raises(ValueError, match="queried by part"):
        Queries().series(metric, part=part)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bound", "text"),
    [(0.1, 'le="0.1"'), (1, 'le=~"1(\\\\.0)?"'), (Decimal("0.050"), 'le="0.05"'), (1e-05, 'le="0.00001"')],
)
def test_a_bucket_bound_is_matched_however_its_number_is_written(bound: float, text: str) -> None:
    assert str(le(bound)) == text


def test_label_values_are_escaped() -> None:
    assert str(Matcher("a", "=", 'say "hi"\\\n')) == r'a="say \"hi\"\\\n"'
    parse(f"x{{{Matcher('a', '=', chr(34) + chr(92))}}}")


def test_what_is_written_parses() -> None:
    queries = Queries()
    buckets = without(("instance", "pod"), queries.rate(catalog.RECALL_DURATION, "$__rate_interval", part="bucket"))
    text = quantile(0.99, buckets) + " > 0.1 and " + ratio("a", "b")
    assert [s.name for s in selectors(text)] == ["mnemo_recall_duration_seconds_bucket", "a", "b"]
    assert selectors(text)[0].range_seconds == 300


def test_reading_finds_every_selector_with_its_function_and_matchers() -> None:
    found = selectors('topk(3, sum by (a) (rate(x{b=~"c"}[1h30m]))) / max_over_time(y[1d:5m]) unless {__name__="z"}')
    assert [(s.name, s.function, s.range_seconds) for s in found] == [
        ("x", "rate", 5400),
        ("y", "max_over_time", None),
        ("z", "", None),
    ]
    assert found[0].matchers == (Matcher("b", "=~", "c"),)


def test_what_does_not_parse_is_one_line_with_the_reason() -> None:
    with pytest.raises(MnemoscopeError, match=r"not PromQL: 'sum\(rate\(': unclosed left parenthesis"):
        parse("sum(rate(")
