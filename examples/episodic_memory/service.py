"""The agent memory: the operations of the HTTP API as plain blocking calls."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Literal

import mnemoscope as scope
from mnemoscope import catalog as m

from .backup import Backups
from .cache import CACHE, EpisodeCache
from .config import Config
from .consolidation import Consolidator
from .corpus import seed
from .database import BACKEND, Database
from .embedding import embed
from .errors import Conflict, NotFound, Unavailable
from .faults import Faults, FaultSwitches
from .index import EPISODES, VectorIndex
from .limits import DailyQuota, Limits
from .model import Episode, Memory, Step
from .patterns import extract
from .recall import Path, Recall
from .reconcile import Reconciler
from .semantic import SemanticMemory
from .store import Store

Outcome = Literal["success", "failure"]
Progress = Callable[[float], None]
_ATTEMPTS = 3
_WARM = 1_000


class EpisodicMemory:
    """Episodic and semantic memory over one data folder. Every method may be called from any thread.

    Raises:
        StartError: a store in the data folder cannot be opened.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.faults = FaultSwitches(Faults(), canary=config.track == "canary")
        self.limits = Limits()
        self._quota = DailyQuota(config.episodes_per_day)
        self._database = Database(config.data / "memory.sqlite", self.faults, connections=config.connections)
        self._store = Store(self._database)
        self._cache = EpisodeCache(config.data / "cache", config.cache_bytes, self.faults)
        self._index = VectorIndex(EPISODES, self.faults)
        self._semantic = SemanticMemory(self.faults)
        self._consolidator = Consolidator(self._store, self._semantic, self.faults)
        self._reconciler = Reconciler(self._store, self._index, self._cache)
        self._backups = Backups(self._database, config.data / "backups")
        self._recall = Recall(self._index, self._semantic, self._fetch, self.faults, config.blend)
        scope.gauge(m.MEMORY_ITEMS, memory="episodic").set_function(lambda: len(self._index))

    # What agents do -------------------------------------------------------------------------------

    def create(self, user: str, description: str, tags: Sequence[str]) -> Episode:
        """Create an open episode."""
        self.limits.check_new(description, tags)
        self._quota.take(user)
        episode = self._store.create(user, description, tags)
        scope.counter(m.EPISODE_CREATED).inc()
        self._cache.put(episode)
        return episode

    def get(self, id: int) -> Episode:
        """Return the episode.

        Raises:
            NotFound: there is none.
        """
        episode = self._fetch(id)
        if episode is None:
            raise NotFound(f"no episode {id}")
        return episode

    @scope.timed(m.EPISODE_STEP_FLUSH_DURATION)
    def append(self, id: int, steps: Sequence[Step]) -> Episode:
        """Append steps to an open episode, all or none.

        Raises:
            NotFound: there is no such episode.
            Conflict: it is completed, or concurrent changes keep coming.
        """
        scope.histogram(m.EPISODE_STEP_BATCH_SIZE).observe(len(steps))
        for _ in range(_ATTEMPTS):
            episode = self._open(id)
            self.limits.check_steps(episode, steps)
            changed = self._store.append(episode, steps)
            if changed is not None:
                self._cache.put(changed)
                return changed
            self._drop_stale(id)
        raise Conflict(f"episode {id} changed while steps were appended; try again")

    def complete(self, id: int, outcome: Outcome, artifacts: dict[str, str]) -> Episode:
        """Complete an episode: extract its patterns, store it and add it to the index.

        Raises:
            NotFound: there is no such episode.
            Conflict: it is completed already, or concurrent changes keep coming.
            Unavailable: the index write failed; the episode is open again.
        """
        self.faults.slow_canary()
        for _ in range(_ATTEMPTS):
            episode = self._open(id)
            self.limits.check_artifacts(episode, artifacts.values())
            steps = self._store.load_steps(id)
            vector = embed(" ".join([episode.description, *episode.tags, *(step.observation for step in steps)]))
            heuristics = self._store.complete(episode, outcome, artifacts, vector, extract(steps))
            if heuristics is not None:
                break
            self._drop_stale(id)
        else:
            raise Conflict(f"episode {id} changed while it was completed; try again")
        try:
            self._index.add(id, vector)
        except OSError as error:
            scope.counter(m.INDEX_MISSING, index=EPISODES).inc()
            self._compensate(id)
            raise Unavailable(f"episode {id} could not be indexed: {error}") from error
        finally:
            self._cache.invalidate(id)
        scope.counter(m.PATTERN_HEURISTICS_UPDATED).inc(heuristics)
        return self.get(id)

    def recall(self, query: str, path: Path, count: int, user: str = "") -> list[Memory]:
        """Return at most `count` memories that match the query, best first.

        A user outside the cohort of dual memory gets flat recall.
        """
        found = self._recall(query, path if self.config.in_cohort(user) else "flat", count)
        # A recall must not fail because its statistics could not be stored.
        with suppress(sqlite3.Error, Unavailable):
            self._store.note_recalled([memory.episode.id for memory in found])
        return found

    # What operators do ----------------------------------------------------------------------------

    def consolidate(self) -> int:
        """Run consolidation; return the number of concepts formed."""
        return self._consolidator.run()

    def reconcile(self) -> dict[str, int]:
        """Check the file, compare and repair the stores; return the number of findings by kind."""
        return {"corruption": self._database.check(), **self._reconciler.run()}

    def backup(self) -> str:
        """Take a backup and return its path."""
        return str(self._backups.run())

    def expire(self) -> int:
        """Delete the oldest episodes beyond `retain_episodes`, compact the file, and return the number deleted."""
        ids = self._store.oldest(beyond=self.config.retain_episodes)
        for id in ids:
            self._index.remove(id)
            self._cache.invalidate(id)
        if ids:
            self._store.delete(ids)
            self._semantic.forget(ids)
        self._database.compact()
        return len(ids)

    def measure(self) -> None:
        """Update the gauges that are too costly to compute at each scrape."""
        self._database.measure()

    def stats(self) -> dict[str, Any]:
        """Return a summary for people."""
        return {
            "episodes": len(self._index),
            "concepts": len(self._semantic.concepts),
            "semantic_health": self._semantic.health(),
            "circuit": self._database.breaker.state,
            "heuristics": [asdict(heuristic) for heuristic in self._store.heuristics(10)],
            "backups": len(self._backups.kept()),
        }

    # Start and end --------------------------------------------------------------------------------

    def load(self, progress: Progress) -> None:
        """Fill the indexes and the cache from the durable store, and an empty store from the corpus.

        `progress` is called with the share done, 0 to 1.
        """
        stored = self._store.vectors(completed_before=float("inf"))
        for done, (id, completed, vector) in enumerate(stored):
            self._index.add(id, vector, completed)
            progress(done / len(stored) * 0.8)
        self._semantic.change(self._store.concepts())
        for episode in self._store.latest(_WARM):
            self._cache.put(episode)
        if not stored:
            for share in seed(self, self.config.seed_episodes):
                progress(share * 0.8)
        self.consolidate()
        self.measure()
        progress(1.0)
        # Set last, because a fault could keep the service from starting.
        self.faults.current = self.config.faults

    def close(self) -> None:
        """Write everything back; call it when no request is in flight."""
        self._recall.close()
        self._cache.close()
        self._database.close()

    # Inside ---------------------------------------------------------------------------------------

    def _fetch(self, id: int) -> Episode | None:
        cached = self._cache.get(id)
        if cached is not None:
            return cached
        stored = self._store.load(id)
        if stored is not None:
            self._cache.put(stored)
        return stored

    def _open(self, id: int) -> Episode:
        episode = self.get(id)
        if episode.state != "open":
            raise Conflict(f"episode {id} is completed")
        return episode

    def _drop_stale(self, id: int) -> None:
        """Drop a cached episode that is out of date, as a refused change of the store has shown."""
        scope.counter(m.CACHE_STALE_READS, cache=CACHE).inc()
        self._cache.invalidate(id)

    def _compensate(self, id: int) -> None:
        """Reopen the stored episode, so that every completed episode can be recalled."""
        try:
            self._store.reopen(id)
        except (sqlite3.Error, Unavailable):
            # Reconciliation will find it stored but not indexed.
            scope.counter(m.STORAGE_COMPENSATIONS, backend=BACKEND, outcome="error").inc()
        else:
            scope.counter(m.STORAGE_COMPENSATIONS, backend=BACKEND, outcome="ok").inc()
