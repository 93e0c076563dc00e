"""The shape of a catalog entry: one frozen, validated object a metric.

Everything that names a metric (rules, panels, runbook queries, documents, tests) takes the name from here,
so that a rename or a new prefix happens in one place.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Any, NoReturn, Self

DEFAULT_PREFIX = "mnemo"

_DOTTED = re.compile(r"[a-z][a-z0-9]*(?:[._][a-z0-9]+)*\Z")
_LABEL = re.compile(r"[a-z][a-z0-9_]*\Z")
_PREFIX = re.compile(r"[a-z][a-z0-9_]*\Z")
_RESERVED_LABELS = frozenset({"le", "quantile", "job", "instance", "cluster"})


class Kind(StrEnum):
    """What a metric's number means over time; the values are Prometheus' type names."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Area(StrEnum):
    """The part of a service that a metric speaks of; boards and the reference page are ordered by it."""

    LOCKS = "locks"
    INDEX = "index"
    CACHE = "cache"
    STORAGE = "storage"
    COMPLETIONS = "completions"
    RECALL = "recall"
    DUAL_MEMORY = "dual memory"
    COGNITIVE = "cognitive"
    PATTERNS = "patterns"
    LIMITS = "limits"
    SERVICE = "service"
    ROLLOUT = "rollout"
    SELF = "instrumentation"


class Source(StrEnum):
    """The reviewed system that asks for a metric."""

    SLM = "SLM"
    WARM = "WARM"
    PLAN = "PLAN"
    AKI = "AKI"
    M17 = "M17"
    MNEMOSCOPE = "mnemoscope"


class Unit(StrEnum):
    """A UCUM unit, as OpenTelemetry writes it; Prometheus' name suffix derives from it."""

    SECONDS = "s"
    BYTES = "By"
    RATIO = "1"
    COUNT = "{count}"

    @property
    def suffix(self) -> str:
        """The unit as a word of a Prometheus metric name; empty where names carry none."""
        return {"s": "seconds", "By": "bytes"}.get(self.value, "")


class Across(StrEnum):
    """How a gauge of several processes becomes one number; counters and histograms are always added up.

    A gauge goes with its process; only LATEST keeps what a process that has ended said.
    """

    SUM = "sum"
    MAX = "max"
    MIN = "min"
    LATEST = "latest"


class _Frozen:
    """What its constructor made it, for good. Written out: `dataclasses` is a third of what this package imports."""

    __slots__ = ()
    _arguments: tuple[str, ...] = ()
    """The constructor's, in its order; each has an attribute of its name."""

    def replace(self, **changes: Any) -> Self:
        """Another one, in which these arguments are changed.

        Raises:
            TypeError: there is no such argument.
            ValueError: the parts contradict each other.
        """
        return type(self)(**{**dict(zip(self._arguments, self._values(), strict=True)), **changes})

    __replace__ = replace  # copy.replace, from Python 3.13 on

    def _become(self, **attributes: object) -> None:
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot set {name!r}: a {type(self).__name__} does not change; make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name!r}: a {type(self).__name__} does not change")

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in zip(self._arguments, self._values(), strict=True))
        return f"{type(self).__name__}({said})"


class Label(_Frozen):
    """One dimension of a metric.

    Attributes:
        name: lower-case letters, digits and underscores.
        help: what it tells apart.
        values: closes the set: any other value is recorded as `other`. Empty means open, and then the cap on label
            sets per metric bounds it.
        example: a realistic value, for tests and documents.

    Raises:
        ValueError: the name is none that a label may have.
    """

    __slots__ = _arguments = ("name", "help", "values", "example")
    name: str
    help: str
    values: tuple[str, ...]
    example: str

    def __init__(self, name: str, help: str, values: tuple[str, ...] = (), example: str = "") -> None:
        if not _LABEL.match(name):
            raise ValueError(f"label {name!r}: use lower-case letters, digits and underscores")
        if name in _RESERVED_LABELS:
            raise ValueError(f"label {name!r} is reserved by Prometheus or the scrape configuration")
        self._become(name=name, help=help, values=values, example=example)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Label) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    @property
    def sample(self) -> str:
        """A value that this label may really carry."""
        return self.values[0] if self.values else self.example or self.name


class Metric(_Frozen):
    """One thing that is measured. Two metrics are the same when they are one: recording looks them up often.

    Attributes:
        name: dotted OpenTelemetry name without the prefix, such as `lock.wait.duration`.
        kind: counter, gauge or histogram.
        unit: UCUM unit; durations are always seconds, sizes always bytes, ratios always 0 to 1.
        help: one sentence, capitalised, without a period, as `# HELP` shows it.
        labels: the dimensions, in the order in which a point carries their values.
        buckets: finite upper bounds of a histogram, ascending; `+Inf` is implied.
        area: the part of a service it belongs to.
        sources: the reviews that ask for it.
        across: how the gauges of several processes are merged, in multi-process mode.
        label_names: the names of the labels, in the same order.

    Raises:
        ValueError: the parts contradict each other (a counter with buckets, say).
    """

    _arguments = ("name", "kind", "unit", "help", "area", "labels", "buckets", "sources", "across")
    __slots__ = (*_arguments, "label_names")
    name: str
    kind: Kind
    unit: Unit
    help: str
    area: Area
    labels: tuple[Label, ...]
    buckets: tuple[float, ...]
    sources: tuple[Source, ...]
    across: Across
    label_names: tuple[str, ...]

    def __init__(
        self,
        name: str,
        kind: Kind,
        unit: Unit,
        help: str,
        area: Area,
        labels: tuple[Label, ...] = (),
        buckets: tuple[float, ...] = (),
        sources: tuple[Source, ...] = (),
        across: Across = Across.SUM,
    ) -> None:
        if not _DOTTED.match(name):
            raise ValueError(f"metric {name!r}: use dotted lower-case words")
        if not help or help.endswith("."):
            raise ValueError(f"metric {name}: help is one sentence without a period")
        names = tuple(label.name for label in labels)
        if len(set(names)) != len(names):
            raise ValueError(f"metric {name}: duplicate label")
        if (kind is Kind.HISTOGRAM) != bool(buckets):
            raise ValueError(f"metric {name}: histograms, and only they, have buckets")
        if any(not math.isfinite(b) for b in buckets) or list(buckets) != sorted(set(buckets)):
            raise ValueError(f"metric {name}: buckets are finite and ascend strictly")
        self._become(
            name=name,
            kind=kind,
            unit=unit,
            help=help,
            area=area,
            labels=labels,
            buckets=buckets,
            sources=sources,
            across=across,
            label_names=names,
        )

    def label(self, name: str) -> Label:
        """The label called `name`.

        Raises:
            KeyError: the metric has no such label.
        """
        for label in self.labels:
            if label.name == name:
                return label
        raise KeyError(f"{self.name} has no label {name!r}; it has {', '.join(self.label_names) or 'none'}")

    def otel_name(self, prefix: str = DEFAULT_PREFIX) -> str:
        """The name that OTLP carries: `mnemo.lock.wait.duration`."""
        return f"{prefix}.{self.name}" if prefix else self.name

    def family(self, prefix: str = DEFAULT_PREFIX) -> str:
        """The Prometheus family name, which OpenMetrics' `# TYPE` carries (a counter's without `_total`)."""
        base = self.otel_name(prefix).replace(".", "_")
        suffix = self.unit.suffix
        if not suffix and self.unit is Unit.RATIO and self.kind is Kind.GAUGE:
            suffix = "ratio"
        if suffix and not base.endswith("_" + suffix):
            base = f"{base}_{suffix}"
        return base

    def prometheus_name(self, prefix: str = DEFAULT_PREFIX) -> str:
        """The name a query uses; a histogram's without `_bucket`, `_sum` or `_count`.

        Prometheus derives the same one from the OTLP name and unit.
        """
        family = self.family(prefix)
        return f"{family}_total" if self.kind is Kind.COUNTER else family

    def sample_names(self, prefix: str = DEFAULT_PREFIX) -> tuple[str, ...]:
        """Every series name a scrape shows for this metric."""
        name = self.prometheus_name(prefix)
        if self.kind is Kind.HISTOGRAM:
            return (f"{name}_bucket", f"{name}_sum", f"{name}_count")
        return (name,)


def valid_prefix(prefix: str) -> str:
    """`prefix`, if it may start a metric name.

    Raises:
        ValueError: it holds anything but lower-case letters, digits and underscores.
    """
    if not _PREFIX.match(prefix):
        raise ValueError(f"prefix {prefix!r}: start with a letter; lower-case letters, digits and underscores only")
    return prefix
