"""What locks count by themselves while they are held, brought into the series when somebody looks.

A lock that is got at once and let go within microseconds is the usual case, and the one whose cost matters. Its
holder is alone, so it can add to two numbers of the lock without any further care; there is no journal to fold.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from threading import Lock

from .. import catalog
from ..registry import Registry
from .hooks import Meter, meter_of

QUICK = catalog.LOCK_HOLD.buckets[0]
"""Seconds: holds up to here all fall into the lowest bucket, so their number and sum say everything."""

_PATIENCE = 0.5  # seconds; longer waits only who interrupted a reading of its own thread

Counts = tuple[float, float, float]
"""How often a lock was got without a wait; how many holds were quick; and their seconds."""


class Tally:
    """The counts of all locks that share a name and mode, living and gone."""

    def __init__(self, registry: Registry, name: str, mode: str) -> None:
        self.meter: Meter = meter_of(registry, name, mode)
        self._readers: dict[weakref.ref[object], Callable[[], Counts]] = {}
        self._gone: list[weakref.ref[object]] = []
        self._past: Counts = (0.0, 0.0, 0.0)
        self._told: list[float] = [0.0, 0.0, 0.0]
        self._guard = Lock()
        self.meter.wait_times.feed = self._waits
        self.meter.hold.feed = self._holds

    def add(self, lock: object, read: Callable[[], Counts]) -> None:
        """Count `lock` in for as long as it lives, and what it had counted from then on; `read` must not refer to it.

        What `read` gives may lag behind by an acquisition under way, but never goes down for good.
        """
        self._readers[weakref.ref(lock, self._gone.append)] = read

    def _waits(self) -> tuple[int, float]:
        return int(self._news(0)[0]), 0.0

    def _holds(self) -> tuple[int, float]:
        number, seconds = self._news(1, 2)
        return int(number), seconds

    def _news(self, *which: int) -> list[float]:
        """How much these counts have grown since they were asked for last."""
        if not self._guard.acquire(timeout=_PATIENCE):
            return [0.0] * len(which)
        try:
            while self._gone:
                read = self._readers.pop(self._gone.pop())
                self._past = _sum(self._past, read())
            now = self._past
            for read in list(self._readers.values()):
                now = _sum(now, read())
            news = [max(0.0, now[i] - self._told[i]) for i in which]
            for i, grown in zip(which, news, strict=True):
                self._told[i] += grown
            return news
        finally:
            self._guard.release()


def _sum(a: Counts, b: Counts) -> Counts:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
