"""Counts of uses that each lock keeps by itself, added up over all locks of one name at a scrape.

A free lock must cost little, so it does not record each use: it adds to its own plain numbers. Those are read at the
next scrape. They outlive the lock: a weak reference keeps them until they are added to those of earlier locks.
"""

from __future__ import annotations

import weakref
from collections import deque
from os import getpid
from time import perf_counter, sleep
from typing import Any

from ..recording.journal import Fold, Guard


class UseCounts:
    """Counts of one lock. Only its holder changes them, and a lock has one holder, so plain numbers are safe.

    Attributes:
        quick: number of quick holds; a float, because adding to a float is the cheapest.
        seconds: how long the quick holds lasted together.
        longer: number of longer holds; the duration of each is recorded separately.
        waits: number of uses whose wait was recorded. All others took the lock without a wait.
    """

    __slots__ = ("longer", "quick", "seconds", "waits")

    def __init__(self) -> None:
        self.quick = self.seconds = 0.0
        self.longer = self.waits = 0


Totals = tuple[float, float, float]
"""How often locks were taken without a wait, the number of quick holds, and the seconds of the quick holds."""


class _Reference(weakref.ref[Any]):
    """A weak reference to a lock, with the counts that remain when the lock is gone."""

    __slots__ = ("counts",)
    counts: UseCounts


class UseTotals:
    """The counts of all locks of one name and mode, living or gone."""

    def __init__(self) -> None:
        self._living: dict[int, _Reference] = {}
        self._gone: deque[_Reference] = deque()
        # Of locks that are gone; and the reference that was added last.
        self._past: tuple[Totals, _Reference | None] = (0.0, 0.0, 0.0), None
        self._last: Totals = (0.0, 0.0, 0.0)

    def counts_for(self, lock: object) -> UseCounts:
        """Return new counts for `lock`. The totals include them while it lives and afterwards."""
        fold = Fold()
        claim = weakref.ref(fold)
        try:
            if _guard.admits(claim):
                self._add_gone()
        finally:
            _guard.release(claim)
        reference = _Reference(lock, self._gone.append)
        reference.counts = UseCounts()
        self._living[id(reference)] = reference
        return reference.counts

    def _add_gone(self) -> None:
        """Add the counts of locks that are gone to the past; after an interruption, the next call continues."""
        while self._gone:
            reference = self._gone[0]
            past, latest = self._past
            if reference is not latest and id(reference) in self._living:  # else making its lock was interrupted
                self._past = _sum(past, reference.counts), reference
            self._living.pop(id(reference), None)
            self._gone.popleft()

    def read(self) -> Totals:
        """Return the totals now, or those of the last call if another call is under way for too long."""
        fold = Fold()
        claim = weakref.ref(fold)
        until = perf_counter() + _PATIENCE
        try:
            while not _guard.admits(claim):
                if _process != getpid():  # a forked child resets the registry before this module, and so reads these
                    forget()
                elif perf_counter() > until:
                    return self._last
                else:
                    sleep(_PAUSE)
            self._add_gone()
            totals, _ = self._past
            for reference in list(self._living.values()):
                totals = _sum(totals, reference.counts)
            without_wait, number, seconds = map(max, totals, self._last)
            self._last = without_wait, number, seconds
        finally:
            _guard.release(claim)
        return self._last


def _sum(totals: Totals, counts: UseCounts) -> Totals:
    without_wait, number, seconds = totals
    return (
        without_wait + counts.quick + counts.longer - counts.waits,
        number + counts.quick,
        seconds + counts.seconds,
    )


_guard, _process = Guard(), getpid()
_PAUSE, _PATIENCE = 0.001, 0.5
"""Seconds. Only a scrape from a signal handler or finaliser that has interrupted another scrape waits so long."""


def forget() -> None:
    """Make a new guard in a forked child, where a thread of the parent may have held the old one."""
    global _guard, _process
    _guard, _process = Guard(), getpid()
