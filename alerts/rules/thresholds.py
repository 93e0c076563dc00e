"""Threshold alerts: a signal left its green zone. Yellow is a warning, red is critical.

The limits live in `objectives`, once; here is only which expression is held against which of them, and what
the person on call is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from mnemoscope import promql
from mnemoscope.errors import MnemoscopeError
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Kind, Metric, Unit
from mnemoscope.model import units
from mnemoscope.model.objectives import Threshold
from mnemoscope.model.settings import Settings, Severity
from mnemoscope.promql import Matcher

from .. import overrides, record_names
from ..model import Alert
from . import recording

Expression = Callable[[Settings], str]

DUAL, COGNITIVE = "dual-memory", "cognitive-metrics"

HUMAN = {
    Unit.SECONDS: "humanizeDuration",
    Unit.RATIO: "humanizePercentage",
    Unit.BYTES: "humanize1024",
    Unit.COUNT: "humanize",
}
"""The template function that shows a value of each unit."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One signal and its alert.

    Attributes:
        name: the alert's.
        threshold: key of the limits.
        board: uid of the board.
        panel: key of the panel.
        for_: how long the yellow and the red limit must be passed.
        summary: one static sentence.
        subject: what `$value` is, as the start of a sentence; templates may name labels.
        remedy: where to look first.
        value: the expression that is held against the limit.
        events: number of events behind it; None where the value needs none, as a gauge's does not.
    """

    name: str
    threshold: str
    board: str
    panel: str
    for_: tuple[str, str]
    summary: str
    subject: str
    remedy: str
    value: Expression
    events: Expression | None


def _quantile(metric: Metric, *matchers: Matcher) -> Expression:
    recorded = recording.quantile_of(metric)

    def expression(settings: Settings) -> str:
        name = record_names.quantile(settings, recorded.level, metric, recorded.percent)
        return settings.queries.record(name, *matchers)

    return expression


def _events(metric: Metric, *matchers: Matcher, drop: tuple[str, ...] = ()) -> Expression:
    def expression(settings: Settings) -> str:
        part: promql.Part = "count" if metric.kind is Kind.HISTOGRAM else ""
        counted = settings.queries.increase(metric, settings.rate_window, *matchers, part=part)
        return promql.without((*settings.instance_labels, *drop), counted)

    return expression


def _rate(settings: Settings, metric: Metric, drop: tuple[str, ...], *matchers: Matcher, part: promql.Part) -> str:
    rate = settings.queries.rate(metric, settings.rate_window, *matchers, part=part)
    return promql.without((*settings.instance_labels, *drop), rate)


def _hit_ratio(settings: Settings) -> str:
    drop = ("result",)
    hits = _rate(settings, c.CACHE_LOOKUPS, drop, Matcher("result", "=", "hit"), part="")
    lookups = _rate(settings, c.CACHE_LOOKUPS, drop, part="")
    # A cache that never hit has no series of hits.
    return promql.ratio(f"(\n{hits}\nor\n0 * {lookups}\n)\n", lookups)


def _storage_error_ratio(settings: Settings) -> str:
    drop = ("operation", "outcome")
    failed = _rate(settings, c.STORAGE_OPERATION_DURATION, drop, Matcher("outcome", "=", "error"), part="count")
    return promql.ratio(f"{failed}\n", _rate(settings, c.STORAGE_OPERATION_DURATION, drop, part="count"))


def _peak(settings: Settings) -> str:
    peak = f"max_over_time({settings.queries.series(c.COMPLETION_IN_FLIGHT_PEAK)}[{settings.rate_window}])"
    # Peaks of two instances need not fall together, so they are not added up.
    return promql.without(settings.instance_labels, peak, "max")


def _mean_quality(settings: Settings) -> str:
    total = _rate(settings, c.CONCEPT_QUALITY, (), part="sum")
    return promql.ratio(f"{total}\n", _rate(settings, c.CONCEPT_QUALITY, (), part="count"))


_BLENDED = Matcher("path", "=", "blended")

ZONES: tuple[Zone, ...] = (
    Zone(
        "LockWaitHigh",
        "lock_wait_p99",
        DUAL,
        "lock-wait",
        ("5m", "2m"),
        "Waiting for a lock takes too long.",
        "One in a hundred {{ $labels.mode }} acquisitions of {{ $labels.lock }} in {{ $labels.job }} waits longer than",
        "Look for the longest hold time of the same lock.",
        _quantile(c.LOCK_WAIT_DURATION),
        _events(c.LOCK_WAIT_DURATION),
    ),
    Zone(
        "IndexWriteSlow",
        "index_write_p99",
        DUAL,
        "index-write",
        ("10m", "5m"),
        "Writing to an index takes too long.",
        "One in a hundred writes to the index {{ $labels.index }} of {{ $labels.job }} takes longer than",
        "Compare with lock waits and with the size of the index.",
        _quantile(c.INDEX_WRITE_DURATION),
        _events(c.INDEX_WRITE_DURATION, drop=("outcome",)),
    ),
    Zone(
        "CacheHitRatioLow",
        "cache_hit_ratio",
        DUAL,
        "cache-hit-ratio",
        ("15m", "10m"),
        "Too few cache lookups find what they look for.",
        "The hit ratio of the cache {{ $labels.cache }} of {{ $labels.job }} is",
        "Look for a restart, for evictions and for invalidations.",
        _hit_ratio,
        _events(c.CACHE_LOOKUPS, drop=("result",)),
    ),
    Zone(
        "CompletionConcurrencyHigh",
        "concurrent_completions",
        DUAL,
        "completions-in-flight",
        ("5m", "2m"),
        "Too many completions run at once.",
        "The busiest instance of {{ $labels.job }} had as many completions in flight at once as",
        "Limit them with a semaphore, and look for what holds them up.",
        _peak,
        None,
    ),
    Zone(
        "StorageErrorRatioHigh",
        "storage_error_ratio",
        DUAL,
        "storage-error-ratio",
        ("5m", "2m"),
        "Too many storage operations fail.",
        "The share of operations on {{ $labels.backend }} in {{ $labels.job }} that fail is",
        "Look at the errors by kind and by operation.",
        _storage_error_ratio,
        _events(c.STORAGE_OPERATION_DURATION, drop=("operation", "outcome")),
    ),
    Zone(
        "BlendedRecallLatencyP99Breach",
        "blended_recall_p99",
        DUAL,
        "blended-recall",
        ("5m", "2m"),
        "Blended recall takes too long.",
        "One in a hundred blended recalls of {{ $labels.job }} takes longer than",
        "Compare with the other recall paths, the fan and semantic timeouts.",
        _quantile(c.RECALL_DURATION, _BLENDED),
        _events(c.RECALL_DURATION, _BLENDED, drop=("outcome",)),
    ),
    Zone(
        "ConceptQualityViolation",
        "concept_quality",
        COGNITIVE,
        "concept-quality",
        ("15m", "5m"),
        "New concepts are of low quality.",
        "The mean quality of concepts that {{ $labels.job }} forms is",
        "Look at what consolidation was given, and stop it if it keeps on.",
        _mean_quality,
        _events(c.CONCEPT_QUALITY),
    ),
    Zone(
        "FanEffectExcessive",
        "fan_p95",
        COGNITIVE,
        "fan",
        ("10m", "5m"),
        "Recalls activate too many associations.",
        "One in twenty recalls of {{ $labels.job }} activates more associations than",
        "Look for concepts that nearly everything is tied to.",
        _quantile(c.FAN_ASSOCIATIONS),
        _events(c.FAN_ASSOCIATIONS),
    ),
)

_SEVERITIES: tuple[Severity, Severity] = ("warning", "critical")


def alerts(settings: Settings, board: str | None = None) -> Iterator[Alert]:
    """The threshold alerts, of one board or of all, that are not switched off.

    Raises:
        MnemoscopeError: a limit lies where no measurement can pass it.
    """
    for zone in ZONES:
        if board in (None, zone.board) and overrides.enabled(settings, zone.name):
            threshold = settings.threshold(zone.threshold)
            limits = (threshold.yellow, threshold.red)
            for limit, severity, for_ in zip(limits, _SEVERITIES, zone.for_, strict=True):
                if limit is not None:
                    _reachable(zone, threshold, limit)
                    yield _alert(settings, zone, threshold, limit, severity, for_)


def _alert(
    settings: Settings, zone: Zone, threshold: Threshold, limit: Decimal, severity: Severity, for_: str
) -> Alert:
    sign = ">" if threshold.worse == "above" else "<"
    expr = f"{zone.value(settings)} {sign} {units.number(limit)}"
    if zone.events is not None:
        expr += f"\nand\n{zone.events(settings)} >= {settings.min_events}"
    bound = "at most" if threshold.worse == "above" else "at least"
    return Alert(
        name=zone.name,
        expr=expr,
        for_=for_,
        severity=severity,
        summary=zone.summary,
        description=(
            f"{zone.subject} {{{{ $value | {HUMAN[threshold.unit]} }}}}, where {bound}"
            f" {units.humanize(limit, threshold.unit)} is allowed. {zone.remedy}"
        ),
        board=zone.board,
        panel=zone.panel,
        variables=(settings.cluster_label, "job"),
        threshold=threshold,
        unit=threshold.unit,
        limit=limit,
    )


def _reachable(zone: Zone, threshold: Threshold, limit: Decimal) -> None:
    """Refuse a limit that no measurement can pass: such an alert would be silent for ever."""
    metric = threshold.metric
    if threshold.unit is Unit.RATIO and threshold.worse == "above":
        most: float | None = 1
    elif metric.kind is Kind.HISTOGRAM and threshold.worse == "above":
        most = metric.buckets[-1]  # a quantile is never found beyond the last finite bound
    else:
        most = None
    if most is not None and limit >= Decimal(str(most)):
        raise MnemoscopeError(
            f"thresholds.{threshold.key}: {zone.name} can never fire above {units.number(limit)};"
            f" nothing beyond {units.number(most)} is measured"
        )
    if threshold.worse == "below" and limit <= 0:
        raise MnemoscopeError(
            f"thresholds.{threshold.key}: {zone.name} can never fire below {units.number(limit)};"
            " set a limit above zero"
        )
