"""Service-level objectives, each once, with its source.

The burn-rate records and alerts, the panels and the runbook's facts all derive from these objects. A site's override in
`mnemoscope.yaml` replaces the object, and so moves all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Kind, Metric, Source, Unit
from mnemoscope.model.units import humanize


@dataclass(frozen=True, slots=True)
class Objective:
    """A service-level objective: the share of events that must be good over `period`.

    An event is one observation of the histogram `metric` that matches `events`. It is bad if it took longer than
    `within` seconds. Without `within`, it is bad if its `outcome` is `error`.

    Attributes:
        key: name in `mnemoscope.yaml`; the name of the alert derives from it.
        title: what is promised, in words for a person.
        good: the events and what makes them good, as the rest of a sentence that begins with a share.
        metric: a histogram.
        target: the share of events that must be good, between 0 and 1.
        within: the longest duration of a good event, in seconds; a bucket bound of the metric.
        events: label and value pairs of the observations that count; all count by default.
        period: over which the share is judged.
        sources: the reviews that set the target.
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


OBJECTIVES: tuple[Objective, ...] = (
    Objective(
        key="recall_latency",
        title="Recall latency",
        good="recalls that succeed",
        metric=c.RECALL_DURATION,
        target=Decimal("0.99"),
        within=Decimal("0.1"),
        events=(("outcome", "ok"),),
        sources=(Source.SLM,),
    ),
    Objective(
        key="index_write_latency",
        title="Index write latency",
        good="index writes that succeed",
        metric=c.INDEX_WRITE_DURATION,
        target=Decimal("0.99"),
        within=Decimal("0.05"),
        events=(("outcome", "ok"),),
        sources=(Source.SLM,),
    ),
    Objective(
        key="storage_success",
        title="Storage success",
        good="storage operations end without an error",
        metric=c.STORAGE_OPERATION_DURATION,
        target=Decimal("0.999"),
        sources=(Source.SLM,),
    ),
    Objective(
        key="availability",
        title="Availability",
        good="requests are answered without a fault of the service",
        metric=c.REQUEST_DURATION,
        target=Decimal("0.999"),
        sources=(Source.SLM, Source.AKI),
    ),
)
