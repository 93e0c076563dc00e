"""The probe of cache lookups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import catalog
from ..default import default_registry
from ..recording.registry import Registry
from ..recording.series_lookup import SeriesLookup
from .operation import OK, Operation, Probe


def found(result: Any) -> bool:
    """Return whether a lookup's result is a hit by default: any result except None."""
    return result is not None


IsHit = Callable[[Any], bool]


def cache_lookup(cache: str, *, is_hit: IsHit = found, registry: Registry | None = None) -> Probe[CacheLookup]:
    """Record one lookup in `cache`: its duration, and whether it hit. Queries compute the ratio from the counts.

    In a block: `with cache_lookup("redb") as lookup: lookup.hit = (value := cache.get(key)) is not None`.

    Args:
        cache: name of the cache or its backend.
        is_hit: for a decorated lookup, returns whether a result is a hit; by default, whether it is not None.
        registry: where to record; the default registry if not given.
    """
    return Probe(CacheLookup, _CACHE_LOOKUP.find(registry or default_registry(), cache), is_hit)


class _CacheLookups:
    """Series of the lookups in one cache."""

    __slots__ = ("by_result", "duration", "registry")
    metric = catalog.CACHE_LOOKUPS

    def __init__(self, registry: Registry, cache: str) -> None:
        self.registry = registry
        self.by_result = {
            result: registry.counter(catalog.CACHE_LOOKUPS, cache=cache, result=result)
            for result in catalog.CACHE_LOOKUPS.label("result").values
        }
        self.duration = registry.histogram(catalog.CACHE_LOOKUP_DURATION, cache=cache)

    def record(self, seconds: float, outcome: str) -> None:
        self.duration.observe(seconds)


_CACHE_LOOKUP = SeriesLookup("cache_lookup", catalog.CACHE_LOOKUPS, ("cache",), _CacheLookups)


class CacheLookup(Operation[_CacheLookups]):
    """A cache lookup; set `hit` before its end. An unset `hit` counts as a miss, an exception as an error."""

    __slots__ = ("_is_hit", "hit")

    def __init__(self, series: _CacheLookups, is_hit: IsHit) -> None:
        super().__init__(series)
        self._is_hit = is_hit
        self.hit = False

    def returned(self, result: Any) -> Any:
        """Set `hit` from the result of a decorated lookup."""
        try:
            self.hit = self._is_hit(result)
        except Exception as error:
            self.drop("callback", error)
        return result

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._series.record(seconds, outcome)
        if outcome != OK:
            self._series.by_result["error"].inc()
            return
        try:
            hit = bool(self.hit)
        except Exception:  # an array, say
            self.drop("wrong_type", self.hit)
            return
        self._series.by_result["hit" if hit else "miss"].inc()
