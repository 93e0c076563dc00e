"""The durable store: episodes, steps, concepts, associations and heuristics.

Each operation is one transaction behind the circuit breaker, and one event of the storage metrics. A missing episode is
no error of the store: the operation returns None.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

import mnemoscope as scope

from .breaker import CircuitBreaker, guarded
from .database import BACKEND, Database
from .embedding import Vector
from .model import Concept, Episode, Step

_COLUMNS = "id, user, description, tags, state, outcome, created, version, steps, size"

# Consolidation runs that consider an episode before they leave it alone; also the mark of an episode with a concept.
_LOOKS = 10


@dataclass(frozen=True, slots=True)
class Heuristic:
    """A pattern, the strategy that found it, and how often it led to success and to failure."""

    strategy: str
    pattern: str
    successes: int
    failures: int


class Store:
    """Episodes and concepts in one Database. Every method may raise sqlite3.Error or Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def breaker(self) -> CircuitBreaker:
        """The database's breaker, for `guarded`."""
        return self._database.breaker

    # Episodes -------------------------------------------------------------------------------------

    @guarded
    @scope.storage(BACKEND, "store_episode")
    def create(self, user: str, description: str, tags: Iterable[str]) -> Episode:
        """Store a new, open episode."""
        size = len(description.encode())
        with self._database.write() as db:
            row = db.execute(
                f"INSERT INTO episodes (user, description, tags, state, created, size) VALUES (?, ?, ?, 'open', ?, ?)"
                f" RETURNING {_COLUMNS}",
                (user, description, json.dumps(list(tags)), time.time(), size),
            ).fetchone()
        return _episode(row)

    @guarded
    @scope.storage(BACKEND, "load_episode")
    def load(self, id: int) -> Episode | None:
        """Return the episode, or None."""
        with self._database.read() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM episodes WHERE id = ?", (id,)).fetchone()
        return _episode(row) if row else None

    @guarded
    @scope.storage(BACKEND, "load_steps")
    def load_steps(self, id: int) -> list[Step]:
        """Return the steps of an episode, in order."""
        with self._database.read() as db:
            rows = db.execute("SELECT tool, action, observation FROM steps WHERE episode = ? ORDER BY position", (id,))
            return [Step(*row) for row in rows]

    @guarded
    @scope.storage(BACKEND, "append_steps")
    def append(self, episode: Episode, steps: Sequence[Step]) -> Episode | None:
        """Append to an open episode; write nothing and return None if `episode` is not its latest version."""
        with self._database.write() as db:
            row = db.execute(
                "UPDATE episodes SET version = version + 1, steps = steps + ?, size = size + ?"
                f" WHERE id = ? AND version = ? AND state = 'open' RETURNING {_COLUMNS}",
                (len(steps), sum(step.size for step in steps), episode.id, episode.version),
            ).fetchone()
            if row:
                db.executemany(
                    "INSERT INTO steps VALUES (?, ?, ?, ?, ?)",
                    [(episode.id, episode.steps + n, s.tool, s.action, s.observation) for n, s in enumerate(steps)],
                )
        return _episode(row) if row else None

    @guarded
    @scope.storage(BACKEND, "complete_episode")
    def complete(
        self,
        episode: Episode,
        outcome: str,
        artifacts: dict[str, str],
        vector: Vector,
        patterns: Iterable[tuple[str, str]],
    ) -> int | None:
        """Complete an open episode and store its patterns.

        Returns the number of heuristics changed, or None if `episode` is not its latest version.
        """
        size = sum(len(content.encode()) for content in artifacts.values())
        with self._database.write() as db:
            changed = db.execute(
                "UPDATE episodes SET version = version + 1, state = 'completed', outcome = ?, completed = ?,"
                " vector = ?, size = size + ? WHERE id = ? AND version = ? AND state = 'open'",
                (outcome, time.time(), vector.tobytes(), size, episode.id, episode.version),
            ).rowcount
            if not changed:
                return None
            db.executemany(
                "INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?)",
                [(episode.id, name, content) for name, content in artifacts.items()],
            )
            success = outcome == "success"
            rows = [(strategy, pattern, int(success), int(not success)) for strategy, pattern in patterns]
            db.executemany(
                "INSERT INTO heuristics VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET successes = successes + excluded.successes, failures = failures + excluded.failures",
                rows,
            )
        return len(rows)

    @guarded
    @scope.storage(BACKEND, "reopen_episode")
    def reopen(self, id: int) -> None:
        """Undo a completion, because the step after it failed."""
        with self._database.write() as db:
            db.execute(
                "UPDATE episodes SET version = version + 1, state = 'open', outcome = '', completed = NULL,"
                " vector = NULL WHERE id = ?",
                (id,),
            )

    @guarded
    @scope.storage(BACKEND, "delete_episodes")
    def delete(self, ids: Iterable[int]) -> None:
        """Delete episodes, and concepts that have no episode left."""
        with self._database.write() as db:
            db.executemany("DELETE FROM episodes WHERE id = ?", [(id,) for id in ids])
            db.execute("DELETE FROM concepts WHERE id NOT IN (SELECT concept FROM associations)")

    @guarded
    @scope.storage(BACKEND, "list_oldest")
    def oldest(self, beyond: int) -> list[int]:
        """Return the completed episodes that are older than the `beyond` latest."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT id FROM episodes WHERE state = 'completed' ORDER BY id DESC LIMIT -1 OFFSET ?", (beyond,)
            )
            return [row[0] for row in rows]

    @guarded
    @scope.storage(BACKEND, "list_versions")
    def versions(self) -> dict[int, int]:
        """Return the version of every episode."""
        with self._database.read() as db:
            return dict(db.execute("SELECT id, version FROM episodes"))

    @guarded
    @scope.storage(BACKEND, "list_vectors")
    def vectors(self, completed_before: float) -> list[tuple[int, float, Vector]]:
        """Return id, time of completion and vector of every episode completed before that Unix time."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT id, completed, vector FROM episodes WHERE state = 'completed' AND completed < ? ORDER BY id",
                (completed_before,),
            )
            return [(id, completed, np.frombuffer(vector, np.float32)) for id, completed, vector in rows]

    @guarded
    @scope.storage(BACKEND, "list_completed")
    def completed(self, before: float) -> set[int]:
        """Return every episode that was completed before that Unix time."""
        with self._database.read() as db:
            rows = db.execute("SELECT id FROM episodes WHERE state = 'completed' AND completed < ?", (before,))
            return {row[0] for row in rows}

    @guarded
    @scope.storage(BACKEND, "list_latest")
    def latest(self, count: int) -> list[Episode]:
        """Return the latest episodes, oldest first."""
        with self._database.read() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM episodes ORDER BY id DESC LIMIT ?", (count,)).fetchall()
        return [_episode(row) for row in reversed(rows)]

    @guarded
    @scope.storage(BACKEND, "note_recalled")
    def note_recalled(self, ids: Sequence[int]) -> None:
        """Count a recall of these episodes without waiting; while a writer is busy, the write is deferred."""
        self._database.write_soon(
            lambda db: db.executemany("UPDATE episodes SET recalled = recalled + 1 WHERE id = ?", [(id,) for id in ids])
        )

    # Semantic memory ------------------------------------------------------------------------------

    @guarded
    @scope.storage(BACKEND, "list_unconsidered")
    def unconsidered(self, count: int) -> list[tuple[int, Vector]]:
        """Return id and vector of completed episodes that no consolidation has placed yet, oldest first."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT id, vector FROM episodes WHERE state = 'completed' AND considered < ? ORDER BY id LIMIT ?",
                (_LOOKS, count),
            )
            return [(id, np.frombuffer(vector, np.float32)) for id, vector in rows]

    @guarded
    @scope.storage(BACKEND, "store_concepts")
    def consolidate(self, considered: Iterable[int], concepts: Iterable[Concept], dissolved: Iterable[int]) -> None:
        """Store the result of one consolidation run in one transaction.

        Members of dissolved concepts are considered anew by the next run; an episode that found no place waits some
        more runs for another like it.
        """
        with self._database.write() as db:
            for id in dissolved:
                db.execute(
                    "UPDATE episodes SET considered = 0"
                    " WHERE id IN (SELECT episode FROM associations WHERE concept = ?)",
                    (id,),
                )
                db.execute("DELETE FROM concepts WHERE id = ?", (id,))
            looked_at = [(id,) for id in considered]
            db.executemany("UPDATE episodes SET considered = considered + 1 WHERE id = ?", looked_at)
            for concept in concepts:
                db.execute(
                    "INSERT INTO concepts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET centroid = excluded.centroid, quality = excluded.quality",
                    (concept.id, concept.centroid.tobytes(), concept.quality, time.time()),
                )
                db.executemany(
                    "UPDATE episodes SET considered = ? WHERE id = ?", [(_LOOKS, id) for id in concept.members]
                )
                # An episode may have been forgotten since the run read it.
                db.executemany(
                    "INSERT OR REPLACE INTO associations SELECT ?, id, ? FROM episodes WHERE id = ?",
                    [(concept.id, strength, episode) for episode, strength in concept.members.items()],
                )

    @guarded
    @scope.storage(BACKEND, "list_concepts")
    def concepts(self) -> list[Concept]:
        """Return every concept with its members."""
        with self._database.read() as db:
            found: dict[int, Concept] = {}
            for id, centroid, quality, episode, strength in db.execute(
                "SELECT id, centroid, quality, episode, strength"
                " FROM concepts JOIN associations ON concept = id ORDER BY id"
            ):
                concept = found.setdefault(id, Concept(id, np.frombuffer(centroid, np.float32), quality, {}))
                concept.members[episode] = strength
        return list(found.values())

    @guarded
    @scope.storage(BACKEND, "list_heuristics")
    def heuristics(self, count: int) -> list[Heuristic]:
        """Return the heuristics with the most evidence."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT strategy, pattern, successes, failures FROM heuristics"
                " ORDER BY successes + failures DESC, pattern LIMIT ?",
                (count,),
            )
            return [Heuristic(*row) for row in rows]


def _episode(row: sqlite3.Row | tuple[object, ...]) -> Episode:
    fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
    return Episode(**{**fields, "tags": tuple(json.loads(str(fields["tags"])))})
