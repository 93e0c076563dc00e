"""Every selector is narrowed by the variables of its board.

Selectors of records and of `ALERTS` are narrowed by cluster and job. All others are narrowed by instance too.
"""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope import promql
from mnemoscope.instrumentation import catalog as c
from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..expressions import variable_matcher
from ._subject import Subject

NAME = "missing-matcher"


def _run(subject: Subject) -> Iterator[Finding]:
    labels = subject.variable_labels
    for where, expression in subject.parsed_expressions():
        for selector in promql.selectors(expression):
            aggregated = ":" in selector.name or selector.name in queries.RULE_SERIES
            for role, label in labels.items():
                if role == "instance" and aggregated:
                    continue
                if variable_matcher(label) not in selector.matchers:
                    yield Finding(where, NAME, f"{selector.name} lacks the matcher {variable_matcher(label)}")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a query that ignores the variables."""
    return subject.with_query(subject.settings.queries.series(c.SERVICE_READY))


CHECK = Check(
    name=NAME,
    reason="Without the matcher the panel ignores the selected cluster, job or instance, and mixes in other series.",
    run=_run,
    failing=_failing,
)
