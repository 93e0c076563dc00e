"""A counter is read through `rate`, `irate` or `increase`, or tested for existence."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope import promql
from mnemoscope.instrumentation import catalog as c
from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject

NAME = "counter-without-rate"

_ALLOWED_FUNCTIONS = frozenset({"rate", "increase", "irate", "present_over_time"})


def _run(subject: Subject) -> Iterator[Finding]:
    series = queries.known_series(subject.settings)
    for where, expression in subject.parsed_expressions():
        for selector in promql.selectors(expression):
            known = series.get(selector.name)
            if known is not None and known.cumulative and selector.function not in _ALLOWED_FUNCTIONS:
                yield Finding(where, NAME, f"{selector.name} only ever rises; take a rate of it")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a query for the raw value of a counter."""
    return subject.with_query(subject.settings.queries.series(c.CACHE_LOOKUPS))


CHECK = Check(
    name=NAME,
    reason="The raw value of a counter depends on when the process started, and falls to zero at each restart.",
    run=_run,
    failing=_failing,
)
