"""The JSON document."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from exporter_samples import STARTED, TAKEN, lock_waits, lookups, snapshot, whole_catalog

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.exporters.formats.json_document import quantile, render_json
from mnemoscope.instrumentation.recording.snapshot import Family, NumberPoint, Snapshot


def document(shot: Snapshot) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    loaded: dict[str, Any] = json.loads(b"".join(render_json(shot)), parse_constant=refuse)
    return loaded


def test_a_counter_shows_its_labels_value_and_both_names() -> None:
    assert document(snapshot(lookups(3, 1))) == {
        "prefix": "mnemo",
        "started": STARTED,
        "taken": TAKEN,
        "families": [
            {
                "name": catalog.CACHE_LOOKUPS.otel_name(),
                "prometheus_name": catalog.CACHE_LOOKUPS.prometheus_name(),
                "kind": "counter",
                "unit": catalog.CACHE_LOOKUPS.unit.value,
                "help": catalog.CACHE_LOOKUPS.help,
                "points": [
                    {"labels": {"cache": "redb", "result": "hit"}, "value": 3},
                    {"labels": {"cache": "redb", "result": "miss"}, "value": 1},
                ],
            }
        ],
    }


def test_a_histogram_shows_cumulative_buckets_and_quantile_estimates() -> None:
    (family,) = document(snapshot(lock_waits(0, 10, 10, total=0.001)))["families"]
    (point,) = family["points"]
    assert (point["count"], point["sum"]) == (20, 0.001)
    assert list(point["buckets"].items())[:3] == [("1e-05", 0), ("5e-05", 10), ("0.0001", 20)]
    assert point["buckets"]["+Inf"] == 20
    assert point["quantiles"] == pytest.approx({"p50": 5e-05, "p95": 9.5e-05, "p99": 9.9e-05})


def test_every_family_of_the_catalog_is_there_once() -> None:
    names = [family["prometheus_name"] for family in document(whole_catalog())["families"]]
    assert names == [metric.prometheus_name() for metric in catalog.CATALOG]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_cannot_write_is_null(value: float) -> None:
    shot = snapshot(Family(catalog.SERVICE_UPTIME, (NumberPoint((), value),)))
    assert document(shot)["families"][0]["points"] == [{"labels": {}, "value": None}]


@pytest.mark.parametrize("value", [np.float32(0.25), np.float64(0.25)])
def test_a_number_of_numpy_is_a_number(value: float) -> None:
    shot = snapshot(Family(catalog.SERVICE_UPTIME, (NumberPoint((), value),)))
    assert document(shot)["families"][0]["points"] == [{"labels": {}, "value": 0.25}]


def test_an_empty_snapshot_is_a_document_too() -> None:
    assert document(snapshot())["families"] == []


@pytest.mark.parametrize(
    ("q", "bounds", "cumulative", "estimate"),
    [
        (0.5, (1.0, 2.0), (0, 0, 0), None),
        (0.5, (1.0, 2.0), (4, 4, 4), 0.5),
        (0.5, (1.0, 2.0), (0, 4, 4), 1.5),
        (0.99, (1.0, 2.0), (1, 2, 9), 2.0),
        (0.5, (-1.0, 2.0), (4, 4, 4), -1.0),
    ],
)
def test_a_quantile_is_estimated_as_promql_does_it(
    q: float, bounds: tuple[float, ...], cumulative: tuple[int, ...], estimate: float | None
) -> None:
    assert quantile(q, bounds, cumulative) == estimate
