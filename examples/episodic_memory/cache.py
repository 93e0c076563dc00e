"""The cache: LMDB with a bounded number of bytes, which evicts the least recently used entry first."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import lmdb

import mnemoscope as scope
from mnemoscope import catalog as m

from .errors import StartError
from .faults import FaultSwitches
from .model import Episode

CACHE = "lmdb"
# LMDB writes new pages before it frees the old ones, so the map must be larger than its contents.
_HEADROOM = 4
_LEAST_MAP = 1 << 20


class EpisodeCache:
    """Cached episodes by id. The cache survives a restart. It may be deleted at any time: the durable store has it all.

    Raises:
        StartError: LMDB cannot open its folder.
    """

    def __init__(self, path: Path, max_bytes: int, faults: FaultSwitches) -> None:
        self._max_bytes = max_bytes
        self._faults = faults
        self._lock = scope.Lock(CACHE)
        self._sizes: OrderedDict[int, int] = OrderedDict()
        self._bytes = 0
        try:
            # A cache need not survive a power cut, so no write waits for the disk.
            self._lmdb = lmdb.open(str(path), map_size=max_bytes * _HEADROOM + _LEAST_MAP, sync=False, metasync=False)
        except lmdb.Error as error:
            raise StartError(f"{path}: {error}; delete this folder, it holds only cached values") from None
        with self._lmdb.begin() as txn:
            for key, value in txn.cursor():
                self._note(_id(key), len(value))
        scope.gauge(m.CACHE_ENTRIES, cache=CACHE).set_function(lambda: len(self._sizes))
        scope.gauge(m.CACHE_SIZE, cache=CACHE).set_function(lambda: self._bytes)

    @scope.cache_lookup(CACHE)
    def get(self, id: int) -> Episode | None:
        """Return the cached episode, or None."""
        if self._faults.current.cold_cache:
            return None
        with self._lmdb.begin() as txn:
            value = txn.get(_key(id))
        if value is None:
            return None
        with self._lock:
            if id in self._sizes:
                self._sizes.move_to_end(id)
        return Episode.from_json(value)

    def put(self, episode: Episode) -> None:
        """Store an episode unless a newer version is there; evict the least recently used ones if there is no room."""
        value = episode.to_json()
        if len(value) > self._max_bytes:
            return
        with self._lock, self._lmdb.begin(write=True) as txn:
            cached = txn.get(_key(episode.id))
            if cached is not None and Episode.from_json(cached).version > episode.version:
                return  # two threads stored versions in one order and came here in the other
            txn.put(_key(episode.id), value)
            self._note(episode.id, len(value))
            while self._bytes > self._max_bytes:
                oldest = next(iter(self._sizes))
                txn.delete(_key(oldest))
                self._forget(oldest)
                scope.counter(m.CACHE_EVICTIONS, cache=CACHE).inc()

    def invalidate(self, id: int) -> None:
        """Drop an episode whose durable value has changed."""
        with self._lock, self._lmdb.begin(write=True) as txn:
            if txn.delete(_key(id)):
                self._forget(id)
                scope.counter(m.CACHE_INVALIDATIONS, cache=CACHE).inc()

    def versions(self) -> dict[int, int]:
        """Return the version of every cached episode."""
        with self._lmdb.begin() as txn:
            return {_id(key): Episode.from_json(value).version for key, value in txn.cursor()}

    def close(self) -> None:
        """Write the cache to disk, for a warm start."""
        self._lmdb.sync(True)
        self._lmdb.close()

    def _note(self, id: int, size: int) -> None:
        self._forget(id)
        self._sizes[id] = size
        self._bytes += size

    def _forget(self, id: int) -> None:
        self._bytes -= self._sizes.pop(id, 0)


def _key(id: int) -> bytes:
    return id.to_bytes(8, "big")


def _id(key: bytes) -> int:
    return int.from_bytes(key, "big")
