"""No rule takes the rate of a gauge, or the difference of a counter."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Kind
from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import RATES, Subject, title

NAME = "rate-of-gauge"

_GAUGE_CHANGES = frozenset({"delta", "idelta", "deriv", "predict_linear", "changes"})


def _run(subject: Subject) -> Iterator[Finding]:
    for rule, selector, known in subject.selected():
        gauge = known.metric is not None and known.metric.kind is Kind.GAUGE
        recorded = known.metric is None and selector.name not in queries.RULE_SERIES
        if (gauge or recorded) and selector.function in RATES:
            message = f"{selector.name} is no counter; {selector.function}() of it takes falls for restarts"
            yield Finding(title(rule), NAME, message)
        if known.cumulative and selector.function in _GAUGE_CHANGES:
            message = f"{selector.name} is a counter; {selector.function}() of it takes restarts for falls"
            yield Finding(title(rule), NAME, message)


CHECK = Check(
    name=NAME,
    reason="A rate takes every fall for a restart, so the rate of a value that may fall is wrong.",
    run=_run,
    failing=lambda subject: subject.with_record(f"rate({subject.settings.queries.series(c.LOCK_WAITERS)}[1h])"),
)
