"""The SQLite file: opening, transactions and maintenance. The queries are in `store.py`."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mnemoscope as scope
from mnemoscope import catalog as m

from .breaker import CircuitBreaker, guarded
from .errors import StartError, Unavailable
from .faults import FaultSwitches
from .pool import ConnectionPool

BACKEND = "sqlite"
WRITER_LOCK = "episodes"
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS episodes (
    id INTEGER PRIMARY KEY, user TEXT NOT NULL, description TEXT NOT NULL, tags TEXT NOT NULL,
    state TEXT NOT NULL, outcome TEXT NOT NULL DEFAULT '', created REAL NOT NULL, completed REAL,
    version INTEGER NOT NULL DEFAULT 1, steps INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL,
    vector BLOB, considered INTEGER NOT NULL DEFAULT 0, recalled INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS episodes_by_state ON episodes (state, considered, id);
CREATE TABLE IF NOT EXISTS steps (
    episode INTEGER NOT NULL REFERENCES episodes ON DELETE CASCADE, position INTEGER NOT NULL,
    tool TEXT NOT NULL, action TEXT NOT NULL, observation TEXT NOT NULL,
    PRIMARY KEY (episode, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS artifacts (
    episode INTEGER NOT NULL REFERENCES episodes ON DELETE CASCADE, name TEXT NOT NULL, content TEXT NOT NULL,
    PRIMARY KEY (episode, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS concepts (
    id INTEGER PRIMARY KEY, centroid BLOB NOT NULL, quality REAL NOT NULL, formed REAL NOT NULL);
CREATE TABLE IF NOT EXISTS associations (
    concept INTEGER NOT NULL REFERENCES concepts ON DELETE CASCADE,
    episode INTEGER NOT NULL REFERENCES episodes ON DELETE CASCADE, strength REAL NOT NULL,
    PRIMARY KEY (concept, episode)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS associations_by_episode ON associations (episode);
CREATE TABLE IF NOT EXISTS heuristics (
    strategy TEXT NOT NULL, pattern TEXT NOT NULL, successes INTEGER NOT NULL, failures INTEGER NOT NULL,
    PRIMARY KEY (strategy, pattern)) WITHOUT ROWID;
"""
_COMPACT_PAGES = 256
_MOST_DEFERRED = 10_000
_log = logging.getLogger(__name__)


class Database:
    """One SQLite file in WAL mode: many readers, one writer.

    Raises:
        StartError: the file is not a database, is damaged, or was written by a newer version.
    """

    def __init__(self, path: Path, faults: FaultSwitches, *, connections: int, writer_timeout: float = 10.0) -> None:
        self.path = path
        self.breaker = CircuitBreaker(BACKEND, failure=sqlite3.Error)
        self._writer = scope.Lock(WRITER_LOCK)
        self._deferred = scope.DeferredWrites(self._writer, limit=_MOST_DEFERRED, on_error=_give_up)
        self._wal = path.with_name(path.name + "-wal")
        self._faults = faults
        self._writer_timeout = writer_timeout
        self._corrupt = scope.counter(m.STORAGE_CORRUPTION, backend=BACKEND)
        self._pool = ConnectionPool(BACKEND, self.connect, limit=connections)
        self._open()
        scope.gauge(m.STORAGE_WAL_SIZE, backend=BACKEND).set_function(self._wal_size)
        scope.gauge(m.STORAGE_WAL_FILES, backend=BACKEND).set_function(lambda: int(self._wal.exists()))

    def connect(self) -> sqlite3.Connection:
        """Return a new connection; use `read` and `write` for ordinary work."""
        connection = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
        # In WAL mode NORMAL cannot corrupt the file; a power cut may take the last transactions.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for reading."""
        with self._pool.connection() as connection:
            self._faults.storage()
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction: it commits at the end of the block, and rolls back if the block raises."""
        if not self._writer.acquire(timeout=self._writer_timeout):
            raise Unavailable(f"the writer lock was not free within {self._writer_timeout:g} s")
        try:
            with self._transaction() as connection:
                yield connection
        finally:
            self._writer.release()
            if self._deferred.depth:
                self._deferred.flush(timeout=0)  # if another writer has the lock now, it will flush

    def write_soon(self, operation: Callable[[sqlite3.Connection], object]) -> None:
        """Run `operation` in its own transaction: now, or after the transaction under way.

        The caller waits only if very many operations wait already. An error of `operation` is raised if it runs now,
        and logged if it runs later.
        """
        self._deferred.do(self._run, operation)

    @guarded
    @scope.storage(BACKEND, "check")
    def check(self) -> int:
        """Check the file for damage; count the findings as corruption and return their number."""
        with self.read() as connection:
            findings = [row[0] for row in connection.execute("PRAGMA quick_check") if row[0] != "ok"]
        self._corrupt.inc(len(findings))
        return len(findings)

    @scope.timed(m.STORAGE_COMPACTION_DURATION, backend=BACKEND)
    def compact(self) -> None:
        """Return free pages to the file system, a few in each call, so the writer waits only a little."""
        with self._deferred, self._pool.connection() as connection:
            connection.execute(f"PRAGMA incremental_vacuum({_COMPACT_PAGES})").fetchall()

    def measure(self) -> None:
        """Update the gauges of content size; all pages but those on the free list are live."""
        with self._pool.connection() as connection:
            size, pages, free = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_size", "page_count", "freelist_count")
            )
        scope.gauge(m.STORAGE_CONTENT_SIZE, backend=BACKEND, state="live").set((pages - free) * size)
        scope.gauge(m.STORAGE_CONTENT_SIZE, backend=BACKEND, state="total").set(pages * size)

    def close(self) -> None:
        """Run the deferred writes, checkpoint the log and close every connection."""
        self._deferred.flush()
        with self._pool.connection() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._pool.close()

    def _run(self, operation: Callable[[sqlite3.Connection], object]) -> None:
        with self._transaction() as connection:
            operation(connection)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._pool.connection() as connection:
            self._faults.storage()
            # IMMEDIATE takes SQLite's write lock at the start, so a transaction cannot fail half-way for lack of it.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _open(self) -> None:
        try:
            with self._pool.connection() as connection:
                self._refuse_newer(connection)
                self._replay(connection)
                # Must come before the first table, and cannot change later.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_SCHEMA)
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
        except sqlite3.DatabaseError as error:
            self._corrupt.inc()
            raise StartError(f"{self.path}: {error}; restore a backup, or move the file away") from None

    def _refuse_newer(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > _FORMAT:
            scope.counter(m.STORAGE_FORMAT_UNSUPPORTED, backend=BACKEND).inc()
            raise StartError(f"{self.path}: format {found} is newer than {_FORMAT}; run a newer version of the service")

    @scope.timed(m.STORAGE_WAL_REPLAY_DURATION, backend=BACKEND)
    def _replay(self, connection: sqlite3.Connection) -> None:
        # Reading replays what a crash left in the log; the checkpoint writes it back into the file.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _wal_size(self) -> int:
        try:
            return self._wal.stat().st_size
        except FileNotFoundError:
            return 0


def _give_up(error: Exception) -> None:
    _log.warning("a deferred write failed and is not tried again: %s", error)
