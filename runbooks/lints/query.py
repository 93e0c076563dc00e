"""Each query parses and uses metrics, labels and values that exist."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.errors import MnemoscopeError
from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import PROMQL, Subject

NAME = "query"


def _run(subject: Subject) -> Iterator[Finding]:
    for page in subject.pages.values():
        for fence in page.fences:
            if fence.language == PROMQL:
                for message in _of_query(fence.text, subject):
                    yield Finding(subject.place(page, fence.line), NAME, message)


def _of_query(text: str, subject: Subject) -> list[str]:
    if not text.strip():
        return ["the query is empty"]
    try:
        return [
            *queries.check_selectors(text, subject.settings, subject.records),
            *queries.check_values(text, subject.settings),
        ]
    except MnemoscopeError as error:
        return [str(error)]


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a query that is cut off."""
    return subject.with_line("```promql\nsum(\n```")


CHECK = Check(
    name=NAME,
    reason="A query that fails or never returns data misleads the diagnosis.",
    run=_run,
    failing=_failing,
)
