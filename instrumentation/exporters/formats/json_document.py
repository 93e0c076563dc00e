"""The snapshot as a JSON document, for people and for scripts that do not read a Prometheus format."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from ...catalog import Metric
from ...recording.snapshot import Family, HistogramPoint, NumberPoint, Snapshot
from .format import Format
from .text_lines import go_string

QUANTILES: tuple[tuple[str, float], ...] = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
"""The quantiles that are estimated of a histogram, by key."""


def render_json(snapshot: Snapshot) -> Iterator[bytes]:
    """Yield the snapshot as one JSON object, one chunk per family.

    Keys: `prefix`, `started` and `taken` (Unix seconds), `families`. A family has `name`, `prometheus_name`, `kind`,
    `unit` (UCUM), `help` and `points`. A point has `labels` and either `value`, or `count`, `sum`, `buckets`
    (cumulative, by upper bound) and `quantiles` (estimates). A number that JSON cannot hold is null.
    """
    head = {"prefix": snapshot.prefix, "started": snapshot.started, "taken": snapshot.taken}
    yield (_dump(head)[:-1] + ',"families":[').encode()
    separator = ""
    for family in snapshot.families:
        yield (separator + _dump(_family(snapshot.prefix, family))).encode()
        separator = ",\n"
    yield b"]}\n"


def quantile(q: float, bounds: Sequence[float], cumulative: Sequence[int]) -> float | None:
    """Return what PromQL's `histogram_quantile` estimates; None without observations.

    Args:
        q: the quantile, 0 to 1.
        bounds: the finite upper bounds.
        cumulative: the cumulative counts; one more than bounds, for observations above the last bound.

    >>> quantile(0.5, (0.25, 0.75), (0, 10, 10))
    0.5
    """
    total = cumulative[-1]
    if not total:
        return None
    rank = q * total
    bucket = bisect_left(cumulative, rank)
    if bucket >= len(bounds):
        return bounds[-1]
    upper = bounds[bucket]
    if bucket == 0 and upper <= 0:
        return upper
    lower, below = (bounds[bucket - 1], cumulative[bucket - 1]) if bucket else (0.0, 0)
    return lower + (upper - lower) * (rank - below) / (cumulative[bucket] - below)


def _family(prefix: str, family: Family) -> dict[str, Any]:
    metric = family.metric
    return {
        "name": metric.otel_name(prefix),
        "prometheus_name": metric.prometheus_name(prefix),
        "kind": metric.kind.value,
        "unit": metric.unit.value,
        "help": metric.help,
        "points": [_point(metric, point) for point in family.points],
    }


def _point(metric: Metric, point: NumberPoint | HistogramPoint) -> dict[str, Any]:
    labels = dict(zip(metric.label_names, point.labels, strict=True))
    if isinstance(point, NumberPoint):
        return {"labels": labels, "value": _number(point.value)}
    cumulative = list(accumulate(point.counts))
    bounds = (*metric.buckets, math.inf)
    return {
        "labels": labels,
        "count": cumulative[-1],
        "sum": _number(point.sum),
        "buckets": {go_string(bound): n for bound, n in zip(bounds, cumulative, strict=True)},
        "quantiles": {key: quantile(q, metric.buckets, cumulative) for key, q in QUANTILES},
    }


def _number(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    # A service may have set a NumPy number.
    return value if isinstance(value, int) else float(value)


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


FORMAT = Format("json", "application/json; charset=utf-8", render_json, path="/metrics.json")
