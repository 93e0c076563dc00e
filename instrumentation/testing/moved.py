"""Assert by how much a metric moves while a block runs."""

from __future__ import annotations

import math
from itertools import pairwise
from types import TracebackType
from typing import Self, overload

from ..catalog import Kind, Metric
from ..recording.registry import Registry
from .value import Points, Selection, Total, number

_ROUNDING = 1e-12
"""How much of a total adding up floats may have cost."""


class Change:
    """What a metric did while the block ran.

    Attributes:
        by: how much a counter or a gauge rose, or how many observations a histogram gained; NaN until the block ended.
        mean: the mean of a histogram's new observations; NaN where there are none.
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
        self._selection.total(self._before)  # more than one gauge is said before the block runs
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
        """Return what is wrong with the amount, if anything is."""
        if self._by is not None:
            right, wanted = abs(self.by - self._by) <= rounding, f"a change by {self._by:.10g}"
        elif self._at_least is not None:
            right, wanted = self.by >= self._at_least - rounding, f"a change by at least {self._at_least:.10g}"
        else:
            right, wanted = self.by > 0, "an increase"
        counted = " in the number of observations" if self._selection.metric.kind is Kind.HISTOGRAM else ""
        return "" if right else f"expected {wanted}{counted}, got {self.by:.10g}"

    def _out_of_range(self, old: Total, new: Total) -> str:
        """Return what is wrong with where the new observations lie, if anything is."""
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
        """Return lines on every series of the metric that moved, or on those there are."""
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

    Of a counter or a gauge it is the value that has to move, of a histogram the number of observations. The labels may
    be some of the metric's, as for `value`. A gauge that is not there yet starts at 0.

    >>> import mnemoscope as scope
    >>> registry = scope.Registry()
    >>> insert = scope.index_write("spatiotemporal", registry=registry)(len)
    >>> written = scope.catalog.INDEX_WRITE_DURATION
    >>> with moved(written, outcome="ok", by=2, within=(0, 0.5), registry=registry) as change:
    ...     both = insert("an"), insert("episode")
    >>> change.by, change.mean < 0.5
    (2.0, True)

    Args:
        metric: a metric of the catalog, or of your own.
        by: how much, exactly; 0 says that it must not move. Any increase will do if neither this nor `at_least` is
            given.
        at_least: how much at least.
        within: the lowest and the highest value that each new observation may have, in the metric's unit: every one has
            to be in a bucket that reaches into the range, and their mean in the range.
        registry: where it is recorded; the default registry if not given.
        labels: values of labels that the series carry.

    Raises:
        AssertionError: at the end of the block, if it did not move so; the message lists the series that moved.
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
