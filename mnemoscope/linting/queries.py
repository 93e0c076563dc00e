"""Hold PromQL against the catalog: does every metric, label and value that it asks for exist?

Rules, panels and runbook pages share these checks, so that a query which can only ever be empty is found
before it is shipped, wherever it is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches

import promql_parser as pp

from mnemoscope import promql
from mnemoscope.instrumentation.catalog import CATALOG, Kind, Label, Metric
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Matcher, Selector

SCRAPE_SERIES = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
"""Series that Prometheus writes for every target; they carry the target's labels alone."""

RULE_SERIES = ("ALERTS", "ALERTS_FOR_STATE")
"""Series that Prometheus writes for alerts; their labels are whatever the rules give."""

OVERFLOW = "other"
"""What a value outside a closed set is recorded as."""

_REGEX_SIGNS = frozenset("\\.+*?()[]{}^$")


@dataclass(frozen=True, slots=True)
class Known:
    """A series that may be queried.

    Attributes:
        labels: the labels it can carry; None where nothing is known about them.
        metric: the metric behind it; None for a recording rule or a series of Prometheus' own.
        part: which of a histogram's series it is.
    """

    labels: frozenset[str] | None
    metric: Metric | None = None
    part: promql.Part = ""

    @property
    def cumulative(self) -> bool:
        """Whether it only ever rises, so that a query has to take a rate of it."""
        return self.metric is not None and self.metric.kind is not Kind.GAUGE


Records = Collection[str] | Mapping[str, frozenset[str] | None]
"""The recording rules there are: their names, or their names with the labels each carries."""


def target_labels(settings: Settings) -> frozenset[str]:
    """The labels that a scrape, rather than a metric, gives a series at this site."""
    named = {settings.cluster_label, *settings.instance_labels, *settings.selectors}
    return promql.TARGET_LABELS | named


def known_series(settings: Settings, records: Records = ()) -> dict[str, Known]:
    """Every series name that a query may use, and what is known about it."""
    target = target_labels(settings)
    series: dict[str, Known] = {name: Known(target) for name in SCRAPE_SERIES}
    series |= {name: Known(None) for name in RULE_SERIES}
    for metric in CATALOG:
        labels = target | set(metric.label_names)
        if metric.kind is not Kind.HISTOGRAM:
            series[settings.queries.name(metric)] = Known(labels, metric)
            continue
        for part in _PARTS:
            kept = labels | {"le"} if part == "bucket" else labels
            series[settings.queries.name(metric, part)] = Known(kept, metric, part)
    given = records if isinstance(records, Mapping) else dict.fromkeys(records)
    return series | {name: Known(labels) for name, labels in given.items()}


_PARTS: tuple[promql.Part, ...] = ("bucket", "sum", "count")


def check_selectors(expression: str, settings: Settings, record_names: Records = ()) -> list[str]:
    """What `expression` asks for that does not exist: a metric, or a label of one.

    Grafana variables may stand for durations and for values. Give `record_names` as a mapping to have the
    labels of recording rules checked as well.

    Raises:
        MnemoscopeError: it is not PromQL.
    """
    series = known_series(settings, record_names)
    found: list[str] = []
    for selector in promql.selectors(expression):
        known = series.get(selector.name)
        if known is None:
            found.append(_unknown_metric(selector.name, series, settings))
        elif known.labels is not None:
            found += [
                f"{selector.name} has no label {matcher.label!r}{_nearest(matcher.label, known.labels)}"
                for matcher in selector.matchers
                if matcher.label not in known.labels
            ]
    return list(dict.fromkeys([*found, *_unknown_groupings(expression, series)]))


def check_values(expression: str, settings: Settings) -> list[str]:
    """Matchers of `expression` that no sample can satisfy: a value outside a closed set, or no bucket bound.

    Raises:
        MnemoscopeError: it is not PromQL.
    """
    series = known_series(settings)
    found: list[str] = []
    for selector in promql.selectors(expression):
        known = series.get(selector.name)
        if known is not None and known.metric is not None:
            for matcher in selector.matchers:
                found += _impossible(selector, known.metric, matcher)
    return list(dict.fromkeys(found))


def bounds_asked(matcher: Matcher) -> list[Decimal | None]:
    """The bucket bounds that a matcher of `le` names, None for one that is no number; `+Inf` is left out."""
    plain = matcher.value.replace(r"(\.0)?", "").replace(r"\.", ".").replace(r"\+", "+")
    texts = plain.split("|") if matcher.op in ("=~", "!~") else [plain]
    return [_number(text) for text in texts if text not in ("+Inf", ".+", ".*", "") and "$" not in text]


def nodes(expression: str) -> list[pp.Expr]:
    """Every node of the syntax tree, parents before their children.

    Raises:
        MnemoscopeError: it is not PromQL.
    """
    found: list[pp.Expr] = []
    pp.walk(promql.parse(expression), found.append)
    return found


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _unknown_metric(name: str, series: Mapping[str, Known], settings: Settings) -> str:
    if not name:
        return "a selector names no metric; start it with one"
    for metric in CATALOG:
        if metric.kind is Kind.HISTOGRAM and metric.prometheus_name(settings.prefix) == name:
            return f"{name} is a histogram; query {name}_bucket, {name}_sum or {name}_count"
    return f"unknown metric or record {name!r}{_nearest(name, series)}"


def _nearest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _unknown_groupings(expression: str, series: Mapping[str, Known]) -> Iterator[str]:
    asked = [series[s.name].labels for s in promql.selectors(expression) if s.name in series]
    if not asked or None in asked:
        return
    known = frozenset[str]().union(*(labels for labels in asked if labels is not None))
    tree = nodes(expression)
    # label_replace and label_join make new labels; count_values names one.
    known |= {node.val for node in tree if isinstance(node, pp.StringLiteral)}
    for node in tree:
        for label in _grouping(node):
            if label not in known:
                near = _nearest(label, known)
                yield f"no series of the expression has the label {label!r} it groups or matches by{near}"


def _grouping(node: pp.Expr) -> list[str]:
    if isinstance(node, pp.AggregateExpr) and node.modifier is not None:
        return node.modifier.labels if node.modifier.type == pp.AggModifierType.By else []
    if isinstance(node, pp.BinaryExpr) and node.modifier is not None:
        matching = node.modifier.matching.labels if node.modifier.matching else []
        return [*matching, *(node.modifier.group_labels or ())]
    return []


def _impossible(selector: Selector, metric: Metric, matcher: Matcher) -> Iterator[str]:
    if matcher.label == "le":
        for bound in bounds_asked(matcher):
            if bound is None or float(bound) not in metric.buckets:
                bounds = ", ".join(f"{b:g}" for b in metric.buckets)
                yield f"{selector.name} has no bucket le={matcher.value!r}; its bounds are {bounds}"
        return
    label = next((label for label in metric.labels if label.name == matcher.label), None)
    if label is None or not label.values:
        return
    for value in _plain_values(matcher):
        if value not in (*label.values, OVERFLOW):
            yield f"{selector.name}: {label.name} is never {value!r}; it is one of {_set(label)}"


def _plain_values(matcher: Matcher) -> list[str]:
    if matcher.op in ("=", "!="):
        return [] if not matcher.value or "$" in matcher.value else [matcher.value]
    values = matcher.value.split("|")
    return [] if any(_REGEX_SIGNS & set(value) for value in values) else [v for v in values if v]


def _set(label: Label) -> str:
    return ", ".join((*label.values, OVERFLOW))
