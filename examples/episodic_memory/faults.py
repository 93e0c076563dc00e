"""Fault switches: ways to make the service misbehave on purpose, at start or at run time.

Each stands where the real fault would: a storage error is raised where SQLite raises, a slow index write takes
its time inside the write. Nothing here touches a metric.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time

from pydantic import BaseModel, ConfigDict, Field

_MAX_DELAY_MS = 60_000


class Faults(BaseModel):
    """Which faults are on. Ratios are 0 to 1, delays are milliseconds; everything is off by default."""

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
    low_concept_quality: bool = Field(default=False, description="consolidation throws unlike episodes together")
    failing_consolidation: bool = Field(default=False, description="every consolidation run fails")


class FaultSwitches:
    """The faults in force; `current` may be replaced at any time, from any thread."""

    def __init__(self, initial: Faults, *, canary: bool = False, seed: int = 0) -> None:
        self.current = initial
        self._canary = canary
        self._random = random.Random(seed)
        # A plain lock: faults are not to show in what is measured, other than by what they break.
        self._lock = threading.Lock()

    def storage(self) -> None:
        """Raises sqlite3.OperationalError for its share of calls, as a failing disk does."""
        if self._strikes(self.current.storage_errors):
            raise sqlite3.OperationalError("disk I/O error (injected)")

    def index_write(self) -> None:
        """Delays an index write, and raises OSError for its share of calls."""
        _pause(self.current.slow_index_writes)
        self.slow_canary()
        if self._strikes(self.current.index_errors):
            raise OSError("index write failed (injected)")

    def linger(self) -> None:
        """Delays whoever holds the index lock."""
        _pause(self.current.lock_contention)

    def recall(self) -> None:
        """Delays one lookup of a recall."""
        _pause(self.current.slow_recall)

    def slow_canary(self) -> None:
        """Delays a canary; does nothing to stable."""
        if self._canary:
            _pause(self.current.canary_slowdown)

    def consolidation(self) -> None:
        """Raises RuntimeError while consolidation is to fail."""
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
