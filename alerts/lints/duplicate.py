"""No two rules write the same series, and no two alerts have the same expression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..model import Alert, Group, Pack, Record
from ._subject import Rule, Subject, title

NAME = "duplicate"


def _run(subject: Subject) -> Iterator[Finding]:
    counted = Counter(_identity(rule) for rule in subject.rules)
    for (name, *_), count in counted.items():
        if count > 1:
            yield Finding(name, NAME, f"{count} rules write the same series")
    for alert, other in _same_expression(subject.pack):
        yield Finding(title(alert), NAME, f"the same expression as {title(other)}")


def _identity(rule: Rule) -> tuple[str, ...]:
    if isinstance(rule, Record):
        return (rule.name,)
    return (title(rule), *(f"{k}={v}" for k, v in sorted(rule.labels.items())))


def _same_expression(pack: Pack) -> Iterator[tuple[Alert, Alert]]:
    first: dict[str, Alert] = {}
    for alert in pack.alerts():
        other = first.setdefault(alert.expr, alert)
        if other is not alert:
            yield alert, other


CHECK = Check(
    name=NAME,
    reason="Prometheus refuses to write a series twice, and two alerts on one fault notify twice.",
    run=_run,
    failing=lambda subject: subject.with_groups(Group("examples", (next(subject.pack.records()),))),
)
