"""Semantic memory: concepts, and the episodes associated with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import mnemoscope as scope
from mnemoscope import catalog as m

from .embedding import Vector
from .faults import FaultSwitches
from .index import CONCEPTS, Hit, VectorIndex
from .model import Concept

CHANGES = "concept_changes"
QUALITY_LIMIT = 0.65
_ACTIVE_CONCEPTS = 3
_ACTIVE_CONCEPTS_HIGH_FAN = 100
# Below this similarity a concept is unrelated to the query.
_MIN_SIMILARITY = 0.2
_FANS = ((20, "low"), (50, "medium"))


@dataclass(frozen=True, slots=True)
class Activation:
    """The result of a query: score by episode id, 0 to 1, and the number of associations visited."""

    scores: dict[int, float]
    fan: int


class SemanticMemory:
    """Concepts in memory, found through an index of their centroids.

    Recalls may read while a consolidation writes: the table of concepts is replaced, never changed.
    """

    def __init__(self, faults: FaultSwitches) -> None:
        self._faults = faults
        self._concepts: dict[int, Concept] = {}
        self._index = VectorIndex(CONCEPTS)
        self._changing = scope.RLock(CHANGES)
        scope.gauge(m.MEMORY_ITEMS, memory="semantic").set_function(lambda: len(self._concepts))
        scope.gauge(m.SEMANTIC_HEALTH).set_function(self.health)

    @property
    def concepts(self) -> dict[int, Concept]:
        """All concepts, by id."""
        return self._concepts

    def health(self) -> float:
        """Return the share of concepts whose quality reaches the limit; 1 if there is none yet."""
        concepts = self._concepts.values()
        return sum(c.quality >= QUALITY_LIMIT for c in concepts) / len(concepts) if concepts else 1.0

    def change(self, concepts: Iterable[Concept], dissolved: Iterable[int] = ()) -> None:
        """Add or replace concepts, and remove the dissolved ones."""
        with self._changing:
            table = dict(self._concepts)
            for id in dissolved:
                table.pop(id, None)
                self._index.remove(id)
            for concept in concepts:
                table[concept.id] = concept
                self._index.add(concept.id, concept.centroid)
            self._concepts = table

    def forget(self, episodes: Iterable[int]) -> None:
        """Remove episodes from their concepts, and concepts that have no episode left."""
        gone = set(episodes)
        with self._changing:
            hit = [concept for concept in self._concepts.values() if gone & concept.members.keys()]
            left = [replace(c, members={id: s for id, s in c.members.items() if id not in gone}) for c in hit]
            self.change([c for c in left if c.members], [c.id for c in left if not c.members])

    def nearest(self, vector: Vector, count: int) -> list[Hit]:
        """Return the concepts nearest to `vector`."""
        return self._index.search(vector, count)

    def activate(self, vector: Vector) -> Activation:
        """Spread activation from the concepts nearest to `vector` to their episodes."""
        count = _ACTIVE_CONCEPTS_HIGH_FAN if self._faults.current.high_fan else _ACTIVE_CONCEPTS
        least = 0.0 if self._faults.current.high_fan else _MIN_SIMILARITY
        table = self._concepts
        active = [
            (hit.similarity, table[hit.key])
            for hit in self.nearest(vector, count)
            if hit.similarity >= least and hit.key in table
        ]
        fan = sum(len(concept.members) for _, concept in active)
        scope.histogram(m.FAN_ASSOCIATIONS).observe(fan)
        scores: dict[int, float] = {}
        with scope.timed(m.FAN_RECALL_DURATION, fan=_size(fan)):
            for similarity, concept in active:
                for episode, strength in concept.members.items():
                    scores[episode] = max(scores.get(episode, 0.0), similarity * strength)
        return Activation(scores, fan)


def _size(fan: int) -> str:
    return next((name for bound, name in _FANS if fan <= bound), "high")
