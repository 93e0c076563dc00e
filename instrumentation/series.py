"""Series that threads write to without a lock, and read as one consistent value.

A recording is one `list.append` to the series' journal: atomic in every CPython, with or without the GIL,
and safe from a signal handler or a finaliser that interrupts another recording. Whoever finds the journal
long folds it into the totals; a scrape folds what is left. Folding is guarded by a lock that is only ever
*tried* by recorders, so that nobody waits; the totals are one tuple that is replaced as a whole, so that a
reader never sees a sum without its counts.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Generic, Protocol, TypeVar

from .catalog import Metric
from .snapshot import Exemplar, HistogramPoint, NumberPoint

JOURNAL_LIMIT = 512
_BELOW_ZERO = -5e-324  # the largest number that is
_SCRAPE_PATIENCE = 0.5  # seconds; only a scrape inside an interrupted fold of its own thread waits this long

Drop = Callable[[Metric, str, int], None]
E = TypeVar("E")


class FoldGuard(Protocol):
    """The part of a lock that folding uses."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...


class Series(Generic[E]):
    """What counters, gauges and histograms share: the journal and when it is folded."""

    __slots__ = ("__weakref__", "drop", "exemplars", "guard", "journal", "labels", "metric")

    def __init__(self, metric: Metric, labels: tuple[str, ...], guard: FoldGuard, drop: Drop) -> None:
        self.metric = metric
        self.labels = labels
        self.guard = guard
        self.drop = drop
        self.journal: list[E] = []
        self.exemplars: dict[int, Exemplar] | None = None  # by bucket; a counter's under 0

    def fold(self, patience: float = 0.0) -> None:
        """Move the journal into the totals; give up silently when somebody else is at it for `patience` seconds."""
        if not (self.guard.acquire(timeout=patience) if patience else self.guard.acquire(False)):
            return
        try:
            journal = self.journal
            taken = journal[:]
            del journal[: len(taken)]  # what was appended meanwhile stays
            if taken:
                self._add(taken)
            self._collect()
        finally:
            self.guard.release()

    def pending(self) -> bool:
        """Whether something was recorded since the last fold, or may have been."""
        return bool(self.journal)

    def _collect(self) -> None:
        """Bring in what is counted elsewhere; called by a fold."""

    def settle(self) -> None:
        """Fold for a scrape: wait a little for a fold under way, never for ever."""
        if self.pending():
            self.fold(_SCRAPE_PATIENCE)

    def _add(self, taken: list[E]) -> None:
        raise AssertionError("each kind of series says how it adds")

    def _keep(self, bucket: int, value: float, exemplar: Mapping[str, str]) -> None:
        if self.exemplars is None:
            self.exemplars = {}
        self.exemplars[bucket] = Exemplar(tuple(exemplar.items()), value, time.time())

    def reset(self, guard: FoldGuard, *, keep_settings: bool = False) -> None:
        """Start again at zero with a new guard.

        Args:
            guard: the new one; a forked child must not use one that a thread of its parent may have held.
            keep_settings: leave what a gauge was `set` to.
        """
        self.guard = guard
        self.journal.clear()
        self.exemplars = None


class Counter(Series[float]):
    """A total that only grows."""

    __slots__ = ("state",)

    def __init__(self, metric: Metric, labels: tuple[str, ...], guard: FoldGuard, drop: Drop) -> None:
        super().__init__(metric, labels, guard, drop)
        self.state = 0.0

    def inc(self, amount: float = 1, exemplar: Mapping[str, str] | None = None) -> None:
        """Count `amount` more; a negative or non-finite one is refused and counted as dropped."""
        journal = self.journal
        journal.append(amount)
        if len(journal) > JOURNAL_LIMIT:
            self.fold()
        if exemplar is not None:
            self._keep(0, amount, exemplar)

    def _add(self, taken: list[float]) -> None:
        added = sum(taken)
        if not math.isfinite(added) or min(taken) < 0:
            good = [x for x in taken if math.isfinite(x) and x >= 0]
            negative = sum(x < 0 for x in taken if math.isfinite(x))
            self.drop(self.metric, "negative", negative)
            self.drop(self.metric, "not_a_number", len(taken) - len(good) - negative)
            added = sum(good)
        self.state += added

    def point(self) -> NumberPoint:
        """The value now."""
        self.settle()
        return NumberPoint(self.labels, self.state, self.exemplars[0] if self.exemplars else None)

    def reset(self, guard: FoldGuard, *, keep_settings: bool = False) -> None:
        super().reset(guard)
        self.state = 0.0


class Gauge(Series["float | tuple[float]"]):
    """A value that goes up and down, or that a function gives at each scrape.

    The journal holds changes as numbers and settings as one-tuples, so that a `set` and an `inc` of two threads
    take effect in the order in which they happened.
    """

    __slots__ = ("function", "state")

    def __init__(self, metric: Metric, labels: tuple[str, ...], guard: FoldGuard, drop: Drop) -> None:
        super().__init__(metric, labels, guard, drop)
        self.state = (0.0, 0.0)  # what was set last, and the changes since
        self.function: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """Make it `value`; NaN and infinities are refused and counted as dropped."""
        self._record(value, (value,))

    def inc(self, amount: float = 1) -> None:
        """Raise it by `amount`."""
        self._record(amount, amount)

    def dec(self, amount: float = 1) -> None:
        """Lower it by `amount`."""
        self._record(amount, -amount)

    def _record(self, number: float, entry: float | tuple[float]) -> None:
        if not math.isfinite(number):
            self.drop(self.metric, "not_a_number", 1)
            return
        journal = self.journal
        journal.append(entry)
        if len(journal) > JOURNAL_LIMIT:
            self.fold()

    def set_function(self, function: Callable[[], float]) -> None:
        """Ask `function` at each scrape; when it raises, this series is left out and the failure counted."""
        self.function = function

    def _add(self, taken: list[float | tuple[float]]) -> None:
        base, change = self.state
        for entry in taken:
            if isinstance(entry, tuple):
                base, change = entry[0], 0.0
            else:
                change += entry
        self.state = (base, change)

    def point(self) -> NumberPoint | None:
        """The value now; None where its function failed."""
        if self.function is None:
            self.settle()
            return NumberPoint(self.labels, sum(self.state))
        try:
            value = float(self.function())
        except Exception:
            self.drop(self.metric, "callback", 1)
            return None
        if not math.isfinite(value):
            self.drop(self.metric, "not_a_number", 1)
            return None
        return NumberPoint(self.labels, value)

    def reset(self, guard: FoldGuard, *, keep_settings: bool = False) -> None:
        self._add(self.journal)
        base = self.state[0]
        super().reset(guard)
        # What was set (a limit, a weight) holds in a forked child too; what was counted up was the parent's work.
        self.state = (base if keep_settings else 0.0, 0.0)


class Histogram(Series[float]):
    """Observations counted by bucket, with their sum."""

    __slots__ = ("feed", "state", "usual")

    def __init__(self, metric: Metric, labels: tuple[str, ...], guard: FoldGuard, drop: Drop) -> None:
        super().__init__(metric, labels, guard, drop)
        self.usual: int | None = None  # the bucket that took most of a batch; folding looks there first
        self.state: tuple[tuple[int, ...], float] = _empty(metric)
        self.feed: Callable[[], tuple[int, float]] | None = None
        """Where observations of the lowest bucket are counted first: gives their number and sum since the last call."""

    def observe(self, value: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Record one observation, in the metric's unit; NaN, infinities and negative values are refused and counted."""
        journal = self.journal
        journal.append(value)
        if len(journal) > JOURNAL_LIMIT:
            self.fold()
        if exemplar is not None:
            self._keep(bisect_left(self.metric.buckets, value), value, exemplar)

    def _add(self, taken: list[float]) -> None:
        added = sum(taken)
        if not math.isfinite(added):  # NaN would also make sorting meaningless
            taken = self._finite(taken)
            added = sum(taken)
        number, others, usual, bounds = len(taken), taken, self.usual, self.metric.buckets
        counts, total = self.state
        new = list(counts)
        if usual is not None:
            # Most observations are where most were before: one pass finds those, and only the others are sorted.
            low = max(_BELOW_ZERO, bounds[usual - 1]) if usual else _BELOW_ZERO
            high = bounds[usual]
            others = [x for x in taken if not low < x <= high]
            new[usual] += number - len(others)
            if 2 * len(others) > number:
                self.usual = None
        if others:
            others.sort()  # then each bucket needs one search, however many observations there are
            if others[0] < 0:
                self.drop(self.metric, "negative", bisect_left(others, 0.0))
                self._add([x for x in taken if x >= 0])
                return
            self._count(others, new, number)
        self.state = (tuple(new), total + added)

    def _count(self, ordered: list[float], counts: list[int], number: int) -> None:
        """Add sorted observations to `counts`; a bucket that takes most of `number` becomes the usual one."""
        bounds, below = self.metric.buckets, 0
        while below < len(ordered):
            bucket = bisect_left(bounds, ordered[below])
            upto = bisect_right(ordered, bounds[bucket], below) if bucket < len(bounds) else len(ordered)
            counts[bucket] += upto - below
            if 2 * (upto - below) > number and bucket < len(bounds):
                self.usual = bucket
            below = upto

    def pending(self) -> bool:
        return bool(self.journal) or self.feed is not None

    def _collect(self) -> None:
        if self.feed is not None:
            number, added = self.feed()
            if number:
                (lowest, *others), total = self.state
                self.state = ((lowest + number, *others), total + added)

    def _finite(self, taken: list[float]) -> list[float]:
        finite = [x for x in taken if math.isfinite(x)]
        self.drop(self.metric, "not_a_number", len(taken) - len(finite))
        return finite

    def point(self) -> HistogramPoint:
        """Counts and sum now, of the same observations."""
        self.settle()
        counts, total = self.state
        exemplars: tuple[Exemplar | None, ...] = ()
        if self.exemplars is not None:
            exemplars = tuple(self.exemplars.get(i) for i in range(len(counts)))
        return HistogramPoint(self.labels, counts, total, exemplars)

    def reset(self, guard: FoldGuard, *, keep_settings: bool = False) -> None:
        super().reset(guard)
        if self.feed is not None:
            self.feed()  # what was counted before is forgotten too
        self.state = _empty(self.metric)


def _empty(metric: Metric) -> tuple[tuple[int, ...], float]:
    return (0,) * (len(metric.buckets) + 1), 0.0


def new_guard() -> FoldGuard:
    """A guard for the series of one family."""
    return Lock()


class Peak:
    """The highest level seen in the last one to two windows, so that no peak falls between two scrapes.

    Reading does not reset it: two servers that scrape the same process see the same.
    """

    __slots__ = ("_clock", "_current", "_guard", "_levels", "_previous", "_slot", "_window")

    def __init__(self, window: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._slot = int(clock() // window)
        self._guard = new_guard()
        self._levels: list[float] = []
        self._current = 0.0
        self._previous = 0.0

    def note(self, level: float) -> None:
        """Say that the level is `level` now."""
        self._levels.append(level)
        if len(self._levels) > JOURNAL_LIMIT:
            self.read(level)

    def read(self, level: float) -> float:
        """The peak; `level` is the level now, from which a new window starts."""
        if self._guard.acquire(False):
            try:
                self._fold(level)
            finally:
                self._guard.release()
        # In the order in which a level moves on, so that one that another reader moves meanwhile is not missed.
        return max([level, *self._levels[:], self._current, self._previous])

    def _fold(self, level: float) -> None:
        taken = self._levels[:]
        self._current = max([self._current, level, *taken])
        del self._levels[: len(taken)]
        slot = int(self._clock() // self._window)
        if slot != self._slot:
            # After a longer silence nothing of the past window is recent.
            self._previous = self._current if slot == self._slot + 1 else level
            self._current, self._slot = level, slot


class InFlight:
    """Work that is under way: how much now, and how much at most lately.

    It keeps a token for each piece of work, so that ending one twice, or never having begun, cannot unbalance it.
    """

    __slots__ = ("_active", "_peak")

    def __init__(self) -> None:
        self._active: dict[int, float] = {}
        self._peak = Peak()

    def enter(self, token: object) -> None:
        """Work `token` begins."""
        self._active[id(token)] = 0.0
        self._peak.note(len(self._active))

    def leave(self, token: object) -> None:
        """Work `token` ends."""
        self._active.pop(id(token), None)

    def now(self) -> int:
        """Pieces of work under way."""
        return len(self._active)

    def peak(self) -> float:
        """The most that were under way at once in the last 30 to 60 seconds."""
        return self._peak.read(len(self._active))

    def clear(self) -> None:
        """Forget everything; for a forked child, whose parent goes on with the work."""
        self._active.clear()
        self._peak = Peak()
