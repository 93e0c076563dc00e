"""What locks count by themselves while they are held, brought into the series when somebody looks.

A lock that is got at once and let go within microseconds is the usual case, and the one whose cost matters. Its
holder is alone, so it can add to two numbers of the lock without any further care; there is no journal to fold.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from threading import Lock

from .. import catalog
from .hooks import Meter

QUICK = catalog.LOCK_HOLD.buckets[0]
"""Seconds: holds up to here all fall into the lowest bucket, so their number and sum say everything."""

_PATIENCE = 0.5  # seconds; longer waits only who interrupted a reading of its own thread

_making = Lock()
_tallies: weakref.WeakSet[Tally] = weakref.WeakSet()

Counts = tuple[float, float, float]
"""How often a lock was got without a wait; how many holds were quick; and their seconds."""


class Tally:
    """The counts of all locks that share their series, living and gone; make it through `tally_of`."""

    def __init__(self, meter: Meter) -> None:
        self._readers: dict[weakref.ref[object], Callable[[], Counts]] = {}
        self._gone: list[weakref.ref[object]] = []
        self._past: Counts = (0.0, 0.0, 0.0)
        self._told: list[float] = [0.0, 0.0, 0.0]
        self._guard = Lock()
        _tallies.add(self)
        meter.wait_times.feed = self._waits
        meter.hold.feed = self._holds

    def add(self, lock: object, read: Callable[[], Counts]) -> None:
        """Count `lock` in for as long as it lives, and what it had counted from then on; `read` must not refer to it.

        What `read` gives may lag behind by an acquisition under way, but never goes down for good.
        """
        self._readers[weakref.ref(lock, self._gone.append)] = read

    def locks(self) -> Iterator[object]:
        """Those that live."""
        for reference in list(self._readers):
            if (lock := reference()) is not None:
                yield lock

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


def tally_of(meter: Meter) -> Tally:
    """The tally that feeds the series of `meter`; past the cap on label sets, locks of many names share one."""
    mine = _making.acquire(timeout=_PATIENCE)
    try:
        tally = getattr(meter.hold.feed, "__self__", None)
        return tally if isinstance(tally, Tally) else Tally(meter)
    finally:
        if mine:
            _making.release()


def living() -> Iterator[object]:
    """Every lock of the process that counts by itself."""
    for tally in list(_tallies):
        yield from tally.locks()


def _sum(a: Counts, b: Counts) -> Counts:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
