"""Write and read PromQL with the catalog at hand.

Writing: `Queries` turns a catalog metric and typed matchers into a selector; a label that the metric does
not have is an error here, not an empty panel later. Reading: `selectors` lists what an expression asks
for, so that checks can hold it against the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import promql_parser as pp

from mnemoscope.errors import MnemoscopeError
from mnemoscope.instrumentation.catalog import DEFAULT_PREFIX, Kind, Metric

Part = Literal["", "bucket", "sum", "count"]

# Labels that the scrape, not the metric, gives a series; matching on them is always right.
TARGET_LABELS = frozenset({"job", "instance", "cluster", "namespace", "pod", "container", "endpoint", "service"})

_GRAFANA_DURATIONS = {
    "$__rate_interval": "5m",
    "${__rate_interval}": "5m",
    "$__interval": "1m",
    "${__interval}": "1m",
    "$__range": "1h",
    "${__range}": "1h",
}


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
    """The matcher of a bucket bound, whichever way a server or a client writes the number."""
    text = f"{Decimal(str(bound)).normalize():f}"
    if "." in text:
        return Matcher("le", "=", text)
    return Matcher("le", "=~", rf"{text}(\.0)?")


@dataclass(frozen=True, slots=True)
class Queries:
    """Selectors for one prefix; `matchers` are added to every one of them.

    >>> from mnemoscope.instrumentation import catalog
    >>> Queries().rate(catalog.CACHE_LOOKUPS, "5m", result="hit")
    'rate(mnemo_cache_lookups_total{result="hit"}[5m])'
    """

    prefix: str = DEFAULT_PREFIX
    matchers: tuple[Matcher, ...] = ()

    def name(self, metric: Metric, part: Part = "") -> str:
        """The series name; for a histogram, `part` says which of its series."""
        if (metric.kind is Kind.HISTOGRAM) != bool(part):
            raise ValueError(f"{metric.name}: a histogram is queried by part (bucket, sum, count), others are not")
        name = metric.prometheus_name(self.prefix)
        return f"{name}_{part}" if part else name

    def series(self, metric: Metric, *matchers: Matcher, part: Part = "", **equals: str) -> str:
        """An instant selector: `name{...}`.

        Raises:
            KeyError: a matcher names a label that the metric does not have.
            ValueError: a matched value lies outside the label's closed set.
        """
        wanted = [Matcher(label, "=", value) for label, value in equals.items()]
        wanted += matchers
        for matcher in wanted:
            _check(metric, matcher, part)
        return self.name(metric, part) + _braces((*self.matchers, *wanted))

    def rate(self, metric: Metric, window: str, *matchers: Matcher, part: Part = "", **equals: str) -> str:
        """`rate(selector[window])`."""
        return f"rate({self.series(metric, *matchers, part=part, **equals)}[{window}])"

    def increase(self, metric: Metric, window: str, *matchers: Matcher, part: Part = "", **equals: str) -> str:
        """`increase(selector[window])`."""
        return f"increase({self.series(metric, *matchers, part=part, **equals)}[{window}])"

    def record(self, name: str, *matchers: Matcher) -> str:
        """A selector of a recording rule's series."""
        return name + _braces((*self.matchers, *matchers))

    def up(self, *matchers: Matcher) -> str:
        """A selector of the scrape's own `up`."""
        return self.record("up", *matchers)


def without(labels: Iterable[str], expression: str, function: str = "sum") -> str:
    """`sum without (a, b) (expression)`; every other label is kept, whatever the site calls it."""
    return f"{function} without ({', '.join(labels)}) ({expression})"


def by(labels: Iterable[str], expression: str, function: str = "sum") -> str:
    """`sum by (a, b) (expression)`."""
    return f"{function} by ({', '.join(labels)}) ({expression})"


def quantile(q: float, buckets: str) -> str:
    """`histogram_quantile(q, buckets)`; `buckets` is a rate of `_bucket` series, aggregated, with `le` kept."""
    return f"histogram_quantile({q:g}, {buckets})"


def ratio(numerator: str, denominator: str) -> str:
    """A quotient that is absent, not NaN, where the denominator is zero."""
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


# Reading ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector of an expression: name, matchers, range in seconds (None for an instant selector)."""

    name: str
    matchers: tuple[Matcher, ...]
    range_seconds: float | None = None
    function: str = ""


def parse(expression: str) -> pp.Expr:
    """The syntax tree of `expression`; Grafana's interval variables stand for plausible durations.

    Raises:
        MnemoscopeError: it is not PromQL; the message carries the parser's reason.
    """
    text = expression
    for variable, duration in _GRAFANA_DURATIONS.items():
        text = text.replace(variable, duration)
    try:
        return pp.parse(text)
    except ValueError as error:
        reason = str(error).splitlines()[-1] if str(error) else "syntax error"
        raise MnemoscopeError(f"not PromQL: {expression!r}: {reason}", exit_code=1) from None


def selectors(expression: str) -> list[Selector]:
    """Every selector of `expression`, in the order they are written.

    Raises:
        MnemoscopeError: it is not PromQL.
    """
    return list(_walk(parse(expression), ""))


def _walk(node: object, function: str) -> Iterator[Selector]:
    match node:
        case pp.VectorSelector():
            yield _selector(node, None, function)
        case pp.MatrixSelector():
            yield _selector(node.vector_selector, node.range.total_seconds(), function)
        case pp.Call():
            for argument in node.args:
                yield from _walk(argument, node.func.name)
        case pp.AggregateExpr():
            if node.param is not None:
                yield from _walk(node.param, function)
            yield from _walk(node.expr, str(node.op))
        case pp.BinaryExpr():
            yield from _walk(node.lhs, "")
            yield from _walk(node.rhs, "")
        case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
            yield from _walk(node.expr, function)


_OPS: dict[str, Literal["=", "!=", "=~", "!~"]] = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def _selector(node: pp.VectorSelector, range_seconds: float | None, function: str) -> Selector:
    groups = [node.matchers.matchers, *node.matchers.or_matchers]
    found = [Matcher(m.name, _OPS[str(m.op).rsplit(".", 1)[-1]], m.value) for group in groups for m in group]
    name = node.name or next((m.value for m in found if m.label == "__name__" and m.op == "="), "")
    return Selector(name, tuple(m for m in found if m.label != "__name__"), range_seconds, function)
