"""The probes of recall and consolidation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Never

from .. import catalog
from ..catalog.labels import RecallPath
from ..default import default_registry
from ..recording.registry import Registry
from ..recording.series import Histogram
from ..recording.series_lookup import SeriesLookup
from .durations import Durations
from .operation import IsError, Operation, Probe


def recall(
    path: RecallPath,
    *,
    results: Callable[[Any], float] | None = None,
    is_error: IsError | None = None,
    registry: Registry | None = None,
) -> Probe[Recall]:
    """Record one recall: duration and outcome by `path`, how many memories it found, and whether it found none.

    In a block: `with recall("flat") as op: op.results = len(found)`; decorated: `@recall("flat", results=len)`.

    Args:
        path: `hierarchical`, `flat` or `blended`.
        results: for a decorated recall, returns how many memories its result holds.
        is_error: returns whether an exception is a failure; by default each is.
        registry: where to record; the default registry if not given.
    """
    return Probe(Recall, _RECALL.find(registry or default_registry(), path), is_error, results)


class _Recalls:
    """Series of the recalls by one path."""

    __slots__ = ("diversity", "durations", "empty", "registry", "results")
    metric = catalog.RECALL_DURATION

    def __init__(self, registry: Registry, path: str) -> None:
        self.registry = registry
        self.durations = Durations(registry, catalog.RECALL_DURATION, path=path)
        self.results = registry.histogram(catalog.RECALL_RESULTS, path=path)
        self.empty = registry.counter(catalog.RECALL_EMPTY, path=path)
        self.diversity: Histogram = registry.histogram(catalog.RECALL_DIVERSITY)

    def record(self, seconds: float, outcome: str) -> None:
        self.durations.record(seconds, outcome)


_RECALL = SeriesLookup("recall", catalog.RECALL_DURATION, ("path",), _Recalls)


class Recall(Operation[_Recalls]):
    """A recall; set `results` to the number of memories found, and `diversity` to their score, 0 to 1."""

    __slots__ = ("_count", "diversity", "results")

    def __init__(self, series: _Recalls, is_error: IsError | None, count: Callable[[Any], float] | None) -> None:
        super().__init__(series, is_error)
        self._count = count
        self.results: float | None = None
        self.diversity: float | None = None

    def returned(self, result: Any) -> Any:
        """Count the memories of the result."""
        if self._count is not None:
            try:
                self.results = self._count(result)
            except Exception as error:
                self.drop("callback", error, catalog.RECALL_RESULTS)
        return result

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._series.record(seconds, outcome)
        if self.results is not None:
            results = self.as_number(catalog.RECALL_RESULTS, self.results)
            if results is not None:
                self._series.results.observe(results)
                if results == 0:
                    self._series.empty.inc()
        if self.diversity is not None:
            self._series.diversity.observe(self.diversity)


def consolidation(
    *bare: Never, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[Consolidation]:
    """Record one consolidation run: duration, outcome, episodes processed and concepts formed.

    Args:
        bare: nothing; the parentheses in `@scope.consolidation()` are needed.
        is_error: returns whether an exception is a failure; by default each is.
        registry: where to record; the default registry if not given.
    """
    return Probe(Consolidation, _CONSOLIDATION.find(registry or default_registry(), *bare), is_error)


class _Consolidations:
    """Series of the consolidation runs."""

    __slots__ = ("concepts", "durations", "episodes", "registry")
    metric = catalog.CONSOLIDATION_DURATION

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.durations = Durations(registry, catalog.CONSOLIDATION_DURATION)
        self.episodes = registry.counter(catalog.CONSOLIDATION_EPISODES)
        self.concepts = registry.counter(catalog.CONCEPT_FORMED)

    def record(self, seconds: float, outcome: str) -> None:
        self.durations.record(seconds, outcome)


_CONSOLIDATION = SeriesLookup("consolidation", catalog.CONSOLIDATION_DURATION, (), _Consolidations)


class Consolidation(Operation[_Consolidations]):
    """A consolidation run; set, or add to, the numbers of `episodes` processed and `concepts` formed."""

    __slots__ = ("concepts", "episodes")

    def __init__(self, series: _Consolidations, is_error: IsError | None) -> None:
        super().__init__(series, is_error)
        self.episodes: float = 0
        self.concepts: float = 0

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._series.record(seconds, outcome)
        self._series.episodes.inc(self.episodes)
        self._series.concepts.inc(self.concepts)
