"""Find metrics that would look alike on one page: `orders.placed` and `orders_placed` are one name to Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from .model import Metric


class ExposedNames:
    """The names that a set of metrics takes up in the Prometheus formats, whatever the prefix is.

    >>> from mnemoscope.catalog import CACHE_LOOKUPS, CATALOG, Area, ExposedNames, Kind, Metric, Unit
    >>> names = ExposedNames(CATALOG)
    >>> mine = Metric("cache_lookups", Kind.COUNTER, Unit.COUNT, "Lookups", Area.CACHE)
    >>> names.conflict(mine) is CACHE_LOOKUPS
    True
    """

    def __init__(self, metrics: Iterable[Metric] = ()) -> None:
        self._owners: dict[str, Metric] = {}
        for metric in metrics:
            self.add(metric)

    def conflict(self, metric: Metric) -> Metric | None:
        """Return a metric of the set that takes up a name of `metric`, which may be in the set itself."""
        owners = (self._owners.get(name, metric) for name in metric.exposed_names())
        return next((owner for owner in owners if owner is not metric), None)

    def check(self, metric: Metric) -> None:
        """Do nothing, unless another metric of the set takes up a name of `metric`.

        Raises:
            ValueError: one does.
        """
        other = self.conflict(metric)
        if other is not None:
            raise _refusal(metric, other)

    def add(self, metric: Metric) -> None:
        """Take `metric` into the set; twice is once. Of two threads that add metrics of one name, one is refused.

        Raises:
            ValueError: it takes up a name of another metric of the set.
        """
        self.check(metric)  # first, so that what is refused takes up no name
        for name in sorted(metric.exposed_names()):
            other = self._owners.setdefault(name, metric)
            if other is not metric:
                raise _refusal(metric, other)


def _refusal(metric: Metric, other: Metric) -> ValueError:
    shared = ", ".join(sorted(metric.exposed_names() & other.exposed_names()))
    return ValueError(f"metric {metric.name}: Prometheus would know {shared} from {other.name} too; rename it")
