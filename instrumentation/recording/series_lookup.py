"""Find the series that a probe records in, by the label values that the probe was given."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Generic, TypeVar

from ..catalog import Metric
from .registry import Registry

S = TypeVar("S")

_DECORATED = (FunctionType, MethodType, type, property, classmethod, staticmethod)
"""Types of the first argument of a decorator that is written without its parentheses."""


class SeriesLookup(Generic[S]):
    """Makes the series of one kind of probe, once for each set of label values in a registry.

    So a probe that is made anew at each call costs one look into a dictionary. A registry keeps as many results as a
    metric may have label sets. Probes with further values share the result in which each open label is `other`.

    Args:
        probe: the probe's name, for messages.
        metric: the metric that a dropped recording is counted under.
        labels: names of the labels whose values the probe gives, in their order.
        make: makes the series; called with the registry, and with the label values as keywords.
    """

    __slots__ = ("_labels", "_make", "_metric", "_probe")

    def __init__(self, probe: str, metric: Metric, labels: tuple[str, ...], make: Callable[..., S]) -> None:
        self._probe = probe
        self._metric = metric
        self._labels = tuple([metric.label(name) for name in labels])
        self._make = make

    def find(self, registry: Registry, *values: object) -> S:
        """Return the series for these label values; make them at the first call.

        Raises:
            TypeError: the values are not the labels', as of a decorator that is written without its parentheses.
        """
        by_values: dict[tuple[object, ...], S] | None = registry.probe_series.get(self)
        if by_values is None:
            by_values = registry.probe_series.setdefault(self, {})
        try:
            series = by_values.get(values)
        except Exception:  # a value that cannot be looked up
            series = None
        return self._add(registry, by_values, values) if series is None else series

    def _add(self, registry: Registry, by_values: dict[tuple[object, ...], S], values: tuple[object, ...]) -> S:
        if len(values) != len(self._labels) or (values and isinstance(values[0], _DECORATED)):
            raise TypeError(self._usage())
        key = registry.label_texts(self._metric, values)
        series = by_values.get(key)
        if series is None and len(by_values) >= registry.max_label_sets:
            registry.drop(self._metric, "label_sets")
            key = registry.overflow(self._labels, key)
            series = by_values.get(key)
        if series is None:
            labels = {label.name: value for label, value in zip(self._labels, key, strict=True)}
            series = by_values.setdefault(key, self._make(registry, **labels))
        return series

    def _usage(self) -> str:
        if not self._labels:
            return f"scope.{self._probe} takes keywords only; as a decorator, write @scope.{self._probe}()"
        first = self._labels[0].name
        return (
            f"scope.{self._probe} takes the {first} first; as a decorator, write "
            f'@scope.{self._probe}("name of the {first}")'
        )
