"""Every label value and bucket bound in a rule can occur."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.instrumentation import catalog as c
from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject, title

NAME = "impossible-value"


def _run(subject: Subject) -> Iterator[Finding]:
    for rule in subject.rules:
        for message in queries.check_values(rule.expr, subject.settings):
            yield Finding(title(rule), NAME, message)


def _failing(subject: Subject) -> Subject:
    lookups = subject.settings.queries.name(c.CACHE_LOOKUPS)
    return subject.with_record(f'rate({lookups}{{result="hat"}}[1h])')


CHECK = Check(
    name=NAME,
    reason="A matcher of a value outside a closed set, or of a bound that is no bucket, finds nothing.",
    run=_run,
    failing=_failing,
)
