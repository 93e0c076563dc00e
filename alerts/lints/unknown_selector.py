"""Every metric, record and label that a rule reads exists."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject, title

NAME = "unknown-selector"


def _run(subject: Subject) -> Iterator[Finding]:
    for rule in subject.rules:
        for message in queries.check_selectors(rule.expr, subject.settings, subject.record_labels):
            yield Finding(title(rule), NAME, message)


CHECK = Check(
    name=NAME,
    reason="A selector of a metric or label that does not exist finds nothing, and the rule stays silent.",
    run=_run,
    failing=lambda subject: subject.with_record(f"rate({subject.settings.prefix}_nothing_total[1h])"),
)
