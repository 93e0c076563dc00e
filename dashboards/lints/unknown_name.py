"""Every metric, record, label and label value in a query exists."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from .subject import Subject

NAME = "unknown-name"

_LABEL_VALUES = re.compile(r"label_values\((.+), *\w+\)\Z")


def run(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each name in a query, or in the query of a variable, that does not exist."""
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


def failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a query for a metric that no service exports."""
    return subject.with_query(f"{subject.settings.prefix}_no_such_metric")


CHECK = Check(
    NAME,
    "A query for a metric, label or value that does not exist never returns data. The panel stays empty without an "
    "error.",
    run,
    failing,
)
