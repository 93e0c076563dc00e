"""The shape of a catalog entry: one frozen, validated object a metric.

Rules, panels, runbook queries, documents and tests take a metric's name from its object.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_PREFIX = "mnemo"

_METRIC_NAME = re.compile(r"[a-z][a-z0-9]*(?:[._][a-z0-9]+)*\Z")
_WORD = re.compile(r"[a-z][a-z0-9_]*\Z")
_RESERVED_LABELS = frozenset({"le", "quantile", "job", "instance", "cluster"})


class Kind(StrEnum):
    """What a metric's number means over time; the values are Prometheus' type names."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


_SAMPLES = {Kind.COUNTER: ("_total",), Kind.GAUGE: ("",), Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}
"""The suffixes that the series of a metric add to its family name."""


class Source(StrEnum):
    """The reviewed system that needs a metric."""

    SLM = "SLM"
    WARM = "WARM"
    PLAN = "PLAN"
    AKI = "AKI"
    M17 = "M17"
    MNEMOSCOPE = "mnemoscope"


class Unit(StrEnum):
    """A UCUM unit, as OpenTelemetry writes it."""

    SECONDS = "s"
    BYTES = "By"
    RATIO = "1"
    COUNT = "{count}"

    @property
    def suffix(self) -> str:
        """The unit as a word of a Prometheus metric name; empty if names carry none."""
        return {"s": "seconds", "By": "bytes"}.get(self.value, "")


class Across(StrEnum):
    """How the gauges of several processes become one number; counters and histograms are always added up.

    The gauge of a process that has ended is left out, except with LATEST.
    """

    SUM = "sum"
    MAX = "max"
    MIN = "min"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Label:
    """One dimension of a metric.

    Attributes:
        name: lower-case letters, digits and underscores.
        help: what the values mean.
        values: the closed set of values; any other is recorded as `other`. If empty, the label is open, and the cap on
            label sets per metric limits it.
        example: a realistic value, for tests and documents.

    Raises:
        ValueError: a label may not have this name.
    """

    name: str
    help: str
    values: tuple[str, ...] = ()
    example: str = ""

    def __post_init__(self) -> None:
        if not _WORD.match(self.name):
            raise ValueError(f"label {self.name!r}: use lower-case letters, digits and underscores")
        if self.name in _RESERVED_LABELS:
            raise ValueError(f"label {self.name!r} is reserved by Prometheus or the scrape configuration")

    replace = dataclasses.replace

    @property
    def sample(self) -> str:
        """A value that this label can carry."""
        return self.values[0] if self.values else self.example or self.name


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric; two objects are never equal. Declare it with `counter`, `gauge` or `histogram`.

    Attributes:
        name: dotted OpenTelemetry name without the prefix, such as `lock.wait.duration`.
        kind: counter, gauge or histogram.
        unit: durations are always seconds, sizes always bytes, ratios always 0 to 1.
        help: one sentence, capitalised, without a period, as `# HELP` shows it.
        labels: the dimensions, in the order in which a point carries their values.
        buckets: finite upper bounds of a histogram, ascending; `+Inf` is implied.
        sources: the reviewed systems that need it.
        across: how gauges of several processes are merged, in multi-process mode.
        label_names: the names of the labels, in the same order.

    Raises:
        ValueError: the parts contradict each other (a counter with buckets, say).
    """

    name: str
    kind: Kind
    unit: Unit
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    sources: tuple[Source, ...] = ()
    across: Across = Across.SUM
    label_names: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _METRIC_NAME.match(self.name):
            raise ValueError(f"metric {self.name!r}: use dotted lower-case words")
        if not self.help or self.help.endswith("."):
            raise ValueError(f"metric {self.name}: help is one sentence without a period")
        names = tuple(label.name for label in self.labels)
        if len(set(names)) != len(names):
            raise ValueError(f"metric {self.name}: duplicate label")
        if (self.kind is Kind.HISTOGRAM) != bool(self.buckets):
            raise ValueError(f"metric {self.name}: histograms, and only they, have buckets")
        if any(not math.isfinite(b) for b in self.buckets) or list(self.buckets) != sorted(set(self.buckets)):
            raise ValueError(f"metric {self.name}: buckets are finite and ascend strictly")
        object.__setattr__(self, "label_names", names)  # a frozen object has no other way to set a derived field

    replace = dataclasses.replace

    def label(self, name: str) -> Label:
        """Return the label called `name`.

        Raises:
            KeyError: the metric has no such label.
        """
        for label in self.labels:
            if label.name == name:
                return label
        raise KeyError(f"{self.name} has no label {name!r}; it has {', '.join(self.label_names) or 'none'}")

    def otel_name(self, prefix: str = DEFAULT_PREFIX) -> str:
        """Return the name in OTLP: `mnemo.lock.wait.duration`."""
        return f"{prefix}.{self.name}" if prefix else self.name

    def family(self, prefix: str = DEFAULT_PREFIX) -> str:
        """Return the Prometheus family name, which OpenMetrics' `# TYPE` carries (a counter's without `_total`)."""
        return f"{prefix}_{self._stem}" if prefix else self._stem

    @property
    def _stem(self) -> str:
        """The family name without a prefix."""
        stem = self.name.replace(".", "_")
        suffix = self.unit.suffix
        if not suffix and self.unit is Unit.RATIO and self.kind is Kind.GAUGE:
            suffix = "ratio"
        return f"{stem}_{suffix}" if suffix and not f"_{stem}".endswith(f"_{suffix}") else stem

    def prometheus_name(self, prefix: str = DEFAULT_PREFIX) -> str:
        """Return the name in queries, which Prometheus also derives from the OTLP name and unit.

        A histogram's is without `_bucket`, `_sum` or `_count`.
        """
        family = self.family(prefix)
        return f"{family}_total" if self.kind is Kind.COUNTER else family

    def sample_names(self, prefix: str = DEFAULT_PREFIX) -> tuple[str, ...]:
        """Return every series name that a scrape shows for this metric."""
        return tuple(self.family(prefix) + suffix for suffix in _SAMPLES[self.kind])

    def exposed_names(self) -> frozenset[str]:
        """Return every name that the metric takes up in any Prometheus format, without a prefix.

        These are the names of the family and the samples, and `_created`, which OpenMetrics reserves for counters and
        histograms. Two metrics that share one of them cannot stand on the same page.

        >>> from mnemoscope.catalog import counter
        >>> sorted(counter("orders.placed", "Orders").exposed_names())
        ['orders_placed', 'orders_placed_created', 'orders_placed_total']
        """
        created = () if self.kind is Kind.GAUGE else ("_created",)
        return frozenset(self._stem + suffix for suffix in ("", *_SAMPLES[self.kind], *created))


def valid_prefix(prefix: str) -> str:
    """Return `prefix`, if it can start a metric name.

    Raises:
        ValueError: it holds anything but lower-case letters, digits and underscores.
    """
    if not _WORD.match(prefix):
        raise ValueError(f"prefix {prefix!r}: start with a letter; lower-case letters, digits and underscores only")
    return prefix
