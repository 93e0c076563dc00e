"""What a scrape sees: plain, immutable values that are rendered in any format."""

from collections.abc import Iterable
from typing import NamedTuple

from ..catalog import CATALOG, Metric

_PLACE = {metric.name: place for place, metric in enumerate(CATALOG)}


class Exemplar(NamedTuple):
    """One observation of a bucket, with labels that lead to its trace."""

    labels: tuple[tuple[str, str], ...]
    value: float
    timestamp: float


class NumberPoint(NamedTuple):
    """One series of a counter or gauge; `labels` are the values, in the metric's label order."""

    labels: tuple[str, ...]
    value: float
    exemplar: Exemplar | None = None


class HistogramPoint(NamedTuple):
    """One histogram series.

    `counts` holds one number a bucket, not cumulative; the last counts the observations above every bound. `sum`
    belongs to the same observations as `counts`.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    sum: float
    exemplars: tuple[Exemplar | None, ...] = ()

    @property
    def observations(self) -> int:
        """Return the number of observations."""
        return sum(self.counts)


class Family(NamedTuple):
    """A metric and the points of all its series."""

    metric: Metric
    points: tuple[NumberPoint | HistogramPoint, ...]


class Snapshot(NamedTuple):
    """All families at one moment.

    `taken` and `started` are Unix times in seconds: of the snapshot, and of the start of the counters.
    """

    prefix: str
    started: float
    taken: float
    families: tuple[Family, ...]

    def points(self, metric: Metric) -> tuple[NumberPoint | HistogramPoint, ...]:
        """Return the points of `metric`; none if nothing was recorded."""
        return next((family.points for family in self.families if family.metric.name == metric.name), ())


def ordered(families: Iterable[Family]) -> tuple[Family, ...]:
    """Return the families in a snapshot's order: the catalog's in its order, then a service's own by name."""
    return tuple(sorted(families, key=lambda f: (_PLACE.get(f.metric.name, len(_PLACE)), f.metric.name)))
