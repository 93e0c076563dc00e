"""No denominator can be zero."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as pp

from mnemoscope.instrumentation import catalog as c
from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject, title

NAME = "nan-ratio"


def _run(subject: Subject) -> Iterator[Finding]:
    for rule in subject.rules:
        for node in queries.nodes(rule.expr):
            if isinstance(node, pp.BinaryExpr) and str(node.op) == "/" and not _never_zero(node.rhs):
                message = f"the denominator {_short(node.rhs)} may be zero; compare it with > 0"
                yield Finding(title(rule), NAME, message)


def _never_zero(node: pp.Expr) -> bool:
    if isinstance(node, pp.ParenExpr):
        return _never_zero(node.expr)
    if isinstance(node, pp.NumberLiteral):
        return node.val != 0
    return isinstance(node, pp.BinaryExpr) and str(node.op) in (">", "!=") and str(node.rhs) == "0"


def _short(node: pp.Expr) -> str:
    text = " ".join(node.prettify().split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _failing(subject: Subject) -> Subject:
    waiters = subject.settings.queries.series(c.LOCK_WAITERS)
    return subject.with_record(f"{waiters} / {waiters}")


CHECK = Check(
    name=NAME,
    reason="Without events a quotient is NaN: no comparison holds for it, and a record of it spoils every sum.",
    run=_run,
    failing=_failing,
)
