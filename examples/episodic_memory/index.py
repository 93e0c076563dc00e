"""A vector index over usearch's HNSW graph, with the time of each entry."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from usearch.index import Index

import mnemoscope as scope
from mnemoscope import catalog as m

from .embedding import DIMENSIONS, Vector
from .faults import Faults, FaultSwitches

EPISODES = "spatiotemporal"
CONCEPTS = "concepts"
_RECENCY_WEIGHT = 0.1
_HALF_LIFE = 86_400.0


class Hit(NamedTuple):
    """An entry near the query: `similarity` is the cosine, `score` also includes recency; both 0 to 1."""

    key: int
    similarity: float
    score: float


class VectorIndex:
    """Vectors by key.

    Many threads can read concurrently, but none while an entry is written: usearch may grow and move its memory then.
    A failed write poisons the lock. The next thread that takes the lock removes the half-written entry.
    """

    def __init__(self, name: str, faults: FaultSwitches | None = None) -> None:
        self._faults = faults or FaultSwitches(Faults())
        self._lock = scope.RWLock(name, poison=True)
        self._write = scope.index_write(index=name)
        self._search = scope.vector_search(index=name)
        self._times: dict[int, float] = {}
        self._half_written: int | None = None
        self._index = Index(ndim=DIMENSIONS, metric="cos", dtype="f32")
        scope.gauge(m.INDEX_ENTRIES, index=name).set_function(lambda: len(self._times))
        scope.gauge(m.INDEX_MEMORY, index=name).set_function(lambda: self._index.memory_usage)

    def __len__(self) -> int:
        return len(self._times)

    def add(self, key: int, vector: Vector, when: float | None = None) -> None:
        """Add or replace an entry; `when` is its Unix time, by default now.

        Raises:
            OSError: the write failed; the index has no entry for this key then.
        """
        with self._writing(), self._write:
            self._half_written = key
            if key in self._times:
                self._index.remove(key)
            self._index.add(key, vector, threads=1)
            self._faults.index_write()
            self._times[key] = time.time() if when is None else when
            self._half_written = None

    def remove(self, key: int) -> None:
        """Remove an entry; do nothing if there is none."""
        with self._writing():
            if self._times.pop(key, None) is not None:
                self._index.remove(key)

    def search(self, vector: Vector, count: int) -> list[Hit]:
        """Return at most `count` entries, best score first."""
        if not vector.any() or count < 1:
            return []
        with self._reading(), self._search:
            # Twice as many, so that a recent entry can overtake one that is a little nearer.
            found = self._index.search(vector, 2 * count, threads=1)
            now = time.time()
            hits = [
                self._hit(int(key), 1 - float(distance), now)
                for key, distance in zip(found.keys, found.distances, strict=True)
            ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.key))[:count]

    def vectors(self, keys: Sequence[int]) -> Vector:
        """Return the vectors of these entries as rows; unknown keys are left out."""
        with self._reading():
            rows = [self._index.get(key) for key in keys if key in self._times]
        return np.array(rows, np.float32).reshape(len(rows), DIMENSIONS)

    def keys(self) -> set[int]:
        """Return the key of every entry."""
        with self._reading():
            return set(self._times)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        while True:
            with self._lock.read():
                if not self._lock.poisoned:
                    yield
                    self._faults.linger()
                    return
            # A reader cannot repair the index, so it takes the write lock, then reads again.
            with self._writing():
                pass

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock.write():
            if self._lock.poisoned:
                self._remove_half_written()
                self._lock.recover()
            yield
            self._faults.linger()

    def _remove_half_written(self) -> None:
        """Remove what was written of a half-written entry."""
        key = self._half_written
        if key is not None:
            self._times.pop(key, None)
            if key in self._index:
                self._index.remove(key)
        self._half_written = None

    def _hit(self, key: int, cosine: float, now: float) -> Hit:
        similarity = min(1.0, max(0.0, cosine))
        recency = 2 ** (-max(0.0, now - self._times[key]) / _HALF_LIFE)
        return Hit(key, similarity, (1 - _RECENCY_WEIGHT) * similarity + _RECENCY_WEIGHT * recency)
