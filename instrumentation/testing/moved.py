"""`moved`: an assertion that a metric moves while a block runs."""

from __future__ import annotations

import math
from itertools import pairwise
from types import TracebackType
from typing import Self, overload

from ..catalog import Kind, Metric
from ..recording.registry import Registry
from .value import Points, Selection, Total, number

_ROUNDING = 1e-12
"""Relative error of a total that the addition of floats may cause."""


class Change:
    """The change of a metric while the block ran.

    Attributes:
        by: how much a counter or a gauge rose, or how many observations a histogram gained; NaN until the block ends.
        mean: the mean of a histogram's new observations; NaN if there are none.
    """

    def __init__(
        self,
        selection: Selection,
        by: float | None,
        at_least: float | None,
        within: tuple[float, float] | None,
    ) -> None:
        self.by = math.nan
        self.mean = math.nan
        self._selection = selection
        self._by = by
        self._at_least = at_least
        self._within = within
        self._before: Points = {}

    def __enter__(self) -> Self:
        __tracebackhide__ = True
        self._before = self._selection.read()
        self._selection.total(self._before)  # raises before the block runs if more than one gauge is selected
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        if kind is not None:
            return
        after = self._selection.read()
        old, new = self._selection.total(self._before), self._selection.total(after)
        self.by = new.number - old.number
        problem = self._wrong_amount(_ROUNDING * max(abs(old.number), abs(new.number)))
        if self._selection.metric.kind is Kind.HISTOGRAM and self.by > 0:
            self.mean = (new.sum - old.sum) / self.by
            problem = problem or self._out_of_range(old, new)
        if problem:
            raise AssertionError(f"{self._selection}: {problem}\n{self._what_moved(after)}")

    def _wrong_amount(self, rounding: float) -> str:
        """Return an error message if the amount is wrong."""
        if self._by is not None:
            right, wanted = abs(self.by - self._by) <= rounding, f"a change by {self._by:.10g}"
        elif self._at_least is not None:
            right, wanted = self.by >= self._at_least - rounding, f"a change by at least {self._at_least:.10g}"
        else:
            right, wanted = self.by > 0, "an increase"
        counted = " in the number of observations" if self._selection.metric.kind is Kind.HISTOGRAM else ""
        return "" if right else f"expected {wanted}{counted}, got {self.by:.10g}"

    def _out_of_range(self, old: Total, new: Total) -> str:
        """Return an error message if new observations are outside the range."""
        if self._within is None:
            return ""
        low, high = self._within
        metric = self._selection.metric
        wanted = f"expected the new observations within {low:.10g} and {high:.10g} {metric.unit.suffix}".rstrip()
        bounds = pairwise((-math.inf, *metric.buckets, math.inf))
        for (above, upto), before, now in zip(bounds, old.counts, new.counts, strict=True):
            if now > before and (upto < low or above >= high):
                return f"{wanted}, got {now - before} of {self.by:.10g} in the bucket ({above:.10g}, {upto:.10g}]"
        rounding = _ROUNDING * max(abs(old.sum), abs(new.sum))
        if not low - rounding <= self.mean <= high + rounding:
            return f"{wanted}, got a mean of {self.mean:.10g}"
        return ""

    def _what_moved(self, after: Points) -> str:
        """Return one line for each series of the metric that moved; if none moved, for each series."""
        changes = {
            labels: number(point) - (number(self._before[labels]) if labels in self._before else 0)
            for labels, point in after.items()
        }
        moved = [(labels, f"by {change:.10g}") for labels, change in changes.items() if change]
        if moved:
            return f"series of {self._selection.metric.name} that moved:{self._selection.listed(moved)}"
        return f"no series of it moved; {self._selection.there_are(after)}"


@overload
def moved(
    metric: Metric,
    /,
    *,
    by: float | None = None,
    at_least: None = None,
    within: tuple[float, float] | None = None,
    registry: Registry | None = None,
    **labels: str,
) -> Change: ...
@overload
def moved(
    metric: Metric,
    /,
    *,
    by: None = None,
    at_least: float,
    within: tuple[float, float] | None = None,
    registry: Registry | None = None,
    **labels: str,
) -> Change: ...
def moved(
    metric: Metric,
    /,
    *,
    by: float | None = None,
    at_least: float | None = None,
    within: tuple[float, float] | None = None,
    registry: Registry | None = None,
    **labels: str,
) -> Change:
    """Assert that a metric moves while the block runs, unless the block itself raises.

    The value of a counter or a gauge must move, or the number of observations of a histogram. Some labels may be left
    out, as for `value`. A gauge without a series starts at 0.

    >>> import mnemoscope as scope
    >>> registry = scope.Registry()
    >>> insert = scope.index_write("spatiotemporal", registry=registry)(len)
    >>> written = scope.catalog.INDEX_WRITE_DURATION
    >>> with moved(written, outcome="ok", by=2, within=(0, 0.5), registry=registry) as change:
    ...     both = insert("an"), insert("episode")
    >>> change.by, change.mean < 0.5
    (2.0, True)

    Args:
        metric: a metric of the catalog, or your own metric.
        by: the exact change; 0 means that it must not move. If neither this nor `at_least` is given, any increase is
            right.
        at_least: the smallest change.
        within: the lowest and the highest value of new observations, in the metric's unit. Each observation must be in
            a bucket that overlaps the range, and their mean must be in the range.
        registry: where it is recorded; the default registry if not given.
        labels: values of labels that the series carry.

    Raises:
        AssertionError: at the end of the block, if it did not move that way; the message lists the series that moved.
        ValueError: the metric has no such label, the label never has that value, or the range cannot be met.
        TypeError: both `by` and `at_least` are given.
    """
    if by is not None and at_least is not None:
        raise TypeError("moved() takes by= or at_least=, not both")
    if within is not None and metric.kind is not Kind.HISTOGRAM:
        raise ValueError(f"{metric.name} is a {metric.kind.value}; only a histogram has observations within a range")
    if within is not None and not within[0] <= within[1]:
        raise ValueError(f"{metric.name}: within={within} holds no number; give the lowest first")
    return Change(Selection(metric, labels, registry), by, at_least, within)
