"""Thresholds, each once, with its source and its alert.

The alert rule, its rule tests, the lines on panels, the runbook's facts and the metric reference all derive from these
objects. A site's override in `mnemoscope.yaml` replaces the limits, and so moves all of them together.

To add an alert, copy an object with an `alert` below, give it a new key and name, and write `runbooks/<name>.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Metric, Source, Unit
from mnemoscope.model.signals import Mean, Peak, Quantile, Share, Signal
from mnemoscope.model.units import humanize


@dataclass(frozen=True, slots=True)
class ThresholdAlert:
    """The alert that fires when a signal stays beyond a threshold. Yellow is a warning, red is critical.

    Attributes:
        name: CamelCase, at most 40 characters; also the name of the runbook page.
        signal: how the value is computed from the metric of the threshold.
        board: uid of the board that the alert links to, one of `links.BOARDS`.
        panel: key of the panel on that board.
        pending: how long the value must stay beyond the yellow and beyond the red limit.
        summary: one static sentence.
        subject: the start of the sentence that the value ends; templates may name labels.
        remedy: one or two sentences on where to look first.
    """

    name: str
    signal: Signal
    board: str
    panel: str
    pending: tuple[str, str]
    summary: str
    subject: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """The limits at which a signal turns from green to yellow and from yellow to red.

    Attributes:
        key: name in `mnemoscope.yaml`.
        title: what is judged, in words for a person.
        metric: the metric behind it.
        unit: unit of both limits.
        yellow: first limit; beyond it, hold the rollout and fix the cause.
        red: second limit; beyond it, roll back or page. None: the signal has one limit only.
        worse: the bad side of a limit.
        sources: the reviews that set the limits; empty if the limit is this project's own choice.
        note: how the number was chosen, if no review gives it.
        inclusive: whether the limit itself is already bad, as of events of which none is allowed.
        alert: the alert that fires beyond the limits; None if only panels draw them.
    """

    key: str
    title: str
    metric: Metric
    unit: Unit
    yellow: Decimal
    red: Decimal | None = None
    worse: Literal["above", "below"] = "above"
    sources: tuple[Source, ...] = ()
    note: str = ""
    inclusive: bool = False
    alert: ThresholdAlert | None = None

    def __post_init__(self) -> None:
        if self.red is not None and (self.red < self.yellow if self.worse == "above" else self.red > self.yellow):
            raise ValueError(f"threshold {self.key}: red ({self.red}) must be {self.worse} yellow ({self.yellow})")
        if not self.sources and not self.note:
            raise ValueError(f"threshold {self.key}: name a source, or explain in a note how the number was chosen")
        if self.alert is not None and self.metric.kind not in self.alert.signal.kinds:
            kinds = " or a ".join(kind.value for kind in self.alert.signal.kinds)
            raise ValueError(f"threshold {self.key}: {self.alert.signal} needs a {kinds}, not {self.metric.name}")

    @property
    def description(self) -> str:
        """The limits as words: `Lock wait, p99: yellow above 50 ms, red above 1 s`."""
        red = "" if self.red is None else f", red {self.beyond(self.red)}"
        return f"{self.title}: yellow {self.beyond(self.yellow)}{red}"

    def beyond(self, limit: Decimal) -> str:
        """Return the bad side of `limit` as words: `above 50 ms`, `1 or more`."""
        words = humanize(limit, self.unit)
        if self.inclusive:
            return f"{words} or {'more' if self.worse == 'above' else 'less'}"
        return f"{self.worse} {words}"


THRESHOLDS: tuple[Threshold, ...] = (
    Threshold(
        key="lock_wait_p99",
        title="Lock wait, p99",
        metric=c.LOCK_WAIT_DURATION,
        unit=Unit.SECONDS,
        yellow=Decimal("0.05"),
        red=Decimal("1"),
        note="yellow is half of the 100 ms a recall may take; red is the writer-starvation limit of AkiDB",
        alert=ThresholdAlert(
            name="LockWaitHigh",
            signal=Quantile(99),
            board="dual-memory",
            panel="lock-wait",
            pending=("5m", "2m"),
            summary="Waiting for a lock takes too long.",
            subject=(
                "The p99 wait of {{ $labels.mode }} acquisitions of the lock {{ $labels.lock }} in {{ $labels.job }} is"
            ),
            remedy="Look for the longest hold time of the same lock.",
        ),
    ),
    Threshold(
        key="lock_deadlocks",
        title="Deadlocks",
        metric=c.LOCK_DEADLOCKS,
        unit=Unit.COUNT,
        yellow=Decimal("1"),
        red=Decimal("2"),
        sources=(Source.SLM,),
        inclusive=True,
    ),
    Threshold(
        key="index_write_p99",
        title="Index write, p99",
        metric=c.INDEX_WRITE_DURATION,
        unit=Unit.SECONDS,
        yellow=Decimal("0.05"),
        red=Decimal("0.2"),
        sources=(Source.SLM,),
        alert=ThresholdAlert(
            name="IndexWriteSlow",
            signal=Quantile(99, dropped=("outcome",)),
            board="dual-memory",
            panel="index-write",
            pending=("10m", "5m"),
            summary="Writing to an index takes too long.",
            subject="The p99 duration of writes to the index {{ $labels.index }} in {{ $labels.job }} is",
            remedy="Compare it with lock waits and with the size of the index.",
        ),
    ),
    Threshold(
        key="index_memory",
        title="Index memory",
        metric=c.INDEX_MEMORY,
        unit=Unit.BYTES,
        yellow=Decimal("200000000"),
        red=Decimal("2000000000"),
        sources=(Source.SLM,),
    ),
    Threshold(
        key="cache_hit_ratio",
        title="Cache hit ratio",
        metric=c.CACHE_LOOKUPS,
        unit=Unit.RATIO,
        yellow=Decimal("0.8"),
        red=Decimal("0.5"),
        worse="below",
        note="below 0.5 the cache costs more lookups than it saves reads; 0.8 leaves time to act",
        alert=ThresholdAlert(
            name="CacheHitRatioLow",
            signal=Share("result", counted="hit", rest="miss"),
            board="dual-memory",
            panel="cache-hit-ratio",
            pending=("15m", "10m"),
            summary="The hit ratio of a cache is too low.",
            subject="The hit ratio of the cache {{ $labels.cache }} in {{ $labels.job }} is",
            remedy="Look for a restart, for evictions and for invalidations.",
        ),
    ),
    Threshold(
        key="concurrent_completions",
        title="Concurrent completions",
        metric=c.COMPLETION_IN_FLIGHT_PEAK,
        unit=Unit.COUNT,
        yellow=Decimal("10"),
        red=Decimal("20"),
        sources=(Source.SLM,),
        note="10 triggers the semaphore; 20 is its size",
        alert=ThresholdAlert(
            name="CompletionConcurrencyHigh",
            signal=Peak(),
            board="dual-memory",
            panel="completions-in-flight",
            pending=("5m", "2m"),
            summary="Too many completions run at the same time.",
            subject="The peak of concurrent completions in the busiest instance of {{ $labels.job }} is",
            remedy="Limit them with a semaphore, and look for what slows them down.",
        ),
    ),
    Threshold(
        key="storage_error_ratio",
        title="Storage error ratio",
        metric=c.STORAGE_OPERATION_DURATION,
        unit=Unit.RATIO,
        yellow=Decimal("0.001"),
        red=Decimal("0.01"),
        sources=(Source.SLM,),
        note="0.01 % is green; 0.1 % is the compensation trigger and the objective; 1 % rolls back",
        alert=ThresholdAlert(
            name="StorageErrorRatioHigh",
            signal=Share("outcome", counted="error", rest="ok", dropped=("operation",)),
            board="dual-memory",
            panel="storage-error-ratio",
            pending=("5m", "2m"),
            summary="Too many storage operations fail.",
            subject="The error ratio of operations on {{ $labels.backend }} in {{ $labels.job }} is",
            remedy="Look at the errors by kind and by operation.",
        ),
    ),
    Threshold(
        key="wal_size",
        title="Write-ahead log",
        metric=c.STORAGE_WAL_SIZE,
        unit=Unit.BYTES,
        yellow=Decimal("10000000000"),
        sources=(Source.AKI,),
    ),
    Threshold(
        key="fragmentation",
        title="Content fragmentation",
        metric=c.STORAGE_CONTENT_SIZE,
        unit=Unit.RATIO,
        yellow=Decimal("0.5"),
        sources=(Source.WARM,),
    ),
    Threshold(
        key="recall_p99",
        title="Recall, p99",
        metric=c.RECALL_DURATION,
        unit=Unit.SECONDS,
        yellow=Decimal("0.1"),
        red=Decimal("0.5"),
        sources=(Source.SLM,),
    ),
    Threshold(
        key="vector_search_p95",
        title="Vector search, p95",
        metric=c.RECALL_VECTOR_SEARCH_DURATION,
        unit=Unit.SECONDS,
        yellow=Decimal("0.025"),
        sources=(Source.AKI,),
    ),
    Threshold(
        key="blended_recall_p99",
        title="Blended recall, p99",
        metric=c.RECALL_DURATION,
        unit=Unit.SECONDS,
        yellow=Decimal("0.1"),
        red=Decimal("0.5"),
        sources=(Source.M17,),
        alert=ThresholdAlert(
            name="BlendedRecallLatencyP99Breach",
            signal=Quantile(99, dropped=("outcome",), only=(("path", "blended"),)),
            board="dual-memory",
            panel="blended-recall",
            pending=("5m", "2m"),
            summary="Blended recall takes too long.",
            subject="The p99 duration of blended recalls in {{ $labels.job }} is",
            remedy="Compare it with the other recall paths, the fan and semantic timeouts.",
        ),
    ),
    Threshold(
        key="concept_quality",
        title="Concept quality, mean",
        metric=c.CONCEPT_QUALITY,
        unit=Unit.RATIO,
        yellow=Decimal("0.65"),
        red=Decimal("0.5"),
        worse="below",
        sources=(Source.M17,),
        note="0.65 is the rollout plan's threshold; red at 0.5, where a concept is wrong as often as right",
        alert=ThresholdAlert(
            name="ConceptQualityViolation",
            signal=Mean(),
            board="cognitive-metrics",
            panel="concept-quality",
            pending=("15m", "5m"),
            summary="New concepts are of low quality.",
            subject="The mean quality of new concepts in {{ $labels.job }} is",
            remedy="Look at the input of consolidation, and stop consolidation if the quality stays low.",
        ),
    ),
    Threshold(
        key="fan_p95",
        title="Fan, p95 of associations",
        metric=c.FAN_ASSOCIATIONS,
        unit=Unit.COUNT,
        yellow=Decimal("50"),
        red=Decimal("100"),
        note="recall visits every association; 50 is where spreading activation leaves its latency budget",
        alert=ThresholdAlert(
            name="FanEffectExcessive",
            signal=Quantile(95),
            board="cognitive-metrics",
            panel="fan",
            pending=("10m", "5m"),
            summary="Recalls activate too many associations.",
            subject="The p95 number of associations that a recall activates in {{ $labels.job }} is",
            remedy="Look for concepts that are associated with nearly every other concept.",
        ),
    ),
    Threshold(
        key="open_files",
        title="Open files",
        metric=c.SERVICE_OPEN_FILES,
        unit=Unit.COUNT,
        yellow=Decimal("10000"),
        sources=(Source.AKI,),
    ),
    Threshold(
        key="memory_ratio",
        title="Memory of its limit",
        metric=c.SERVICE_MEMORY,
        unit=Unit.RATIO,
        yellow=Decimal("0.8"),
        sources=(Source.AKI,),
    ),
    Threshold(
        key="authentication_p95",
        title="Authentication, p95",
        metric=c.SERVICE_AUTHENTICATION_DURATION,
        unit=Unit.SECONDS,
        yellow=Decimal("0.5"),
        sources=(Source.AKI,),
    ),
)
