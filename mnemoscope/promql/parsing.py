"""Parsing of PromQL expressions: the syntax tree, and the selectors in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import promql_parser as pp

from mnemoscope.errors import MnemoscopeError

from .building import Matcher

_GRAFANA_DURATIONS = {
    "$__rate_interval": "5m",
    "${__rate_interval}": "5m",
    "$__interval": "1m",
    "${__interval}": "1m",
    "$__range": "1h",
    "${__range}": "1h",
}


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector of an expression.

    Attributes:
        name: the metric.
        matchers: its label matchers.
        range_seconds: its range; None for an instant selector.
        function: the function or aggregation that it is an argument of.
    """

    name: str
    matchers: tuple[Matcher, ...]
    range_seconds: float | None = None
    function: str = ""


def parse(expression: str) -> pp.Expr:
    """Return the syntax tree of `expression`, with typical durations for Grafana's interval variables.

    Raises:
        MnemoscopeError: it is not PromQL; the message includes the parser's reason.
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
    """Return every selector of `expression`, in the order in which they are written.

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
