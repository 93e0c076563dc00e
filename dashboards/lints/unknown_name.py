"""Every metric, record, label and label value in a query exists."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject

NAME = "unknown-name"

_LABEL_VALUES = re.compile(r"label_values\((.+), *\w+\)\Z")


def _run(subject: Subject) -> Iterator[Finding]:
    settings, records = subject.settings, subject.records
    for where, expression in [*subject.parsed_expressions(), *_variable_queries(subject)]:
        for message in queries.check_selectors(expression, settings, records):
            yield Finding(where, NAME, message)
        for message in queries.check_values(expression, settings):
            yield Finding(where, NAME, message)


def _variable_queries(subject: Subject) -> Iterator[tuple[str, str]]:
    for board in subject.boards:
        for variable in board.document["templating"]["list"]:
            match = _LABEL_VALUES.match(variable.get("definition", ""))
            if match:
                yield f"{board.uid} / variable {variable.get('name')}", match[1]


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a query for a metric that no service exports."""
    return subject.with_query(f"{subject.settings.prefix}_no_such_metric")


CHECK = Check(
    name=NAME,
    reason="A query for a name that does not exist never returns data. The panel stays empty without an error.",
    run=_run,
    failing=_failing,
)
