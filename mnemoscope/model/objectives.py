"""Targets and thresholds, each once, with its source.

An alert, the line on a panel, the zone of a stat and the table in a runbook all read these objects; a
user's override in `mnemoscope.yaml` replaces the object, and so moves all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Kind, Metric, Source, Unit
from mnemoscope.model.units import humanize


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where a signal turns from green to yellow and from yellow to red.

    Attributes:
        key: name in `mnemoscope.yaml`.
        title: what is judged, as a person says it.
        metric: the metric behind it.
        unit: unit of both limits.
        yellow: first limit; beyond it, hold and mend.
        red: second limit; beyond it, roll back or page. None: the signal has one limit only.
        worse: on which side of a limit it is bad.
        sources: the reviews that set the limits; empty where the limit is this project's own choice.
        note: how the number came about, where no review gives it.
        inclusive: whether the limit itself is already bad, as of events of which none is allowed.
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

    def __post_init__(self) -> None:
        if self.red is not None and (self.red < self.yellow if self.worse == "above" else self.red > self.yellow):
            raise ValueError(f"threshold {self.key}: red ({self.red}) must be {self.worse} yellow ({self.yellow})")
        if not self.sources and not self.note:
            raise ValueError(f"threshold {self.key}: name a source, or say in a note how the number came about")

    @property
    def description(self) -> str:
        """The limits as words: `Lock wait, p99: yellow above 50 ms, red above 1 s`."""
        red = "" if self.red is None else f", red {self.beyond(self.red)}"
        return f"{self.title}: yellow {self.beyond(self.yellow)}{red}"

    def beyond(self, limit: Decimal) -> str:
        """Being on the wrong side of `limit`, as words: `above 50 ms`, `1 or more`."""
        words = humanize(limit, self.unit)
        if self.inclusive:
            return f"{words} or {'more' if self.worse == 'above' else 'less'}"
        return f"{self.worse} {words}"


@dataclass(frozen=True, slots=True)
class Objective:
    """A service-level objective: the share of events that must be good over `period`.

    An event is one observation of the histogram `metric` that matches `events`. It is bad when it is
    slower than `within` seconds, or, where `within` is None, when its `outcome` is `error`.
    """

    key: str
    title: str
    good: str
    metric: Metric
    target: Decimal
    within: Decimal | None = None
    events: tuple[tuple[str, str], ...] = ()
    period: str = "30d"
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        if self.metric.kind is not Kind.HISTOGRAM:
            raise ValueError(f"objective {self.key}: {self.metric.name} is not a histogram")
        if not 0 < self.target < 1:
            raise ValueError(f"objective {self.key}: target {self.target} must lie between 0 and 1, as 0.999")
        if self.within is not None and float(self.within) not in self.metric.buckets:
            bounds = ", ".join(f"{b:g}" for b in self.metric.buckets)
            raise ValueError(
                f"objective {self.key}: {self.within} s is no bucket bound of {self.metric.name}; take one of {bounds}"
            )

    @property
    def budget(self) -> Decimal:
        """The share of events that may be bad: `1 - target`, exactly."""
        return 1 - self.target

    @property
    def description(self) -> str:
        """The objective as a sentence: `99 % of recalls that succeed take at most 100 ms, over 30d`."""
        share = humanize(self.target, Unit.RATIO)
        limit = f" take at most {humanize(self.within, Unit.SECONDS)}" if self.within is not None else ""
        return f"{share} of {self.good}{limit}, over {self.period}"


def _d(text: str) -> Decimal:
    return Decimal(text)


THRESHOLDS: tuple[Threshold, ...] = (
    Threshold(
        "lock_wait_p99",
        "Lock wait, p99",
        c.LOCK_WAIT_DURATION,
        Unit.SECONDS,
        _d("0.05"),
        _d("1"),
        note="yellow is half of the 100 ms a recall may take; red is the writer-starvation limit of AkiDB",
    ),
    Threshold(
        "lock_deadlocks",
        "Deadlocks",
        c.LOCK_DEADLOCKS,
        Unit.COUNT,
        _d("1"),
        _d("2"),
        sources=(Source.SLM,),
        inclusive=True,
    ),
    Threshold(
        "index_write_p99",
        "Index write, p99",
        c.INDEX_WRITE_DURATION,
        Unit.SECONDS,
        _d("0.05"),
        _d("0.2"),
        sources=(Source.SLM,),
    ),
    Threshold(
        "index_memory",
        "Index memory",
        c.INDEX_MEMORY,
        Unit.BYTES,
        _d("200000000"),
        _d("2000000000"),
        sources=(Source.SLM,),
    ),
    Threshold(
        "cache_hit_ratio",
        "Cache hit ratio",
        c.CACHE_LOOKUPS,
        Unit.RATIO,
        _d("0.8"),
        _d("0.5"),
        worse="below",
        note="below 0.5 the cache costs more lookups than it saves reads; 0.8 leaves time to act",
    ),
    Threshold(
        "storage_error_ratio",
        "Storage error ratio",
        c.STORAGE_OPERATION_DURATION,
        Unit.RATIO,
        _d("0.001"),
        _d("0.01"),
        sources=(Source.SLM,),
        note="0.01 % is green; 0.1 % is the compensation trigger and the objective; 1 % rolls back",
    ),
    Threshold("wal_size", "Write-ahead log", c.STORAGE_WAL_SIZE, Unit.BYTES, _d("10000000000"), sources=(Source.AKI,)),
    Threshold(
        "fragmentation",
        "Content fragmentation",
        c.STORAGE_CONTENT_SIZE,
        Unit.RATIO,
        _d("0.5"),
        sources=(Source.WARM,),
    ),
    Threshold(
        "concurrent_completions",
        "Concurrent completions",
        c.COMPLETION_IN_FLIGHT_PEAK,
        Unit.COUNT,
        _d("10"),
        _d("20"),
        sources=(Source.SLM,),
        note="10 triggers the semaphore; 20 is its size",
    ),
    Threshold(
        "recall_p99",
        "Recall, p99",
        c.RECALL_DURATION,
        Unit.SECONDS,
        _d("0.1"),
        _d("0.5"),
        sources=(Source.SLM,),
    ),
    Threshold(
        "vector_search_p95",
        "Vector search, p95",
        c.RECALL_VECTOR_SEARCH_DURATION,
        Unit.SECONDS,
        _d("0.025"),
        sources=(Source.AKI,),
    ),
    Threshold(
        "blended_recall_p99",
        "Blended recall, p99",
        c.RECALL_DURATION,
        Unit.SECONDS,
        _d("0.1"),
        _d("0.5"),
        sources=(Source.M17,),
    ),
    Threshold(
        "concept_quality",
        "Concept quality, mean",
        c.CONCEPT_QUALITY,
        Unit.RATIO,
        _d("0.65"),
        _d("0.5"),
        worse="below",
        sources=(Source.M17,),
        note="0.65 is the rollout plan's threshold; red at 0.5, where a concept is wrong as often as right",
    ),
    Threshold(
        "fan_p95",
        "Fan, p95 of associations",
        c.FAN_ASSOCIATIONS,
        Unit.COUNT,
        _d("50"),
        _d("100"),
        note="recall visits every association; 50 is where spreading activation leaves its latency budget",
    ),
    Threshold("open_files", "Open files", c.SERVICE_OPEN_FILES, Unit.COUNT, _d("10000"), sources=(Source.AKI,)),
    Threshold("memory_ratio", "Memory of its limit", c.SERVICE_MEMORY, Unit.RATIO, _d("0.8"), sources=(Source.AKI,)),
    Threshold(
        "authentication_p95",
        "Authentication, p95",
        c.SERVICE_AUTHENTICATION_DURATION,
        Unit.SECONDS,
        _d("0.5"),
        sources=(Source.AKI,),
    ),
)

OBJECTIVES: tuple[Objective, ...] = (
    Objective(
        "recall_latency",
        "Recall latency",
        "recalls that succeed",
        c.RECALL_DURATION,
        _d("0.99"),
        within=_d("0.1"),
        events=(("outcome", "ok"),),
        sources=(Source.SLM,),
    ),
    Objective(
        "index_write_latency",
        "Index write latency",
        "index writes that succeed",
        c.INDEX_WRITE_DURATION,
        _d("0.99"),
        within=_d("0.05"),
        events=(("outcome", "ok"),),
        sources=(Source.SLM,),
    ),
    Objective(
        "storage_success",
        "Storage success",
        "storage operations end without an error",
        c.STORAGE_OPERATION_DURATION,
        _d("0.999"),
        sources=(Source.SLM,),
    ),
    Objective(
        "availability",
        "Availability",
        "requests are answered without a fault of the service",
        c.REQUEST_DURATION,
        _d("0.999"),
        sources=(Source.SLM, Source.AKI),
    ),
)
