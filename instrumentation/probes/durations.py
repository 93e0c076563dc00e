"""The duration of an operation by its outcome, which nearly every probe records."""

from __future__ import annotations

from ..catalog import Kind, Metric
from ..recording.registry import Registry
from ..recording.series import Histogram
from ..recording.series_lookup import SeriesLookup
from .operation import ERROR, OK, IsError, outcome_of


class Durations:
    """The series of one metric and one set of labels, by outcome.

    The series of every outcome exists from the start, at zero. A metric without the label `outcome` has one series.

    Raises:
        ValueError: the metric is no histogram, or the labels are not the metric's.
    """

    __slots__ = ("_by_outcome", "error", "metric", "ok", "registry")

    def __init__(self, registry: Registry, metric: Metric, /, **labels: str) -> None:
        if metric.kind is not Kind.HISTOGRAM:
            raise ValueError(f"{metric.name} is a {metric.kind.value}; only a histogram can be timed")
        self.registry = registry
        self.metric = metric
        self._by_outcome: dict[str, Histogram] = {}
        if "outcome" in metric.label_names and "outcome" not in labels:
            values = metric.label("outcome").values
            self._by_outcome = {value: registry.histogram(metric, outcome=value, **labels) for value in values}
            self.ok = self._by_outcome.get(OK) or self._by_outcome[values[0]]
            self.error = self._by_outcome.get(ERROR) or self.ok
        else:
            self.ok = self.error = registry.histogram(metric, **labels)

    def record(self, seconds: float, outcome: str) -> None:
        """Record a duration; count an outcome that the metric does not have as dropped, and as an error here."""
        series = self._by_outcome.get(outcome)
        if series is None:
            series = self.error
            if self._by_outcome:
                self.registry.drop(self.metric, "label_value", value=outcome)
        series.observe(seconds)

    def failed(self, seconds: float, error: BaseException, is_error: IsError | None) -> None:
        """Record the duration of a run that an exception ended."""
        self._by_outcome.get(outcome_of(error, is_error), self.error).observe(seconds)


def duration_lookup(probe: str, metric: Metric, *labels: str) -> SeriesLookup[Durations]:
    """Return the lookup of a probe that records durations in `metric` and gives these labels."""

    def make(registry: Registry, /, **values: str) -> Durations:
        return Durations(registry, metric, **values)

    return SeriesLookup(probe, metric, labels, make)
