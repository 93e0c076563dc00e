"""Histograms whose quantiles are known exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction

from mnemoscope.instrumentation.catalog import Metric

from .series import MARGIN


def bound_text(bound: float | Decimal) -> str:
    """Return a bucket bound as Python's clients write it."""
    return repr(float(bound))


def bounds(metric: Metric) -> list[str]:
    """Return every bucket bound of `metric` as text, `+Inf` included."""
    return [*map(bound_text, metric.buckets), "+Inf"]


def cumulative(masses: Sequence[Fraction | int]) -> list[Fraction]:
    """Return cumulative buckets, of one mass for each bucket; the last mass lies above every bound."""
    total, found = Fraction(0), []
    for mass in masses:
        total += mass
        found.append(total)
    return found


def masses_of_quantile(metric: Metric, q: Fraction, value: Fraction, total: int) -> list[int]:
    """Return the masses of `total` observations whose quantile `q` is `value`.

    If `value` is no bucket bound, the quantile lies below it by at most `MARGIN`. Prometheus interpolates within one
    bucket, so the masses below, in and above the bucket of `value` decide the quantile.
    """
    edges = [Fraction(str(bound)) for bound in metric.buckets]
    at = next(index for index, edge in enumerate(edges) if value <= edge)
    low, high = (edges[at - 1] if at else Fraction(0)), edges[at]
    share = (value - low) / (high - low)
    if share < 1:
        # Interpolation meets a value to some digits only. Stay below it, so that a limit is never passed.
        share = max(share - MARGIN, MARGIN)
    masses = [0] * (len(edges) + 1)
    if share > q:
        masses[at] = -(-q * total // share)
        masses[at + 1] = total - masses[at]
    elif at:
        masses[at - 1] = -(-total * (q - share) // (1 - share))
        masses[at] = total - masses[at - 1]
    else:
        masses[at] = total
    return masses


def quantile_of_masses(metric: Metric, q: float, masses: Iterable[int]) -> float:
    """Return the quantile as Prometheus computes it."""
    masses = list(masses)
    rank, seen, low = q * sum(masses), 0, 0.0
    for bound, mass in zip(metric.buckets, masses, strict=False):
        if mass and seen + mass >= rank:
            return low + (bound - low) * ((rank - seen) / mass)
        seen, low = seen + mass, bound
    return metric.buckets[-1]
