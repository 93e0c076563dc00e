"""What promtool does not see: rules that are valid and yet can never be right.

Each check is one function that yields what it found; `CHECKS` is the table of them. The list of checks follows
pint's; the typed catalog decides most of what pint has to ask a running Prometheus.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import promql_parser as pp

from mnemoscope import promql
from mnemoscope.errors import MnemoscopeError
from mnemoscope.instrumentation.catalog import Kind
from mnemoscope.linting import queries
from mnemoscope.linting.finding import Finding
from mnemoscope.linting.queries import Known
from mnemoscope.model import units
from mnemoscope.model.links import BOARDS
from mnemoscope.model.settings import Settings

from .. import render
from ..model import Alert, Pack, Record
from . import carried_labels

MAX_GROUP = 20
"""Rules a group may hold: they are evaluated one after the other, within one interval."""

SAMPLES_IN_RANGE = 4
"""Scrapes that a range must span, so that a missed one leaves enough for a rate."""

RATES = frozenset({"rate", "irate", "increase", "resets"})
GAUGE_CHANGES = frozenset({"delta", "idelta", "deriv", "predict_linear", "changes"})
EXISTENCE = frozenset({"absent", "absent_over_time", "count", "present_over_time"})
COMPARISONS = frozenset({">", "<", ">=", "<=", "==", "!="})

_LABEL_IN_TEMPLATE = re.compile(r"\$labels\.(\w+)")

Rule = Record | Alert


@dataclass(frozen=True)
class Subject:
    """A pack, with what is known of the series that its rules may read."""

    pack: Pack
    settings: Settings
    series: Mapping[str, Known]

    def rules(self) -> Iterator[Rule]:
        """Every rule, in order of evaluation."""
        return (rule for group in self.pack.groups for rule in group.rules)


Check = Callable[[Subject], Iterator[tuple[str, str]]]


def lint(pack: Pack, settings: Settings) -> list[Finding]:
    """Everything that is wrong with the rules of `pack`; an expression that cannot be read ends the matter."""
    unreadable = [
        Finding(_name(rule), "syntax", str(error))
        for group in pack.groups
        for rule in group.rules
        for error in _unreadable(rule)
    ]
    if unreadable:
        return unreadable
    series = queries.known_series(settings, carried_labels.record_labels(pack, settings))
    subject = Subject(pack, settings, series)
    return [Finding(where, name, message) for name, check in CHECKS.items() for where, message in check(subject)]


def unknown_selector(subject: Subject) -> Iterator[tuple[str, str]]:
    """A metric, record or label that does not exist."""
    records = carried_labels.record_labels(subject.pack, subject.settings)
    for rule in subject.rules():
        for message in queries.check_selectors(rule.expr, subject.settings, records):
            yield _name(rule), message


def impossible_value(subject: Subject) -> Iterator[tuple[str, str]]:
    """A label value outside its closed set, or a bucket bound that does not exist."""
    for rule in subject.rules():
        for message in queries.check_values(rule.expr, subject.settings):
            yield _name(rule), message


def counter_without_rate(subject: Subject) -> Iterator[tuple[str, str]]:
    """A counter whose raw total is read: it means nothing after a restart."""
    for rule, selector, known in _selected(subject):
        if not known.cumulative or selector.function in (*RATES, *EXISTENCE):
            continue
        if (selector.name, selector.function) not in _totals_of_new_series(rule.expr):
            yield _name(rule), f"{selector.name} only ever rises; take its rate or increase"


def rate_of_gauge(subject: Subject) -> Iterator[tuple[str, str]]:
    """A rate of something that may fall: every fall is taken for a restart."""
    for rule, selector, known in _selected(subject):
        gauge = known.metric is not None and known.metric.kind is Kind.GAUGE
        recorded = known.metric is None and selector.name not in queries.RULE_SERIES
        if (gauge or recorded) and selector.function in RATES:
            yield _name(rule), f"{selector.name} is no counter; {selector.function}() of it takes falls for restarts"
        if known.cumulative and selector.function in GAUGE_CHANGES:
            yield _name(rule), f"{selector.name} is a counter; {selector.function}() of it takes restarts for falls"


def short_range(subject: Subject) -> Iterator[tuple[str, str]]:
    """A range that spans too few scrapes."""
    least = SAMPLES_IN_RANGE * units.seconds(subject.settings.scrape_interval)
    for rule in subject.rules():
        for selector in promql.selectors(rule.expr):
            if selector.range_seconds is not None and selector.range_seconds < least:
                has = f"the range of {selector.name} is {selector.range_seconds:g} s"
                yield _name(rule), f"{has}; it must span {SAMPLES_IN_RANGE} scrapes ({least:g} s)"


def no_comparison(subject: Subject) -> Iterator[tuple[str, str]]:
    """An alert that fires whenever its series exist."""
    for alert in subject.pack.alerts():
        if not _decides(promql.parse(alert.expr)):
            yield _name(alert), "nothing is compared, so the alert fires whenever the series exist"


def template_label(subject: Subject) -> Iterator[tuple[str, str]]:
    """An annotation that shows a label which the expression aggregates away."""
    for alert in subject.pack.alerts():
        kept = carried_labels.kept(alert.expr, subject.series)
        for name, template in render.annotations(alert, subject.settings).items():
            for label in dict.fromkeys(_LABEL_IN_TEMPLATE.findall(template)):
                if kept is not None and label not in kept:
                    yield _name(alert), f"{name} shows the label {label!r}, which the expression does not keep"


def duplicate(subject: Subject) -> Iterator[tuple[str, str]]:
    """Two records of one name, or two alerts that nothing tells apart."""
    keys = Counter(_identity(rule) for rule in subject.rules())
    for (name, *_), count in keys.items():
        if count > 1:
            yield name, f"{count} rules write the same series"
    for alert, other in _same_expression(subject.pack):
        yield _name(alert), f"the same expression as {_name(other)}"


def dependency(subject: Subject) -> Iterator[tuple[str, str]]:
    """A record that is read before it is written, or from a group that runs beside its own."""
    home = {rule.name: (at, i) for at, g in enumerate(subject.pack.groups) for i, rule in _records(g.rules)}
    for at, group in enumerate(subject.pack.groups):
        for index, rule in enumerate(group.rules):
            for selector in promql.selectors(rule.expr):
                where = home.get(selector.name)
                if where is None and ":" in selector.name:
                    yield _name(rule), f"no rule writes {selector.name}"
                elif where is not None and where >= (at, index):
                    yield _name(rule), f"{selector.name} is written later; move it before this rule"
                elif where is not None and isinstance(rule, Record) and where[0] != at:
                    yield _name(rule), f"{selector.name} is written in another group; keep a chain in one group"


def group_size(subject: Subject) -> Iterator[tuple[str, str]]:
    """A group of too many rules, of none, or of a name that another has."""
    names = Counter(group.name for group in subject.pack.groups)
    for group in subject.pack.groups:
        if not 0 < len(group.rules) <= MAX_GROUP:
            yield group.name, f"{len(group.rules)} rules; a group has between 1 and {MAX_GROUP}"
        if names[group.name] > 1:
            yield group.name, "another group has the same name"


def no_board(subject: Subject) -> Iterator[tuple[str, str]]:
    """An alert whose link leads nowhere."""
    for alert in subject.pack.alerts():
        address = render.annotations(alert, subject.settings)["dashboard_url"]
        if not any(f"/d/{board}?" in address for board in BOARDS) or "viewPanel=" not in address:
            yield _name(alert), f"{address} leads to no panel of a board"


def nan_ratio(subject: Subject) -> Iterator[tuple[str, str]]:
    """A quotient whose denominator may be zero."""
    for rule in subject.rules():
        for node in queries.nodes(rule.expr):
            if isinstance(node, pp.BinaryExpr) and str(node.op) == "/" and not _never_zero(node.rhs):
                yield _name(rule), f"the denominator {_short(node.rhs)} may be zero; compare it with > 0"


CHECKS: dict[str, Check] = {
    "unknown-selector": unknown_selector,
    "impossible-value": impossible_value,
    "counter-without-rate": counter_without_rate,
    "rate-of-gauge": rate_of_gauge,
    "short-range": short_range,
    "no-comparison": no_comparison,
    "template-label": template_label,
    "duplicate": duplicate,
    "dependency": dependency,
    "group-size": group_size,
    "no-board": no_board,
    "nan-ratio": nan_ratio,
}
"""Every check by its name."""


def _unreadable(rule: Rule) -> Iterator[MnemoscopeError]:
    try:
        promql.parse(rule.expr)
    except MnemoscopeError as error:
        yield error


def _name(rule: Rule) -> str:
    if isinstance(rule, Record):
        return rule.name
    told_apart = [rule.severity, *(rule.labels[k] for k in ("long_window", "short_window") if k in rule.labels)]
    return f"{rule.name} ({', '.join(told_apart)})"


def _identity(rule: Rule) -> tuple[str, ...]:
    if isinstance(rule, Record):
        return (rule.name,)
    return (_name(rule), *(f"{k}={v}" for k, v in sorted(rule.labels.items())))


def _selected(subject: Subject) -> Iterator[tuple[Rule, promql.Selector, Known]]:
    for rule in subject.rules():
        for selector in promql.selectors(rule.expr):
            if selector.name in subject.series:
                yield rule, selector, subject.series[selector.name]


def _totals_of_new_series(expression: str) -> set[tuple[str, str]]:
    """Selectors, as name and function, whose series count only where they were not there before.

    The total of a series that began within the window is its increase in it, the first event included.
    """
    found: set[tuple[str, str]] = set()
    for node in queries.nodes(expression):
        if isinstance(node, pp.BinaryExpr) and str(node.op).split()[0] == "unless":
            before = {s.name for s in promql.selectors(node.rhs.prettify()) if s.function == "present_over_time"}
            totals = promql.selectors(node.lhs.prettify())
            found.update((s.name, s.function) for s in totals if s.name in before and s.function == "max_over_time")
    return found


def _records(rules: tuple[Rule, ...]) -> Iterator[tuple[int, Record]]:
    return ((index, rule) for index, rule in enumerate(rules) if isinstance(rule, Record))


def _same_expression(pack: Pack) -> Iterator[tuple[Alert, Alert]]:
    first: dict[str, Alert] = {}
    for alert in pack.alerts():
        other = first.setdefault(alert.expr, alert)
        if other is not alert:
            yield alert, other


def _decides(node: pp.Expr) -> bool:
    """Whether series are left out by a comparison, or found by their absence."""
    match node:
        case pp.ParenExpr():
            return _decides(node.expr)
        case pp.Call():
            return node.func.name.startswith("absent")
        case pp.BinaryExpr():
            op = str(node.op).split()[0]
            if op in COMPARISONS:
                return not (node.modifier is not None and node.modifier.return_bool)
            if op == "or":
                return _decides(node.lhs) and _decides(node.rhs)
            if op in ("and", "unless"):
                return op == "unless" or _decides(node.lhs) or _decides(node.rhs)
    return False


def _never_zero(node: pp.Expr) -> bool:
    if isinstance(node, pp.ParenExpr):
        return _never_zero(node.expr)
    if isinstance(node, pp.NumberLiteral):
        return node.val != 0
    return isinstance(node, pp.BinaryExpr) and str(node.op) in (">", "!=") and str(node.rhs) == "0"


def _short(node: pp.Expr) -> str:
    text = " ".join(node.prettify().split())
    return text if len(text) <= 80 else f"{text[:77]}..."
