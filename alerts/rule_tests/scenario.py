"""The parts of a rule test: series, and what fires or is recorded at which moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..model import Alert
from .clock import Clock, milliseconds
from .expected import Firing
from .series import Series


@dataclass(frozen=True, slots=True)
class Check:
    """What fires at the moment `at` (milliseconds), of the alert called `alert`; nothing by default."""

    at: int
    alert: str
    firing: tuple[Firing, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """What a record holds at a moment: label text and value of each sample of `expr`."""

    at: int
    record: str
    expr: str
    samples: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Input series, and what must come out of them.

    Attributes:
        name: a sentence about what is shown.
        file: name of the test file, without its ending: the alert's, or that of a group of records.
        series: the input.
        checks: what fires, and when.
        queries: what records hold.
        clock: when samples come and rules are evaluated, if not as the site does it; the same for a whole file.
    """

    name: str
    file: str
    series: tuple[Series, ...]
    checks: tuple[Check, ...] = ()
    queries: tuple[Query, ...] = ()
    clock: Clock | None = None


def due(clock: Clock, rule: Alert, since: int) -> int:
    """Return the evaluation at which a rule that holds since `since` fires."""
    return clock.evaluated(since + milliseconds(rule.for_))


def fired(holding: Iterable[Alert], since: int, at: int, labels: Mapping[str, str], value: float) -> tuple[Firing, ...]:
    """Return those rules in `holding`, which hold since `since`, that fire at `at`."""
    return tuple(Firing(rule, labels, value) for rule in holding if at - since >= milliseconds(rule.for_))
