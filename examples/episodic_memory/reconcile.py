"""Reconciliation: compare the durable store with the index and the cache, count what differs, and mend it.

The durable store is right; the others are brought in line with it.
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
    """Compares the three stores while they are in use, and so looks twice before it calls something a difference."""

    def __init__(self, store: Store, index: VectorIndex, cache: EpisodeCache, grace: float = _GRACE) -> None:
        self._store = store
        self._index = index
        self._cache = cache
        self._grace = grace

    def run(self) -> Counter[str]:
        """One run; returns how many differences of each kind it found and mended."""
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
        """Episodes that the cache has in another version than the store, or that the store does not have."""
        cached = self._cache.versions()
        stored = self._store.versions()
        return {id for id, version in cached.items() if stored.get(id) != version}
