"""The duration of an operation by its outcome: what nearly every probe records."""

from __future__ import annotations

from functools import lru_cache

from .catalog import Kind, Label, Metric
from .operation import ERROR, OK, IsError, outcome_of
from .registry import Registry
from .series import Histogram


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


class DurationsOf:
    """Makes the `Durations` of a metric from the values of its labels other than `outcome`; see `registry.Bundle`.

    Args:
        metric: a histogram that counts seconds.
        probe: the probe's name, for messages.
        labels: which labels are given; all but `outcome` if None.
    """

    __slots__ = ("labels", "metric", "probe")

    def __init__(self, metric: Metric, probe: str, labels: tuple[Label, ...] | None = None) -> None:
        self.metric = metric
        self.probe = probe
        self.labels = labels if labels is not None else tuple(x for x in metric.labels if x.name != "outcome")

    def __call__(self, registry: Registry, *values: str) -> Durations:
        names = (label.name for label in self.labels)
        return Durations(registry, self.metric, **dict(zip(names, values, strict=True)))


@lru_cache(maxsize=1024)
def durations_of(metric: Metric, names: tuple[str, ...]) -> DurationsOf:
    """Return the maker of `metric`'s series for labels of these names, the same one each time.

    Raises:
        ValueError: the metric has no label of one of these names.
    """
    for name in names:
        if name not in metric.label_names:
            wanted = ", ".join(metric.label_names) or "none"
            raise ValueError(f"{metric.name}: labels are {wanted}; given {', '.join(names)}")
    return DurationsOf(metric, "timed", tuple(metric.label(name) for name in names))
