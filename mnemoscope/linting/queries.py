"""Check PromQL against the catalog: every metric, label and label value in it must exist.

Rules, panels and runbook pages share these checks. They find a query that can never return data before it is shipped.
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
"""Series that Prometheus writes for every target. They have only the labels of the target."""

RULE_SERIES = ("ALERTS", "ALERTS_FOR_STATE")
"""Series that Prometheus writes for alerts. Their labels come from the rules."""

OVERFLOW = "other"
"""The value that is recorded for a value outside a closed set."""

_REGEX_SIGNS = frozenset("\\.+*?()[]{}^$")


@dataclass(frozen=True, slots=True)
class Known:
    """A series that may be queried.

    Attributes:
        labels: the labels that it can have; None if they are not known.
        metric: the metric behind it; None for a record or a series that Prometheus itself writes.
        part: which series of a histogram it is.
    """

    labels: frozenset[str] | None
    metric: Metric | None = None
    part: promql.Part = ""

    @property
    def cumulative(self) -> bool:
        """Whether it only rises, so that a query must take a rate of it."""
        return self.metric is not None and self.metric.kind is not Kind.GAUGE


Records = Collection[str] | Mapping[str, frozenset[str] | None]
"""The recording rules of a pack: their names, or their names with the labels of each."""


def target_labels(settings: Settings) -> frozenset[str]:
    """Return the labels that a series gets from the scrape at this site."""
    named = {settings.cluster_label, *settings.instance_labels, *settings.selectors}
    return promql.TARGET_LABELS | named


def known_series(settings: Settings, records: Records = ()) -> dict[str, Known]:
    """Return every series that a query may use, by name."""
    target = target_labels(settings)
    series: dict[str, Known] = {name: Known(target) for name in SCRAPE_SERIES}
    series |= {name: Known(None) for name in RULE_SERIES}
    for metric in CATALOG:
        labels = target | set(metric.label_names)
        if metric.kind is not Kind.HISTOGRAM:
            series[settings.queries.name(metric)] = Known(labels, metric)
            continue
        for part in _PARTS:
            part_labels = labels | {"le"} if part == "bucket" else labels
            series[settings.queries.name(metric, part)] = Known(part_labels, metric, part)
    given = records if isinstance(records, Mapping) else dict.fromkeys(records)
    return series | {name: Known(labels) for name, labels in given.items()}


_PARTS: tuple[promql.Part, ...] = ("bucket", "sum", "count")


def check_selectors(expression: str, settings: Settings, record_names: Records = ()) -> list[str]:
    """Return a message for each metric, and each label of a metric, in `expression` that does not exist.

    Grafana variables may stand for durations and for values. If `record_names` is a mapping, the labels of records are
    checked as well.

    Raises:
        MnemoscopeError: `expression` is not PromQL.
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
    """Return a message for each matcher that no sample can match: a value outside a closed set, or no bucket bound.

    Raises:
        MnemoscopeError: `expression` is not PromQL.
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
    """Return the bucket bounds in a matcher of `le`, without `+Inf`. A bound that is not a number is None."""
    plain = matcher.value.replace(r"(\.0)?", "").replace(r"\.", ".").replace(r"\+", "+")
    texts = plain.split("|") if matcher.op in ("=~", "!~") else [plain]
    return [_number(text) for text in texts if text not in ("+Inf", ".+", ".*", "") and "$" not in text]


def nodes(expression: str) -> list[pp.Expr]:
    """Return every node of the syntax tree, parents before their children.

    Raises:
        MnemoscopeError: `expression` is not PromQL.
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
        return "a selector names no metric; begin it with a metric"
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
    # label_replace, label_join and count_values create labels that are named by a string.
    known |= {node.val for node in tree if isinstance(node, pp.StringLiteral)}
    for node in tree:
        for label in _grouping(node):
            if label not in known:
                near = _nearest(label, known)
                yield f"no series has the label {label!r}, which the expression groups or matches by{near}"


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
            yield f"{selector.name}: {label.name} is never {value!r}; its values are {_set(label)}"


def _plain_values(matcher: Matcher) -> list[str]:
    if matcher.op in ("=", "!="):
        return [] if not matcher.value or "$" in matcher.value else [matcher.value]
    values = matcher.value.split("|")
    return [] if any(_REGEX_SIGNS & set(value) for value in values) else [v for v in values if v]


def _set(label: Label) -> str:
    return ", ".join((*label.values, OVERFLOW))
