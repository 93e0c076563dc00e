"""Recording rules: the queries that alerts and boards would otherwise each compute again.

Every record sums the labels of one process away and keeps all others, so that whatever a site adds to its
series survives. A chain (buckets, then the quantile of them) stays within one group, because only rules of
one group are evaluated in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mnemoscope import promql
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Part

from .. import record_names
from ..model import Group, Record


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile that alerts and panels read.

    Attributes:
        metric: a histogram.
        level: the labels that are left, as the record's name says them.
        percent: which quantile.
        dropped: labels of the metric that are summed away.
    """

    metric: Metric
    level: str
    percent: int
    dropped: tuple[str, ...] = ()


QUANTILES: tuple[Quantile, ...] = (
    Quantile(c.LOCK_WAIT_DURATION, "job_lock_mode", 99),
    Quantile(c.INDEX_WRITE_DURATION, "job_index", 99, ("outcome",)),
    Quantile(c.RECALL_DURATION, "job_path", 99, ("outcome",)),
    Quantile(c.FAN_ASSOCIATIONS, "job", 95),
    Quantile(c.RECALL_VECTOR_SEARCH_DURATION, "job_index", 95, ("outcome",)),
)

BY_TRACK: tuple[tuple[Metric, tuple[Part, ...]], ...] = (
    (c.REQUEST_DURATION, ("bucket", "count")),
    (c.RECALL_DURATION, ("bucket", "count")),
    (c.INDEX_WRITE_DURATION, ("bucket", "count")),
    (c.COMPLETION_DURATION, ("bucket", "count")),
    (c.STORAGE_OPERATION_DURATION, ("bucket", "count")),
    (c.CONCEPT_QUALITY, ("sum", "count")),
    (c.RECALL_DIVERSITY, ("sum", "count")),
    (c.CACHE_LOOKUPS, ("",)),
)
"""What the canary board compares, and which series of it that takes."""


def quantile_of(metric: Metric) -> Quantile:
    """The recorded quantile of `metric`.

    Raises:
        KeyError: none is recorded.
    """
    for quantile in QUANTILES:
        if quantile.metric is metric:
            return quantile
    raise KeyError(f"no quantile of {metric.name} is recorded")


def groups(settings: Settings) -> tuple[Group, ...]:
    """The groups of plain records and of records by release track."""
    quantiles = tuple(rule for quantile in QUANTILES for rule in _chain(settings, quantile))
    tracks = tuple(_by_track(settings, metric, part) for metric, parts in BY_TRACK for part in parts)
    return (
        Group(f"{settings.prefix}.quantiles", quantiles),
        Group(f"{settings.prefix}.tracks", tracks),
    )


def _chain(settings: Settings, quantile: Quantile) -> Iterator[Record]:
    metric, level, q = quantile.metric, quantile.level, settings.queries
    buckets = record_names.rate(settings, level, metric, "bucket")
    dropped = (*settings.instance_labels, *quantile.dropped)
    yield Record(buckets, promql.without(dropped, q.rate(metric, settings.rate_window, part="bucket")))
    # Without observations the quantile is NaN, and no comparison holds for NaN: the series is absent instead.
    yield Record(
        record_names.quantile(settings, level, metric, quantile.percent),
        f"{promql.quantile(quantile.percent / 100, q.record(buckets))} >= 0",
    )


def _by_track(settings: Settings, metric: Metric, part: Part) -> Record:
    q = settings.queries
    target = dict.fromkeys((settings.cluster_label, "job", *settings.instance_labels))
    # `max by` leaves one series an instance, also while the stage or the version is changing.
    track = promql.by([*target, c.ROLLOUT_INFO.label("track").name], q.series(c.ROLLOUT_INFO), "max")
    joined = (
        f"\n  {q.rate(metric, settings.rate_window, part=part)}\n"
        f"  * on ({', '.join(target)}) group_left (track)\n"
        f"  {track}\n"
    )
    return Record(record_names.by_track(settings, metric, part), promql.without(settings.instance_labels, joined))
