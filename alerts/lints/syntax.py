"""Every expression is PromQL."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope import promql
from mnemoscope.errors import MnemoscopeError
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject, title

NAME = "syntax"


def _run(subject: Subject) -> Iterator[Finding]:
    for rule in subject.rules:
        try:
            promql.parse(rule.expr)
        except MnemoscopeError as error:
            yield Finding(title(rule), NAME, str(error))


CHECK = Check(
    name=NAME,
    reason="Prometheus refuses a whole rule file if one expression in it is not PromQL.",
    run=_run,
    failing=lambda subject: subject.with_record("sum by ("),
)
