"""Input series for rule tests, in promtool's notation, with values that are known exactly.

Times are whole milliseconds. Rates and sums are floats, added up in whatever order the series were stored, so the
last bits of a value are nobody's: what has to lie within a limit lies a hair within it, and what is shown in
an annotation is no tie between two roundings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from mnemoscope import promql
from mnemoscope.instrumentation.catalog import Label, Metric
from mnemoscope.model import units
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Part

CLUSTER = "eu-1"

HAIR = Fraction(1, 10**9)
"""What tells a value from a limit, as a share of it: far more than floats lose, far less than matters."""

EXCESS = Fraction(1, 20)
"""How far beyond a limit a value lies that has to fire: five in a hundred."""


@dataclass(frozen=True, slots=True)
class Series:
    """One input series: a selector and promtool's expanding notation of its samples."""

    series: str
    values: str


@dataclass(frozen=True, slots=True)
class Clock:
    """When samples are scraped and rules are evaluated, in milliseconds."""

    scrape: int
    evaluation: int

    @classmethod
    def of(cls, settings: Settings) -> Clock:
        """The clock of a site."""
        return cls(milliseconds(settings.scrape_interval), milliseconds(settings.evaluation_interval))

    def evaluated(self, moment: int) -> int:
        """The first evaluation at or after `moment`."""
        return -(-moment // self.evaluation) * self.evaluation

    @property
    def first_rate(self) -> int:
        """The first evaluation at which a rate of a series that began at 0 exists: it takes two samples."""
        return self.evaluated(self.scrape)

    def samples(self, duration: int) -> int:
        """How many samples cover `duration`."""
        return -(-duration // self.scrape)


@dataclass(frozen=True, slots=True)
class Phase:
    """Rates per second, by series, that hold for a while."""

    duration: int
    rates: tuple[Fraction, ...]


def milliseconds(duration: str) -> int:
    """A Prometheus duration in milliseconds."""
    return round(units.seconds(duration) * 1000)


def duration(moment: int) -> str:
    """Milliseconds as a Prometheus duration."""
    return f"{moment // 1000}s" if moment % 1000 == 0 else f"{moment}ms"


def identity(settings: Settings, instance: str = "a", cluster: str = CLUSTER) -> dict[str, str]:
    """The labels that the scrape of one instance gives; without a cluster label where `cluster` is empty."""
    labels = {"job": settings.job}
    if cluster:
        labels[settings.cluster_label] = cluster
    return {**labels, **settings.selectors, **{name: f"{name}-{instance}" for name in settings.instance_labels}}


def kept(settings: Settings, labels: Mapping[str, str]) -> dict[str, str]:
    """`labels` without those of one process: what a record keeps."""
    return {name: value for name, value in labels.items() if name not in settings.instance_labels}


def samples_of(metric: Metric, **chosen: str) -> dict[str, str]:
    """A value for each label of `metric`: the one chosen, or one that it may really carry."""
    return {label.name: chosen.get(label.name, _sample(label)) for label in metric.labels}


def selector(
    settings: Settings, metric: Metric, labels: Mapping[str, str], part: Part = "", le: str | None = None
) -> str:
    """A full series name of `metric`."""
    every = {**labels, "le": le} if le is not None else labels
    return named(settings.queries.name(metric, part), every)


def named(name: str, labels: Mapping[str, str]) -> str:
    """A full series name."""
    return name + "{" + ", ".join(str(promql.Matcher(k, "=", v)) for k, v in labels.items()) + "}"


def beyond(limit: Fraction, most: Fraction) -> Fraction:
    """A value a little above `limit`, and nearer to it than to `most`, the largest that can be measured."""
    return _plain(min(limit * (1 + EXCESS), (limit + most) / 2), limit)


def beneath(limit: Fraction) -> Fraction:
    """A value a little below `limit`."""
    return _plain(limit * (1 - EXCESS), limit)


def _plain(value: Fraction, limit: Fraction) -> Fraction:
    # Annotations show four digits: a value of three is shown as it is, whatever its last bits came to.
    for digits in range(3, 15):
        rounded = Fraction(f"{float(value):.{digits - 1}e}")
        if abs(rounded - value) <= abs(value - limit) / 2:
            return rounded
    return value


def counters(clock: Clock, names: Sequence[str], phases: Sequence[Phase]) -> list[Series]:
    """Counters that rise from zero at the rates of each phase in turn."""
    return [
        Series(name, _rising(clock, [(phase.duration, phase.rates[at]) for phase in phases]))
        for at, name in enumerate(names)
    ]


def constant(value: Fraction | int, clock: Clock, span: int) -> str:
    """A gauge that stays at `value`."""
    return f"{text(Fraction(value))}x{clock.samples(span)}"


def bound_text(bound: float) -> str:
    """A bucket bound as Python's clients write it."""
    return repr(float(bound))


def text(number: Fraction) -> str:
    """A number as promtool reads it."""
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.15g}"


def cumulative(metric: Metric, masses: Sequence[Fraction]) -> list[tuple[str, Fraction]]:
    """Cumulative buckets out of one mass a bucket, the last being what is above every bound."""
    total, buckets = Fraction(0), []
    for bound, mass in zip([*map(bound_text, metric.buckets), "+Inf"], masses, strict=True):
        total += mass
        buckets.append((bound, total))
    return buckets


def quantile_masses(metric: Metric, q: Fraction, value: Fraction, total: int) -> list[int]:
    """Masses of `total` observations whose quantile `q` is `value`, or a hair below it where it is no bucket bound.

    A quantile is found by going along its bucket in proportion, so the masses below, in and above the bucket
    of `value` decide it.
    """
    bounds = [Fraction(str(bound)) for bound in metric.buckets]
    at = next(index for index, bound in enumerate(bounds) if value <= bound)
    low, high = (bounds[at - 1] if at else Fraction(0)), bounds[at]
    share = (value - low) / (high - low)
    if share < 1:
        # Within a bucket a value is met to some digits only: stay below, so that a limit is never passed.
        share = max(share - HAIR, HAIR)
    masses = [0] * (len(bounds) + 1)
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
    """The quantile as Prometheus computes it."""
    masses = list(masses)
    rank, seen, low = q * sum(masses), 0, 0.0
    for bound, mass in zip(metric.buckets, masses, strict=False):
        if mass and seen + mass >= rank:
            return low + (bound - low) * ((rank - seen) / mass)
        seen, low = seen + mass, bound
    return metric.buckets[-1]


def slower(phase: Phase, factor: Fraction) -> Phase:
    """The same mixture, less often."""
    return replace(phase, rates=tuple(rate * factor for rate in phase.rates))


def _sample(label: Label) -> str:
    return label.sample


def _rising(clock: Clock, phases: Sequence[tuple[int, Fraction]]) -> str:
    parts, value = [], Fraction(0)
    for at, (span, rate) in enumerate(phases):
        step, count = rate * clock.scrape / 1000, clock.samples(span)
        if at == 0:
            parts.append(f"0+{text(step)}x{count}")
        elif count:
            parts.append(f"{text(value + step)}+{text(step)}x{count - 1}")
        value += step * count
    return " ".join(parts)
