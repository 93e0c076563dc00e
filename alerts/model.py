"""The parts of a rule pack: records, alerts, and the groups in which they are evaluated.

The constructors refuse a rule with a missing field, so that the mistake is an error where the rule is written and not a
surprise on call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model.links import BOARDS
from mnemoscope.model.objectives import Objective
from mnemoscope.model.settings import Severity
from mnemoscope.model.thresholds import Threshold

_ALERT = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
_RECORD = re.compile(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*:[a-z][a-z0-9_]*\Z")
MAX_ALERT_NAME = 40


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule, named `level:metric:operations`."""

    name: str
    expr: str

    def __post_init__(self) -> None:
        if not _RECORD.match(self.name):
            raise ValueError(f"record {self.name!r}: name it level:metric:operations")
        if not self.expr.strip():
            raise ValueError(f"record {self.name}: no expression")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule.

    Several rules may share a name (one for each limit or burn-rate window). Their labels differ, and they share one
    runbook page and one panel.

    Attributes:
        name: CamelCase, at most 40 characters.
        expr: the expression that has a result while the fault lasts.
        for_: how long it must have a result.
        severity: `critical` pages, `warning` opens a ticket, `info` is for the record.
        summary: one static sentence.
        description: a sentence with `{{ $value }}` or `{{ $labels.x }}` in it.
        board: uid of the board that the alert links to.
        panel: key of the panel on that board.
        variables: template variables of the link, each from a label of the alert.
        labels: further labels, such as the burn-rate window.
        threshold: the threshold behind it, if there is one.
        objective: the objective behind it, if there is one.
        unit: unit of `$value`.
        limit: the number that `$value` is compared with: one limit of the threshold, or the share of bad events of a
            burn-rate window. None if there is no such number.
    """

    name: str
    expr: str
    for_: str
    severity: Severity
    summary: str
    description: str
    board: str
    panel: str
    variables: tuple[str, ...] = ("job",)
    labels: dict[str, str] = field(default_factory=dict)
    threshold: Threshold | None = None
    objective: Objective | None = None
    unit: Unit = Unit.COUNT
    limit: Decimal | None = None

    def __post_init__(self) -> None:
        if not _ALERT.match(self.name) or len(self.name) > MAX_ALERT_NAME:
            raise ValueError(f"alert {self.name!r}: CamelCase, at most {MAX_ALERT_NAME} characters")
        for name in ("expr", "for_", "summary", "description", "panel"):
            if not getattr(self, name):
                raise ValueError(f"alert {self.name}: no {name.rstrip('_')}")
        if "{{" in self.summary or not self.summary[0].isupper() or not self.summary.endswith("."):
            raise ValueError(f"alert {self.name}: the summary is one static sentence, capitalised, with a period")
        if "{{" not in self.description:
            raise ValueError(f"alert {self.name}: the description has no template; show the value or a label in it")
        if self.board not in BOARDS:
            raise ValueError(f"alert {self.name}: unknown board {self.board!r}; known are {', '.join(BOARDS)}")


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated in order; a chain of records stays within one group."""

    name: str
    rules: tuple[Record | Alert, ...]


@dataclass(frozen=True, slots=True)
class Pack:
    """All rules for one set of settings."""

    groups: tuple[Group, ...]

    def records(self) -> Iterator[Record]:
        """Yield every recording rule, in order of evaluation."""
        return (rule for group in self.groups for rule in group.rules if isinstance(rule, Record))

    def alerts(self) -> Iterator[Alert]:
        """Yield every alerting rule, in order of evaluation."""
        return (rule for group in self.groups for rule in group.rules if isinstance(rule, Alert))

    def alert_names(self) -> tuple[str, ...]:
        """Return the distinct alert names, in order of evaluation."""
        return tuple(dict.fromkeys(alert.name for alert in self.alerts()))

    def rules_of(self, alert: str) -> tuple[Alert, ...]:
        """Return the rules that share the name `alert`."""
        return tuple(rule for rule in self.alerts() if rule.name == alert)
