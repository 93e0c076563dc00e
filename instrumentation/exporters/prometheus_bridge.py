"""A collector that adds a registry's series to a prometheus_client registry, for a service that has its own `/metrics`.

It needs the packages of `mnemoscope[prometheus]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

try:
    from prometheus_client.metrics_core import Metric as PrometheusMetric
    from prometheus_client.samples import Exemplar as PrometheusExemplar
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("the bridge needs prometheus_client: pip install 'mnemoscope[prometheus]'") from error

from ..catalog import CATALOG, Metric
from ..recording.snapshot import Exemplar, Family, HistogramPoint, NumberPoint, Snapshot
from .exemplars import short
from .formats.text_lines import go_string, unit_word


class SnapshotCollector:
    """A collector for `prometheus_client.CollectorRegistry.register`, which takes a new snapshot at every scrape.

    It describes the whole catalog, so that a metric of the service with the same name is refused at registration, and
    not served twice.
    """

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def describe(self) -> Iterable[PrometheusMetric]:
        """Return every possible family, without samples."""
        snapshot = self._snapshot()
        own = (family.metric for family in snapshot.families)
        return [_empty(snapshot.prefix, metric) for metric in dict.fromkeys((*CATALOG, *own))]

    def collect(self) -> Iterator[PrometheusMetric]:
        """Yield every family of a new snapshot, with its samples and exemplars."""
        snapshot = self._snapshot()
        for family in snapshot.families:
            yield _filled(snapshot.prefix, family)


def _empty(prefix: str, metric: Metric) -> PrometheusMetric:
    family = metric.family(prefix)
    return PrometheusMetric(family, metric.help, metric.kind.value, unit_word(metric, family))


def _filled(prefix: str, family: Family) -> PrometheusMetric:
    out = _empty(prefix, family.metric)
    name = family.metric.prometheus_name(prefix)
    for point in family.points:
        labels = dict(zip(family.metric.label_names, point.labels, strict=True))
        if isinstance(point, HistogramPoint):
            _add_histogram(out, name, labels, family.metric.buckets, point)
        else:
            _add_number(out, name, labels, point)
    return out


def _add_number(out: PrometheusMetric, name: str, labels: dict[str, str], point: NumberPoint) -> None:
    exemplar = _exemplar(point.exemplar) if out.type == "counter" else None
    out.add_sample(name, labels, point.value, exemplar=exemplar)


def _add_histogram(
    out: PrometheusMetric, name: str, labels: dict[str, str], bounds: tuple[float, ...], point: HistogramPoint
) -> None:
    cumulative = list(accumulate(point.counts))
    exemplars = point.exemplars or (None,) * len(cumulative)
    for bound, count, exemplar in zip((*bounds, float("inf")), cumulative, exemplars, strict=True):
        out.add_sample(f"{name}_bucket", {**labels, "le": go_string(bound)}, count, exemplar=_exemplar(exemplar))
    if bounds[0] >= 0:
        out.add_sample(f"{name}_count", labels, cumulative[-1])
        out.add_sample(f"{name}_sum", labels, point.sum)


def _exemplar(exemplar: Exemplar | None) -> PrometheusExemplar | None:
    exemplar = short(exemplar)
    return PrometheusExemplar(dict(exemplar.labels), exemplar.value, exemplar.timestamp) if exemplar else None
