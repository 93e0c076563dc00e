"""Building of PromQL expressions from catalog metrics and typed matchers.

A selector with a label that the metric does not have raises here, so it cannot become an empty panel later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from mnemoscope.instrumentation.catalog import DEFAULT_PREFIX, Kind, Metric

Part = Literal["", "bucket", "sum", "count"]

# Labels that the scrape adds to every series; a query can match them on any metric.
TARGET_LABELS = frozenset({"job", "instance", "cluster", "namespace", "pod", "container", "endpoint", "service"})


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label matcher, such as `outcome!="ok"`."""

    label: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.op}"{escaped}"'


def le(bound: float | Decimal) -> Matcher:
    """Return the matcher of a bucket bound; it matches both `1` and `1.0`."""
    text = f"{Decimal(str(bound)).normalize():f}"
    if "." in text:
        return Matcher("le", "=", text)
    return Matcher("le", "=~", rf"{text}(\.0)?")


@dataclass(frozen=True, slots=True)
class Queries:
    """A builder of selectors with one prefix; `matchers` are added to every selector.

    >>> from mnemoscope.instrumentation import catalog
    >>> Queries().rate(catalog.CACHE_LOOKUPS, "5m", result="hit")
    'rate(mnemo_cache_lookups_total{result="hit"}[5m])'
    """

    prefix: str = DEFAULT_PREFIX
    matchers: tuple[Matcher, ...] = ()

    def name(self, metric: Metric, part: Part = "") -> str:
        """Return the series name; for a histogram, `part` selects one of its series."""
        if (metric.kind is Kind.HISTOGRAM) != bool(part):
            raise ValueError(f"{metric.name}: a histogram is queried by part (bucket, sum, count), others are not")
        name = metric.prometheus_name(self.prefix)
        return f"{name}_{part}" if part else name

    def series(self, metric: Metric, *matchers: Matcher, part: Part = "", **equals: str) -> str:
        """Return an instant selector: `name{...}`.

        Raises:
            KeyError: a matcher names a label that the metric does not have.
            ValueError: a matched value is outside the label's closed set.
        """
        wanted = [Matcher(label, "=", value) for label, value in equals.items()]
        wanted += matchers
        for matcher in wanted:
            _check(metric, matcher, part)
        return self.name(metric, part) + _braces((*self.matchers, *wanted))

    def rate(self, metric: Metric, window: str, *matchers: Matcher, part: Part = "", **equals: str) -> str:
        """Return `rate(selector[window])`."""
        return f"rate({self.series(metric, *matchers, part=part, **equals)}[{window}])"

    def increase(self, metric: Metric, window: str, *matchers: Matcher, part: Part = "", **equals: str) -> str:
        """Return `increase(selector[window])`."""
        return f"increase({self.series(metric, *matchers, part=part, **equals)}[{window}])"

    def record(self, name: str, *matchers: Matcher) -> str:
        """Return a selector of a recording rule's series."""
        return name + _braces((*self.matchers, *matchers))

    def up(self, *matchers: Matcher) -> str:
        """Return a selector of the scrape's own series `up`."""
        return self.record("up", *matchers)


def without(labels: Iterable[str], expression: str, function: str = "sum") -> str:
    """Return `sum without (a, b) (expression)`; the sum keeps every other label."""
    return f"{function} without ({', '.join(labels)}) ({expression})"


def by(labels: Iterable[str], expression: str, function: str = "sum") -> str:
    """Return `sum by (a, b) (expression)`."""
    return f"{function} by ({', '.join(labels)}) ({expression})"


def quantile(q: float, buckets: str) -> str:
    """Return `histogram_quantile(q, buckets)`; `buckets` is an aggregated rate of `_bucket` series that keeps `le`."""
    return f"histogram_quantile({q:g}, {buckets})"


def ratio(numerator: str, denominator: str) -> str:
    """Return a quotient that is absent, rather than NaN, where the denominator is zero."""
    return f"{numerator} / ({denominator} > 0)"


def _braces(matchers: Iterable[Matcher]) -> str:
    text = ", ".join(str(matcher) for matcher in matchers)
    return f"{{{text}}}" if text else ""


def _check(metric: Metric, matcher: Matcher, part: Part) -> None:
    if matcher.label in TARGET_LABELS or (matcher.label == "le" and part == "bucket"):
        return
    label = metric.label(matcher.label)
    if label.values and matcher.op in ("=", "!=") and matcher.value and matcher.value not in label.values:
        raise ValueError(f"{metric.name}: {matcher.label} is one of {', '.join(label.values)}, not {matcher.value!r}")
