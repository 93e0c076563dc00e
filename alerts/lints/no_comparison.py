"""Every alert compares its value, or looks for something absent."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as pp

from mnemoscope import promql
from mnemoscope.instrumentation import catalog as c
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject, title

NAME = "no-comparison"

_COMPARISONS = frozenset({">", "<", ">=", "<=", "==", "!="})


def _run(subject: Subject) -> Iterator[Finding]:
    for alert in subject.pack.alerts():
        if not _decides(promql.parse(alert.expr)):
            message = "nothing is compared, so the alert fires whenever the series exist"
            yield Finding(title(alert), NAME, message)


def _decides(node: pp.Expr) -> bool:
    """Return whether a comparison leaves series out, or the absence of series is what is found."""
    match node:
        case pp.ParenExpr():
            return _decides(node.expr)
        case pp.Call():
            return node.func.name.startswith("absent")
        case pp.BinaryExpr():
            op = str(node.op).split()[0]
            if op in _COMPARISONS:
                return not (node.modifier is not None and node.modifier.return_bool)
            if op == "or":
                return _decides(node.lhs) and _decides(node.rhs)
            if op in ("and", "unless"):
                return op == "unless" or _decides(node.lhs) or _decides(node.rhs)
    return False


CHECK = Check(
    name=NAME,
    reason="An alert without a comparison fires whenever its series exist.",
    run=_run,
    failing=lambda subject: subject.with_alert(subject.settings.queries.series(c.LOCK_WAITERS)),
)
