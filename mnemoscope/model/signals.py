"""How a threshold alert computes its value from the metric of its threshold.

A signal is data. `alerts/rules/signals.py` turns it into PromQL, and `alerts/rule_tests/signals.py` into series that
have a given value. Its `kinds` are the kinds of metric that it applies to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mnemoscope.instrumentation.catalog import Kind


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of a histogram, over the rate window. A recording rule computes it.

    Attributes:
        percent: 99 for p99.
        dropped: labels of the metric that are summed away.
        only: label and value pairs of the observations that count; all count by default.
    """

    kinds: ClassVar[tuple[Kind, ...]] = (Kind.HISTOGRAM,)

    percent: int
    dropped: tuple[str, ...] = ()
    only: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """The share of a counter's events, or of a histogram's observations, that carry one value of a label.

    Attributes:
        label: the label that separates the events; it is summed away.
        counted: its value on the events that count.
        rest: a value that other events carry. Rule tests use it.
        dropped: further labels of the metric that are summed away.
    """

    kinds: ClassVar[tuple[Kind, ...]] = (Kind.COUNTER, Kind.HISTOGRAM)

    label: str
    counted: str
    rest: str
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a histogram's observations over the rate window."""

    kinds: ClassVar[tuple[Kind, ...]] = (Kind.HISTOGRAM,)


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest value of a gauge within the rate window, of the highest instance."""

    kinds: ClassVar[tuple[Kind, ...]] = (Kind.GAUGE,)


Signal = Quantile | Share | Mean | Peak
