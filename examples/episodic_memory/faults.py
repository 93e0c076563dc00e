"""Fault switches: ways to make the service misbehave on purpose, at start or at run time.

Each fault is injected where a real one would occur: a storage error is raised where SQLite raises, a slow index write
sleeps inside the write. This module touches no metric.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time

from pydantic import BaseModel, ConfigDict, Field

_MAX_DELAY_MS = 60_000


class Faults(BaseModel):
    """The faults that are on. Ratios are 0 to 1, delays are milliseconds; by default all faults are off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    storage_errors: float = Field(default=0, ge=0, le=1, description="share of storage operations that fail")
    index_errors: float = Field(default=0, ge=0, le=1, description="share of index writes that fail")
    slow_index_writes: float = Field(default=0, ge=0, le=_MAX_DELAY_MS, description="added to each index write")
    lock_contention: float = Field(
        default=0, ge=0, le=_MAX_DELAY_MS, description="added to each hold of the index lock"
    )
    slow_recall: float = Field(default=0, ge=0, le=_MAX_DELAY_MS, description="added to each lookup of a recall")
    canary_slowdown: float = Field(
        default=0, ge=0, le=_MAX_DELAY_MS, description="added to recalls, completions and index writes of a canary"
    )
    cold_cache: bool = Field(default=False, description="every cache lookup misses")
    high_fan: bool = Field(default=False, description="recall activates far too many concepts")
    low_concept_quality: bool = Field(default=False, description="consolidation groups dissimilar episodes")
    failing_consolidation: bool = Field(default=False, description="every consolidation run fails")


class FaultSwitches:
    """The faults in force; `current` may be replaced at any time, from any thread."""

    def __init__(self, initial: Faults, *, canary: bool = False, seed: int = 0) -> None:
        self.current = initial
        self._canary = canary
        self._random = random.Random(seed)
        # A plain lock, so that the fault switches add no series.
        self._lock = threading.Lock()

    def storage(self) -> None:
        """Raise sqlite3.OperationalError in the given share of calls, as with a failing disk."""
        if self._strikes(self.current.storage_errors):
            raise sqlite3.OperationalError("disk I/O error (injected)")

    def index_write(self) -> None:
        """Delay an index write, and raise OSError in the given share of calls."""
        _pause(self.current.slow_index_writes)
        self.slow_canary()
        if self._strikes(self.current.index_errors):
            raise OSError("index write failed (injected)")

    def linger(self) -> None:
        """Delay the thread that holds the index lock."""
        _pause(self.current.lock_contention)

    def recall(self) -> None:
        """Delay one lookup of a recall."""
        _pause(self.current.slow_recall)

    def slow_canary(self) -> None:
        """Delay a canary; do nothing on a stable instance."""
        if self._canary:
            _pause(self.current.canary_slowdown)

    def consolidation(self) -> None:
        """Raise RuntimeError while the fault is on."""
        if self.current.failing_consolidation:
            raise RuntimeError("consolidation failed (injected)")

    def _strikes(self, ratio: float) -> bool:
        if not ratio:
            return False
        with self._lock:
            return self._random.random() < ratio


def _pause(milliseconds: float) -> None:
    if milliseconds:
        time.sleep(milliseconds / 1000)
