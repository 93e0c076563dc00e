"""Counters, gauges and histograms: threads record in a series without a lock and read one consistent value."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar
from weakref import ref

from ..catalog import Metric
from ..catalog.labels import DropReason
from .journal import LIMIT, Fold, Guard, Journal
from .snapshot import Exemplar, HistogramPoint, NumberPoint
from .values import LARGEST, UnrecordableError, exemplar_labels, number

_PATIENCE = 0.5  # seconds that a scrape waits for a running fold, which takes microseconds
_POLL = 0.0002
NOT_RECORDED = (UnrecordableError, RecursionError, MemoryError)
"""Exceptions that must not reach the code that records: for a value that is dropped, a full stack or full memory."""

T = TypeVar("T")


class Drop(Protocol):
    """`Registry.drop`: counts a dropped recording."""

    def __call__(
        self, metric: Metric, reason: DropReason, count: int = 1, *, value: object = ..., raises: bool = True
    ) -> None: ...


class Series(ABC, Generic[T]):
    """The base of counters, gauges and histograms: a journal that is folded into totals of type `T`."""

    __slots__ = ("__weakref__", "drop", "exemplars", "guard", "journal", "labels", "metric")
    feed: Callable[[], tuple[int, float]] | None = None
    """Returns number and sum of the lowest bucket's observations counted elsewhere; a fold adds the new ones."""

    def __init__(self, metric: Metric, labels: tuple[str, ...], guard: Guard, drop: Drop) -> None:
        self.metric = metric
        self.labels = labels
        self.guard = guard
        self.drop = drop
        self.journal = Journal((self.zero(),))
        self.exemplars: dict[int, Exemplar] | None = None  # by bucket; a counter's under 0

    @property
    def totals(self) -> T:
        """The totals folded so far: a new object after each change."""
        totals: T = self.journal[0]
        return totals

    def fold(self) -> bool:
        """Add the recordings to the totals; return False if another fold is running, which will do it."""
        journal = self.journal
        if len(journal) == 1 and self.feed is None:
            return True
        guard, fold = self.guard, Fold()
        claim = ref(fold)
        try:
            if not guard.admits(claim):
                return False
            recorded = journal[:]
            before, end = recorded.pop(0), len(recorded) + 1
            after = self._folded(before, recorded)
            if journal[0] is before:  # not reset meanwhile
                journal[:end] = (after,)
        except (RecursionError, MemoryError):
            return False  # nothing has changed, and a later fold finds the recordings
        finally:
            guard.release(claim)
        return True

    def settle(self) -> T:
        """Return the totals for a scrape: fold, and wait a little for a running fold."""
        if not self.fold():
            deadline = time.monotonic() + _PATIENCE
            while not self.fold() and time.monotonic() < deadline:
                time.sleep(_POLL)
        return self.totals

    def reset(self, guard: Guard, *, keep_settings: bool = False) -> None:
        """Start again at zero.

        Args:
            guard: a new guard; in a forked child, a thread of the parent may have held the old one.
            keep_settings: leave the value that a gauge was `set` to.
        """
        self.guard = guard
        self.journal[:] = (self.zero(),)
        self.exemplars = None

    @abstractmethod
    def zero(self) -> T:
        """Return totals of no recordings, as a new object each time."""

    @abstractmethod
    def _folded(self, before: T, recorded: list[Any]) -> T:
        """Return the totals after `before` and `recorded`; this may sort `recorded`."""

    def _accepted(self, value: object, least: float = -LARGEST) -> float:
        """Return `value` as a float.

        Raises:
            UnrecordableError: it cannot be recorded, and has been counted as dropped.
        """
        try:
            return number(value, least)
        except UnrecordableError as error:
            self.drop(self.metric, error.reason, value=value)
            raise

    def _add_exemplar(self, bucket: int, value: float, exemplar: Mapping[str, object]) -> None:
        try:
            added = Exemplar(exemplar_labels(exemplar), value, time.time())
        except UnrecordableError as error:
            self.drop(self.metric, error.reason, value=exemplar)
            return
        if self.exemplars is None:
            self.exemplars = {}
        self.exemplars[bucket] = added


class Counter(Series["tuple[float, int]"]):
    """A number that only grows. Its totals are the sum and the number of recordings."""

    __slots__ = ()

    def inc(self, amount: float = 1.0, exemplar: Mapping[str, object] | None = None) -> None:
        """Count `amount` more. Anything but a finite number from 0 up is dropped."""
        try:
            if type(amount) is not float or not 0.0 <= amount <= LARGEST:
                amount = self._accepted(amount, 0.0)
            journal = self.journal
            journal.append(amount)
            if len(journal) > LIMIT:
                self.fold()
            if exemplar is not None:
                self._add_exemplar(0, amount, exemplar)
        except NOT_RECORDED:
            pass

    def zero(self) -> tuple[float, int]:
        return float(), int()  # noqa: UP018  # a literal would be the same object each time

    def _folded(self, before: tuple[float, int], recorded: list[Any]) -> tuple[float, int]:
        return before[0] + sum(recorded), before[1] + len(recorded)

    def point(self) -> NumberPoint:
        """Return the value now."""
        return self.shown(self.settle())

    def shown(self, totals: tuple[float, int]) -> NumberPoint:
        """Return the point that shows these totals."""
        return NumberPoint(self.labels, totals[0], self.exemplars.get(0) if self.exemplars else None)


class Gauge(Series["tuple[float, float]"]):
    """A value that goes up and down, or that a function returns at each scrape.

    Its totals are the last setting and the changes since. The journal holds changes as numbers and settings as
    one-tuples, so that a `set` and an `inc` of two threads take effect in the order in which they happened.
    """

    __slots__ = ("function",)

    def __init__(self, metric: Metric, labels: tuple[str, ...], guard: Guard, drop: Drop) -> None:
        super().__init__(metric, labels, guard, drop)
        self.function: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """Set it to `value`. Anything but a finite number is dropped."""
        with suppress(*NOT_RECORDED):
            self._record((self._accepted(value),))

    def inc(self, amount: float = 1) -> None:
        """Raise it by `amount`. Anything but a finite number is dropped."""
        with suppress(*NOT_RECORDED):
            self._record(self._accepted(amount))

    def dec(self, amount: float = 1) -> None:
        """Lower it by `amount`. Anything but a finite number is dropped."""
        with suppress(*NOT_RECORDED):
            self._record(-self._accepted(amount))

    def set_function(self, function: Callable[[], float]) -> None:
        """Call `function` for the value at each scrape. If it raises, or returns no number, the series is left out."""
        self.function = function

    def _record(self, entry: float | tuple[float]) -> None:
        journal = self.journal
        journal.append(entry)
        if len(journal) > LIMIT:
            self.fold()

    def zero(self) -> tuple[float, float]:
        return float(), float()  # noqa: UP018

    def _folded(self, before: tuple[float, float], recorded: list[Any]) -> tuple[float, float]:
        base, change = before
        for entry in recorded:
            if isinstance(entry, tuple):
                base, change = entry[0], 0.0
            else:
                change += entry
        return base, change

    def point(self) -> NumberPoint | None:
        """Return the value now; None if its function failed."""
        if self.function is None:
            return self.shown(self.settle())
        try:
            return NumberPoint(self.labels, number(self.function()))
        except UnrecordableError as error:
            self.drop(self.metric, error.reason, raises=False)  # a scrape shows what it can
        except Exception as error:
            self.drop(self.metric, "callback", value=error, raises=False)
        return None

    def shown(self, totals: tuple[float, float]) -> NumberPoint:
        """Return the point that shows these totals."""
        return NumberPoint(self.labels, sum(totals))

    def reset(self, guard: Guard, *, keep_settings: bool = False) -> None:
        before, *recorded = self.journal[:]
        base = self._folded(before, recorded)[0] if keep_settings else 0.0
        super().reset(guard)
        # A setting (a limit, a weight) applies in a forked child too; the changes counted the parent's work.
        self.journal[0] = (base, 0.0)


Observed = tuple[tuple[int, ...], float, tuple[int, float], int]
_UNFED = (0, 0.0)


class Histogram(Series[Observed]):
    """Observations counted by bucket.

    Its totals are these counts, the sum, the last result of `feed`, and the number of recordings.
    """

    __slots__ = ("feed",)

    def __init__(self, metric: Metric, labels: tuple[str, ...], guard: Guard, drop: Drop) -> None:
        self.feed = None
        super().__init__(metric, labels, guard, drop)

    def observe(self, value: float, exemplar: Mapping[str, object] | None = None) -> None:
        """Record one observation, in the metric's unit.

        Anything but a finite number from 0 up is dropped.
        """
        try:
            if type(value) is not float or not 0.0 <= value <= LARGEST:
                value = self._accepted(value, 0.0)
            journal = self.journal
            journal.append(value)
            if len(journal) > LIMIT:
                self.fold()
            if exemplar is not None:
                self._add_exemplar(bisect_left(self.metric.buckets, value), value, exemplar)
        except NOT_RECORDED:
            pass

    def zero(self) -> Observed:
        return (0,) * (len(self.metric.buckets) + 1), 0.0, self.feed() if self.feed is not None else _UNFED, 0

    def _folded(self, before: Observed, recorded: list[Any]) -> Observed:
        known = before[2]
        fed = known if self.feed is None else self.feed()
        if not recorded and fed == known:
            return before
        counts, total, number = list(before[0]), before[1] + sum(recorded), before[3] + len(recorded)
        if fed is not known:
            counts[0] += fed[0] - known[0]
            total += fed[1] - known[1]
        recorded.sort()  # then each bucket needs one search, however many observations fall into it
        bounds, below, end = self.metric.buckets, 0, len(recorded)
        while below < end:
            bucket = bisect_left(bounds, recorded[below])
            beyond = bucket == len(bounds) or recorded[-1] <= bounds[bucket]
            upto = end if beyond else bisect_right(recorded, bounds[bucket], below)
            counts[bucket] += upto - below
            below = upto
        return tuple(counts), total, fed, number

    def point(self) -> HistogramPoint:
        """Return counts and sum now, of the same observations."""
        return self.shown(self.settle())

    def shown(self, totals: Observed) -> HistogramPoint:
        """Return the point that shows these totals."""
        counts, total, *_ = totals
        exemplars: tuple[Exemplar | None, ...] = ()
        if self.exemplars is not None:
            exemplars = tuple(self.exemplars.get(i) for i in range(len(counts)))
        return HistogramPoint(self.labels, counts, total, exemplars)
