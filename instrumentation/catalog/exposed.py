"""Find metrics that would look alike on one page: `orders.placed` and `orders_placed` are one name to Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from .model import Metric


class ExposedNames:
    """The names that a set of metrics takes up in the Prometheus formats, under any prefix.

    >>> from mnemoscope.catalog import CACHE_LOOKUPS, CATALOG, ExposedNames, counter
    >>> ExposedNames(CATALOG).conflict(counter("cache_lookups", "Lookups")) is CACHE_LOOKUPS
    True
    """

    def __init__(self, metrics: Iterable[Metric] = ()) -> None:
        self._owners: dict[str, Metric] = {}
        for metric in metrics:
            self.add(metric)

    def conflict(self, metric: Metric) -> Metric | None:
        """Return another metric of the set that shares a name with `metric`."""
        owners = (self._owners.get(name, metric) for name in metric.exposed_names())
        return next((owner for owner in owners if owner is not metric), None)

    def check(self, metric: Metric) -> None:
        """Refuse a metric that shares a name with another metric of the set.

        Raises:
            ValueError: it does.
        """
        other = self.conflict(metric)
        if other is not None:
            raise _conflict_error(metric, other)

    def add(self, metric: Metric) -> None:
        """Add `metric`, unless it is in the set. If two threads add metrics that share a name, one is refused.

        Raises:
            ValueError: it shares a name with another metric of the set.
        """
        self.check(metric)  # first, so that a refused metric takes up no name
        for name in sorted(metric.exposed_names()):
            other = self._owners.setdefault(name, metric)
            if other is not metric:
                raise _conflict_error(metric, other)


def _conflict_error(metric: Metric, other: Metric) -> ValueError:
    shared = ", ".join(sorted(metric.exposed_names() & other.exposed_names()))
    return ValueError(f"metric {metric.name}: {shared} is also a Prometheus name of {other.name}; rename it")
