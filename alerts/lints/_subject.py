"""The subject of every check of rules, and what several checks need to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mnemoscope import promql
from mnemoscope.linting import queries
from mnemoscope.linting.queries import Known
from mnemoscope.model.settings import Settings

from ..model import Alert, Group, Pack, Record
from . import _carried_labels

RATES = frozenset({"rate", "irate", "increase", "resets"})
"""Functions that take every fall for a restart."""

Rule = Record | Alert


@dataclass(frozen=True)
class Subject:
    """A pack, with the settings of its site and the series that its rules may read."""

    pack: Pack
    settings: Settings

    @property
    def rules(self) -> Iterator[Rule]:
        """Every rule, in order of evaluation."""
        return (rule for group in self.pack.groups for rule in group.rules)

    @cached_property
    def record_labels(self) -> Mapping[str, _carried_labels.Labels]:
        """The labels that each record carries."""
        return _carried_labels.record_labels(self.pack, self.settings)

    @cached_property
    def series(self) -> Mapping[str, Known]:
        """Every series that a rule may read, by name."""
        return queries.known_series(self.settings, self.record_labels)

    def selected(self) -> Iterator[tuple[Rule, promql.Selector, Known]]:
        """Yield every selector of a known series, with its rule."""
        for rule in self.rules:
            for selector in promql.selectors(rule.expr):
                if selector.name in self.series:
                    yield rule, selector, self.series[selector.name]

    def with_groups(self, *groups: Group) -> Subject:
        """Return a copy with further groups."""
        return Subject(Pack((*self.pack.groups, *groups)), self.settings)

    def with_record(self, expr: str) -> Subject:
        """Return a copy with a further record."""
        return self.with_groups(Group("examples", (Record("job:example:record", expr),)))

    def with_alert(self, expr: str, **changes: Any) -> Subject:
        """Return a copy with a further alert: the first one under another name, with `expr` and `changes`."""
        given = {"name": "Example", "description": "The value is {{ $value }}.", "variables": (), **changes}
        return self.with_groups(Group("examples", (replace(next(self.pack.alerts()), expr=expr, **given),)))


def title(rule: Rule) -> str:
    """Return the name of a rule, with the labels that other rules of the name do not have."""
    if isinstance(rule, Record):
        return rule.name
    windows = (rule.labels[key] for key in ("long_window", "short_window") if key in rule.labels)
    return f"{rule.name} ({', '.join((rule.severity, *windows))})"
