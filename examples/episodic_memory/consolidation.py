"""Consolidation: similar episodes become a concept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

import mnemoscope as scope
from mnemoscope import catalog as m

from .embedding import DIMENSIONS, Vector, unit
from .faults import FaultSwitches
from .model import Concept
from .semantic import QUALITY_LIMIT, SemanticMemory
from .store import Store

BATCH = 200
MAX_FAN = 10
"""Episodes that a concept may have; more would slow down every recall that activates it."""
# Above the limit of quality, so that a concept stays above it while it grows.
_JOIN = 0.7
_JOIN_ANYTHING = -1.0


@dataclass(slots=True)
class Cluster:
    """Vectors that belong together; `total` is their sum."""

    keys: list[int] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)
    total: Vector = field(default_factory=lambda: np.zeros(DIMENSIONS, np.float32))

    def add(self, key: int, vector: Vector) -> None:
        """Add a vector to the cluster."""
        self.keys.append(key)
        self.vectors.append(vector)
        self.total = self.total + vector

    @property
    def centroid(self) -> Vector:
        """The direction of the mean vector."""
        return unit(self.total)

    def concept(self, id: int) -> Concept:
        """Return the cluster as a concept: strength is a member's similarity to the centroid, quality their mean."""
        centroid = self.centroid
        strengths = [min(1.0, max(0.0, float(vector @ centroid))) for vector in self.vectors]
        return Concept(id, centroid, sum(strengths) / len(strengths), dict(zip(self.keys, strengths, strict=True)))


def cluster(episodes: Sequence[tuple[int, Vector]], join: float = _JOIN) -> list[Cluster]:
    """Group the episodes greedily, at most MAX_FAN each; one joins the nearest if their similarity reaches `join`."""
    groups: list[Cluster] = []
    for key, vector in episodes:
        open_groups = [group for group in groups if len(group.keys) < MAX_FAN]
        nearest = max(open_groups, key=lambda group: float(vector @ group.centroid), default=None)
        if nearest is None or float(vector @ nearest.centroid) < join:
            nearest = Cluster()
            groups.append(nearest)
        nearest.add(key, vector)
    return groups


class Consolidator:
    """The consolidation of one memory; one run at a time."""

    def __init__(self, store: Store, semantic: SemanticMemory, faults: FaultSwitches) -> None:
        self._store = store
        self._semantic = semantic
        self._faults = faults
        self._lock = scope.Lock("consolidation")

    def run(self) -> int:
        """Consolidate one batch of new episodes; return the number of concepts formed.

        Episodes that resemble an existing concept join it, others that resemble each other form a new one, and
        concepts of poor quality are dissolved, so the next run can group their episodes again.
        """
        with self._lock, scope.consolidation() as run:
            episodes = self._store.unconsidered(BATCH)
            self._faults.consolidation()
            careless = self._faults.current.low_concept_quality
            weak = [] if careless else [c.id for c in self._semantic.concepts.values() if c.quality < QUALITY_LIMIT]
            grown, alone = ({}, episodes) if careless else self._join(episodes, frozenset(weak))
            formed = list(self._form(alone, _JOIN_ANYTHING if careless else _JOIN))
            concepts = [*grown.values(), *formed]
            self._store.consolidate([id for id, _ in episodes], concepts, weak)
            self._semantic.change(concepts, weak)
            for concept in formed:
                scope.histogram(m.CONCEPT_QUALITY).observe(concept.quality)
            run.episodes, run.concepts = len(episodes), len(formed)
        return len(formed)

    def _join(
        self, episodes: Sequence[tuple[int, Vector]], weak: frozenset[int]
    ) -> tuple[dict[int, Concept], list[tuple[int, Vector]]]:
        """Return the concepts that took episodes in, and the episodes that joined none."""
        table = {id: concept for id, concept in self._semantic.concepts.items() if id not in weak}
        grown: dict[int, Concept] = {}
        alone: list[tuple[int, Vector]] = []
        for id, vector in episodes:
            nearest = [table[hit.key] for hit in self._semantic.nearest(vector, 3) if hit.key in table]
            home = next((c for c in nearest if float(vector @ c.centroid) >= _JOIN and len(c.members) < MAX_FAN), None)
            if home is None:
                alone.append((id, vector))
                continue
            strength = min(1.0, float(vector @ home.centroid))
            members = {**home.members, id: strength}
            grown[home.id] = table[home.id] = replace(
                home, members=members, quality=sum(members.values()) / len(members)
            )
        return grown, alone

    def _form(self, episodes: Sequence[tuple[int, Vector]], join: float) -> Iterator[Concept]:
        next_id = max(self._semantic.concepts, default=0) + 1
        groups = [group for group in cluster(episodes, join) if len(group.keys) > 1]
        for offset, group in enumerate(groups):
            yield group.concept(next_id + offset)
