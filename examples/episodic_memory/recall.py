"""Recall: flat (episodes similar to the query), hierarchical (concepts first), blended (both, weighted)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Literal, get_args

import mnemoscope as scope
from mnemoscope import catalog as m

from .embedding import Vector, diversity, embed
from .faults import FaultSwitches
from .index import VectorIndex
from .model import Episode, Memory
from .semantic import SemanticMemory

Path = Literal["hierarchical", "flat", "blended"]
PATHS: tuple[Path, ...] = get_args(Path)


@dataclass(frozen=True, slots=True)
class Blend:
    """How blended recall weighs the two memories, and how long (seconds) it waits for the semantic one."""

    episodic: float = 0.7
    semantic: float = 0.3
    semantic_timeout: float = 0.1


class Recall:
    """The three ways of recall. `fetch` returns an episode by its id, or None if it was deleted."""

    def __init__(
        self,
        index: VectorIndex,
        semantic: SemanticMemory,
        fetch: Callable[[int], Episode | None],
        faults: FaultSwitches,
        blend: Blend,
    ) -> None:
        self._index = index
        self._semantic = semantic
        self._fetch = fetch
        self._faults = faults
        self._blend = blend
        self._executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="semantic")
        self._paths: Mapping[Path, Callable[[Vector, int], dict[int, float]]] = {
            "hierarchical": self._hierarchical,
            "flat": self._flat,
            "blended": self._blended,
        }

    def __call__(self, query: str, path: Path, count: int) -> list[Memory]:
        """Return at most `count` memories that match `query`, best first."""
        with scope.recall(path) as operation:
            self._faults.slow_canary()
            scores = self._paths[path](embed(query), count)
            best = sorted(scores, key=lambda id: (-scores[id], id))[:count]
            found = [Memory(episode, scores[id]) for id in best if (episode := self._fetch(id)) is not None]
            operation.results = len(found)
            if found:
                operation.diversity = diversity(self._index.vectors([memory.episode.id for memory in found]))
        return found

    def close(self) -> None:
        """End the threads of semantic recall."""
        self._executor.shutdown(cancel_futures=True)

    def _flat(self, vector: Vector, count: int) -> dict[int, float]:
        self._faults.recall()
        return {hit.key: hit.score for hit in self._index.search(vector, count)}

    def _by_concept(self, vector: Vector) -> dict[int, float]:
        # Twice: once for the concepts and once for their episodes.
        self._faults.recall()
        self._faults.recall()
        return self._semantic.activate(vector).scores

    def _hierarchical(self, vector: Vector, count: int) -> dict[int, float]:
        scores = self._by_concept(vector)
        if scores:
            return scores
        # No concept is near the query: a flat answer is better than none.
        scope.counter(m.RECALL_FALLBACKS).inc()
        return self._flat(vector, count)

    def _blended(self, vector: Vector, count: int) -> dict[int, float]:
        deadline = monotonic() + self._blend.semantic_timeout
        pending = self._executor.submit(self._by_concept, vector)
        # Twice as many candidates as requested, because semantic memory can raise the rank of one.
        scores = {id: self._blend.episodic * score for id, score in self._flat(vector, 2 * count).items()}
        try:
            semantic = pending.result(timeout=max(0.0, deadline - monotonic()))
        except TimeoutError:
            pending.cancel()
            scope.counter(m.MEMORY_SEMANTIC_TIMEOUTS).inc()
            return scores
        for id, score in semantic.items():
            scores[id] = scores.get(id, 0.0) + self._blend.semantic * score
        return scores
