"""Input series for rule tests, in promtool's notation, with values that are known exactly.

Rates and sums are floats, added up in the order in which the series are stored, so the last bits of a value are
unknown. Therefore a value within a limit keeps a small margin to it, and a value in an annotation is never a tie
between two roundings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from mnemoscope import promql
from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Part

from .clock import Clock

CLUSTER = "eu-1"

MARGIN = Fraction(1, 10**9)
"""How far within a limit a value lies, as a share of the limit: far more than floats lose, far less than matters."""

EXCESS = Fraction(1, 20)
"""How far beyond a limit a value lies, as a share of the limit."""


@dataclass(frozen=True, slots=True)
class Series:
    """One input series: its full name, and its samples in promtool's expanding notation."""

    name: str
    values: str


@dataclass(frozen=True, slots=True)
class Phase:
    """Rates per second, by series, that hold for a while (milliseconds)."""

    duration: int
    rates: tuple[Fraction, ...]


# Names and labels ---------------------------------------------------------------------------------


def identity(settings: Settings, instance: str = "a", cluster: str = CLUSTER) -> dict[str, str]:
    """Return the labels that the scrape of one instance gives; no cluster label if `cluster` is empty."""
    labels = {"job": settings.job}
    if cluster:
        labels[settings.cluster_label] = cluster
    return {**labels, **settings.selectors, **{name: f"{name}-{instance}" for name in settings.instance_labels}}


def without_instance(settings: Settings, labels: Mapping[str, str]) -> dict[str, str]:
    """Return `labels` without those of one process, as a record keeps them."""
    return {name: value for name, value in labels.items() if name not in settings.instance_labels}


def labels_of(metric: Metric, **chosen: str) -> dict[str, str]:
    """Return a value for each label of `metric`: the chosen value, or a sample."""
    return {label.name: chosen.get(label.name, label.sample) for label in metric.labels}


def metric_series(
    settings: Settings, metric: Metric, labels: Mapping[str, str], part: Part = "", le: str | None = None
) -> str:
    """Return the full name of a series of `metric`."""
    every = {**labels, "le": le} if le is not None else labels
    return full_name(settings.queries.name(metric, part), every)


def full_name(name: str, labels: Mapping[str, str]) -> str:
    """Return `name{label="value", ...}`."""
    return name + "{" + ", ".join(str(promql.Matcher(k, "=", v)) for k, v in labels.items()) + "}"


# Values -------------------------------------------------------------------------------------------


def beyond(limit: Fraction, most: Fraction) -> Fraction:
    """Return a value a little above `limit`, and nearer to it than to `most`, the largest possible value."""
    return _short(min(limit * (1 + EXCESS), (limit + most) / 2), limit)


def beneath(limit: Fraction) -> Fraction:
    """Return a value a little below `limit`."""
    return _short(limit * (1 - EXCESS), limit)


def _short(value: Fraction, limit: Fraction) -> Fraction:
    # Annotations show four digits: a value of three digits is shown exactly, whatever its last bits are.
    for digits in range(3, 15):
        rounded = Fraction(f"{float(value):.{digits - 1}e}")
        if abs(rounded - value) <= abs(value - limit) / 2:
            return rounded
    return value


# Samples ------------------------------------------------------------------------------------------


def counters(clock: Clock, names: Sequence[str], phases: Sequence[Phase]) -> list[Series]:
    """Return counters that rise from zero at the rates of each phase in turn."""
    return [
        Series(name, _rising(clock, [(phase.duration, phase.rates[at]) for phase in phases]))
        for at, name in enumerate(names)
    ]


def constant(value: Fraction | int, clock: Clock, span: int) -> str:
    """Return the samples of a gauge that stays at `value`."""
    return f"{_number(Fraction(value))}x{clock.samples(span)}"


def slower(phase: Phase, factor: Fraction) -> Phase:
    """Return a phase with the same shares of events, and `factor` times as many of them."""
    return replace(phase, rates=tuple(rate * factor for rate in phase.rates))


def _number(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.15g}"


def _rising(clock: Clock, phases: Sequence[tuple[int, Fraction]]) -> str:
    parts, value = [], Fraction(0)
    for at, (span, rate) in enumerate(phases):
        step, count = rate * clock.scrape / 1000, clock.samples(span)
        if at == 0:
            parts.append(f"0+{_number(step)}x{count}")
        elif count:
            parts.append(f"{_number(value + step)}+{_number(step)}x{count - 1}")
        value += step * count
    return " ".join(parts)
