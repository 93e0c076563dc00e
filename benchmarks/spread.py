"""Medians and their spread, of values and of ratios of pairs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """The median of the rounds and their spread.

    Attributes:
        median: the median of the rounds.
        low: first quartile.
        high: third quartile.
        rounds: their number.
    """

    median: float
    low: float
    high: float
    rounds: int


def summarise(values: Sequence[float]) -> Summary:
    """Return median and quartiles of the rounds.

    Raises:
        ValueError: there is no round.

    >>> summarise([1.0, 2.0, 3.0, 4.0, 100.0])
    Summary(median=3.0, low=2.0, high=4.0, rounds=5)
    """
    if not values:
        raise ValueError("no round was measured")
    if len(values) == 1:
        return Summary(values[0], values[0], values[0], 1)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(median, low, high, len(values))


def paired_ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Return the ratio of each round: both values come from the same state of the machine, so its noise cancels out.

    A denominator at or below zero is a cost below the noise; its round is left out.

    Raises:
        ValueError: the two have not been measured in the same rounds.

    >>> paired_ratios([10.0, 30.0, 5.0], [2.0, 3.0, 0.0])
    [5.0, 10.0]
    """
    return [top / bottom for top, bottom in zip(numerators, denominators, strict=True) if bottom > 0]
