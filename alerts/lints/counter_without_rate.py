"""No rule reads the total of a counter where it needs a rate."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as pp

from mnemoscope import promql
from mnemoscope.instrumentation import catalog as c
from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import RATES, Subject, title

NAME = "counter-without-rate"

_EXISTENCE = frozenset({"absent", "absent_over_time", "count", "present_over_time"})


def _run(subject: Subject) -> Iterator[Finding]:
    for rule, selector, known in subject.selected():
        if not known.cumulative or selector.function in RATES | _EXISTENCE:
            continue
        if (selector.name, selector.function) not in _totals_of_new_series(rule.expr):
            yield Finding(title(rule), NAME, f"{selector.name} never falls; take its rate or increase")


def _totals_of_new_series(expression: str) -> set[tuple[str, str]]:
    """Return selectors, as name and function, that count only series without earlier samples.

    The total of a series that began within the window is its increase in it, the first event included.
    """
    found: set[tuple[str, str]] = set()
    for node in queries.nodes(expression):
        if isinstance(node, pp.BinaryExpr) and str(node.op).split()[0] == "unless":
            before = {s.name for s in promql.selectors(node.rhs.prettify()) if s.function == "present_over_time"}
            totals = promql.selectors(node.lhs.prettify())
            found.update((s.name, s.function) for s in totals if s.name in before and s.function == "max_over_time")
    return found


CHECK = Check(
    name=NAME,
    reason="The total of a counter means nothing after a restart.",
    run=_run,
    failing=lambda subject: subject.with_record(f"sum by (job) ({subject.settings.queries.series(c.CACHE_LOOKUPS)})"),
)
