"""The labels that the result of an expression can carry, derived from its text and the catalog."""

from __future__ import annotations

from collections.abc import Mapping

import promql_parser as pp

from mnemoscope import promql
from mnemoscope.linting import queries
from mnemoscope.linting.queries import Known
from mnemoscope.model.settings import Settings

from ..model import Pack

Labels = frozenset[str] | None
"""The labels that are left; None if they cannot be known."""

_SETS = frozenset({"and", "unless"})
_ABSENT = frozenset({"absent", "absent_over_time"})


def kept(expression: str, series: Mapping[str, Known]) -> Labels:
    """Return the labels that the result of `expression` can carry.

    Raises:
        MnemoscopeError: it is not PromQL.
    """
    return _kept(promql.parse(expression), series)


def record_labels(pack: Pack, settings: Settings) -> dict[str, Labels]:
    """Return the labels of each record; later records build on earlier records."""
    found: dict[str, Labels] = {}
    for record in pack.records():
        found[record.name] = kept(record.expr, queries.known_series(settings, found))
    return found


def _kept(node: pp.Expr, series: Mapping[str, Known]) -> Labels:
    match node:
        case pp.VectorSelector():
            known = series.get(node.name or "")
            return known.labels if known else None
        case pp.MatrixSelector():
            return _kept(node.vector_selector, series)
        case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
            return _kept(node.expr, series)
        case pp.AggregateExpr():
            return _aggregated(node, series)
        case pp.BinaryExpr():
            return _combined(node, series)
        case pp.Call():
            return _called(node, series)
    return frozenset()


def _aggregated(node: pp.AggregateExpr, series: Mapping[str, Known]) -> Labels:
    inner = _kept(node.expr, series)
    if str(node.op) in ("topk", "bottomk"):
        return inner
    if node.modifier is None:
        return frozenset()
    named = frozenset(node.modifier.labels)
    if node.modifier.type == pp.AggModifierType.By:
        return named if inner is None else named & inner
    return None if inner is None else inner - named


def _combined(node: pp.BinaryExpr, series: Mapping[str, Known]) -> Labels:
    left, right, op = _kept(node.lhs, series), _kept(node.rhs, series), str(node.op).split()[0]
    if op in _SETS or isinstance(node.rhs, pp.NumberLiteral):
        return left
    if isinstance(node.lhs, pp.NumberLiteral):
        return right
    if left is None or right is None:
        return None
    if op == "or":
        return left | right
    modifier = node.modifier
    if modifier is None or modifier.matching is None:
        return left & right
    many = right if modifier.card == pp.VectorMatchCardinality.OneToMany else left
    if modifier.card != pp.VectorMatchCardinality.OneToOne:
        return many | frozenset(modifier.group_labels or ())
    matched = frozenset(modifier.matching.labels)
    return many & matched if modifier.matching.type == pp.LabelModifierType.Include else many - matched


def _called(node: pp.Call, series: Mapping[str, Known]) -> Labels:
    arguments = list(node.args)
    vectors = [arg for arg in arguments if not isinstance(arg, (pp.NumberLiteral, pp.StringLiteral))]
    name = node.func.name
    if name in ("vector", "time", "scalar") or not vectors:
        return frozenset()
    if name in _ABSENT:
        return frozenset(m.label for s in promql.selectors(vectors[0].prettify()) for m in s.matchers if m.op == "=")
    inner = _kept(vectors[0], series)
    if inner is None:
        return None
    if name == "histogram_quantile":
        return inner - {"le"}
    if name in ("label_replace", "label_join"):
        return inner | {arg.val for arg in arguments[:2] if isinstance(arg, pp.StringLiteral)}
    return inner
