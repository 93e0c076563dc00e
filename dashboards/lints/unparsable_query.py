"""Every query of panels and annotations is PromQL."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope import promql
from mnemoscope.errors import MnemoscopeError
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject

NAME = "unparsable-query"


def _run(subject: Subject) -> Iterator[Finding]:
    for where, expression in subject.expressions():
        try:
            promql.parse(expression)
        except MnemoscopeError as error:
            yield Finding(where, NAME, str(error))


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a query that is cut off."""
    return subject.with_query("sum(")


CHECK = Check(
    name=NAME,
    reason="Prometheus rejects a query that does not parse, and the panel shows an error.",
    run=_run,
    failing=_failing,
)
