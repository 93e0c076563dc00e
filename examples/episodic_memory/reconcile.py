"""Reconciliation: compare the durable store with the index and the cache, count the differences, and repair them.

The durable store is right; the others are changed to match it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

import mnemoscope as scope
from mnemoscope import catalog as m

from .cache import EpisodeCache
from .index import VectorIndex
from .store import Store

# A completion is stored a moment before it is indexed; what is younger than this (seconds) may still be on its way.
_GRACE = 5.0


class Reconciler:
    """The comparison of the stores. They are in use meanwhile, so a difference in the cache counts if seen twice."""

    def __init__(self, store: Store, index: VectorIndex, cache: EpisodeCache, grace: float = _GRACE) -> None:
        self._store = store
        self._index = index
        self._cache = cache
        self._grace = grace

    def run(self) -> Counter[str]:
        """Compare and repair the stores once; return the number of differences by kind."""
        try:
            found = Counter(self._missing_in_index())
            found.update(self._left_over_in_index())
            found.update(self._wrong_in_cache())
        except Exception:
            scope.counter(m.STORAGE_RECONCILIATIONS, outcome="error").inc()
            raise
        for kind, count in found.items():
            scope.counter(m.STORAGE_DIVERGENCE, kind=kind).inc(count)
        scope.counter(m.STORAGE_RECONCILIATIONS, outcome="ok").inc()
        return found

    def _missing_in_index(self) -> Iterable[str]:
        settled = time.time() - self._grace
        missing = self._store.completed(before=settled) - self._index.keys()
        if not missing:
            return
        for id, completed, vector in self._store.vectors(completed_before=settled):
            if id in missing:
                self._index.add(id, vector, completed)
                yield "stored_not_indexed"

    def _left_over_in_index(self) -> Iterable[str]:
        indexed = self._index.keys()
        for id in indexed - self._store.completed(before=float("inf")):
            self._index.remove(id)
            yield "indexed_not_stored"

    def _wrong_in_cache(self) -> Iterable[str]:
        for id in self._differing() & self._differing():
            kind = "cached_not_durable" if self._store.load(id) is None else "durable_not_cached"
            self._cache.invalidate(id)
            yield kind

    def _differing(self) -> set[int]:
        """Return the cached episodes with another version than in the store, or that the store does not have."""
        cached = self._cache.versions()
        stored = self._store.versions()
        return {id for id, version in cached.items() if stored.get(id) != version}
