"""The agent memory itself: what the HTTP API offers, as plain blocking calls."""

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
        StartError: the data folder holds something that it cannot open.
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
        """Opens an episode."""
        self.limits.check_new(description, tags)
        self._quota.take(user)
        episode = self._store.create(user, description, tags)
        scope.counter(m.EPISODE_CREATED).inc()
        self._cache.put(episode)
        return episode

    def get(self, id: int) -> Episode:
        """The episode.

        Raises:
            NotFound: there is none.
        """
        episode = self._fetch(id)
        if episode is None:
            raise NotFound(f"no episode {id}")
        return episode

    @scope.timed(m.EPISODE_STEP_FLUSH_DURATION)
    def append(self, id: int, steps: Sequence[Step]) -> Episode:
        """Appends steps to an open episode, all or none.

        Raises:
            NotFound: there is no such episode.
            Conflict: it is completed, or others keep changing it.
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
        """Completes an episode: learns from its steps, stores it and makes it recallable.

        Raises:
            NotFound: there is no such episode.
            Conflict: it is completed already, or others keep changing it.
            Unavailable: the index refused it; the episode is open again.
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
        """At most `count` memories that the query brings to mind, best first.

        Who is not in the cohort of dual memory is answered from episodic memory alone.
        """
        found = self._recall(query, path if self.config.in_cohort(user) else "flat", count)
        # Statistics of use are not worth failing a recall for.
        with suppress(sqlite3.Error, Unavailable):
            self._store.note_recalled([memory.episode.id for memory in found])
        return found

    # What operators do ----------------------------------------------------------------------------

    def consolidate(self) -> int:
        """Runs consolidation; returns the number of concepts formed."""
        return self._consolidator.run()

    def reconcile(self) -> dict[str, int]:
        """Checks the file, compares the stores and mends what differs; returns how much of what was found."""
        return {"corruption": self._database.check(), **self._reconciler.run()}

    def backup(self) -> str:
        """Takes a backup and returns where it is kept."""
        return str(self._backups.run())

    def expire(self) -> int:
        """Forgets the oldest episodes beyond what is to be retained, then compacts the file; returns how many."""
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
        """Updates the gauges that cost too much to compute at each scrape."""
        self._database.measure()

    def stats(self) -> dict[str, Any]:
        """A summary for people."""
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
        """Fills the indexes and the cache from the durable store, and an empty store from the corpus.

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
        # Only now, so that a service with faults still comes up to show them.
        self.faults.current = self.config.faults

    def close(self) -> None:
        """Writes everything back. Call it when no request is left."""
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
        """The store refused a change because what was read, from the cache it must be, is out of date."""
        scope.counter(m.CACHE_STALE_READS, cache=CACHE).inc()
        self._cache.invalidate(id)

    def _compensate(self, id: int) -> None:
        """Takes the stored completion back, so that nothing is stored that recall cannot find."""
        try:
            self._store.reopen(id)
        except (sqlite3.Error, Unavailable):
            # Reconciliation will find it stored but not indexed.
            scope.counter(m.STORAGE_COMPENSATIONS, backend=BACKEND, outcome="error").inc()
        else:
            scope.counter(m.STORAGE_COMPENSATIONS, backend=BACKEND, outcome="ok").inc()
