"""The duration of an operation by its outcome: what nearly every probe records."""

from __future__ import annotations

from functools import lru_cache

from ..catalog import Kind, Label, Metric
from ..recording.registry import Bundle, Registry
from ..recording.series import Histogram
from .operation import ERROR, OK, IsError, outcome_of


class Durations:
    """The series of one metric and one set of labels, by outcome.

    Every outcome's series exists from the start, at zero. A metric without the label `outcome` has one series.

    Raises:
        ValueError: the metric is no histogram, or the labels are not the metric's.
    """

    __slots__ = ("_by_outcome", "error", "metric", "ok", "registry")

    def __init__(self, registry: Registry, metric: Metric, **labels: str) -> None:
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
        """Record a duration; an outcome that the metric does not have is counted as refused, and as an error here."""
        series = self._by_outcome.get(outcome)
        if series is None:
            series = self.error
            if self._by_outcome:
                self.registry.drop(self.metric, "label_value", value=outcome)
        series.observe(seconds)

    def failed(self, seconds: float, error: BaseException, is_error: IsError | None) -> None:
        """Record the duration of what ended by an exception."""
        self._by_outcome.get(outcome_of(error, is_error), self.error).observe(seconds)


def durations(probe: str, metric: Metric, labels: tuple[Label, ...] | None = None) -> Bundle[Durations]:
    """Return the bundle of a probe that records durations in `metric`.

    Args:
        probe: the probe's name, for messages.
        metric: a histogram that counts seconds.
        labels: which labels the probe gives; all but `outcome` if None.
    """
    given = tuple(x for x in metric.labels if x.name != "outcome") if labels is None else labels

    def make(registry: Registry, *values: str) -> Durations:
        return Durations(registry, metric, **dict(zip((label.name for label in given), values, strict=True)))

    return Bundle(probe, metric, given, make)


@lru_cache(maxsize=1024)
def durations_of(metric: Metric, names: tuple[str, ...]) -> Bundle[Durations]:
    """Return the bundle of `metric` for labels of these names, the same one each time.

    Raises:
        ValueError: the metric has no label of one of these names.
    """
    for name in names:
        if name not in metric.label_names:
            wanted = ", ".join(metric.label_names) or "none"
            raise ValueError(f"{metric.name}: labels are {wanted}; given {', '.join(names)}")
    return durations("timed", metric, tuple(metric.label(name) for name in names))
