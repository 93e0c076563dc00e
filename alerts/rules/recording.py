"""Recording rules: queries that alerts and boards share, each computed once.

Every record sums the labels of one process away and keeps all others, so that the labels a site adds to its series
survive. A chain (buckets, then their quantile) stays within one group, because only the rules of one group are
evaluated in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mnemoscope import promql
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.model.settings import Settings
from mnemoscope.model.signals import Quantile
from mnemoscope.model.thresholds import THRESHOLDS
from mnemoscope.promql import Part

from .. import record_names
from ..model import Group, Record


def level(metric: Metric, dropped: tuple[str, ...]) -> str:
    """Return the first word of a record's name: `job` and the labels of `metric` that are kept."""
    return "_".join(("job", *(label for label in metric.label_names if label not in dropped)))


@dataclass(frozen=True, slots=True)
class RecordedQuantile:
    """A quantile that alerts and panels read.

    Attributes:
        metric: a histogram.
        percent: 99 for p99.
        dropped: labels of the metric that are summed away.
    """

    metric: Metric
    percent: int
    dropped: tuple[str, ...] = ()

    @property
    def level(self) -> str:
        """The first word of the record's name."""
        return level(self.metric, self.dropped)


def _of_alerts() -> Iterator[RecordedQuantile]:
    for threshold in THRESHOLDS:
        if threshold.alert is not None and isinstance(threshold.alert.signal, Quantile):
            yield RecordedQuantile(threshold.metric, threshold.alert.signal.percent, threshold.alert.signal.dropped)


OF_PANELS = (RecordedQuantile(c.RECALL_VECTOR_SEARCH_DURATION, 95, ("outcome",)),)
"""Quantiles that panels alone read."""

QUANTILES: tuple[RecordedQuantile, ...] = tuple(dict.fromkeys((*_of_alerts(), *OF_PANELS)))

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
"""The metrics that the canary board compares, each with the parts that it reads."""


def groups(settings: Settings) -> tuple[Group, ...]:
    """Return the group of quantiles and the group of rates by release track."""
    # Two quantiles of one metric read the same buckets, which are recorded once.
    quantiles = tuple(dict.fromkeys(rule for quantile in QUANTILES for rule in _chain(settings, quantile)))
    tracks = tuple(_by_track(settings, metric, part) for metric, parts in BY_TRACK for part in parts)
    return (
        Group(f"{settings.prefix}.quantiles", quantiles),
        Group(f"{settings.prefix}.tracks", tracks),
    )


def _chain(settings: Settings, quantile: RecordedQuantile) -> Iterator[Record]:
    metric, level, q = quantile.metric, quantile.level, settings.queries
    buckets = record_names.rate(settings, level, metric, "bucket")
    dropped = (*settings.instance_labels, *quantile.dropped)
    yield Record(buckets, promql.without(dropped, q.rate(metric, settings.rate_window, part="bucket")))
    # Without observations the quantile is NaN. No comparison holds for NaN, so the record is absent instead.
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
