"""The parts of a rule test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..model import Alert
from .expected import Firing
from .series import Clock, Series, milliseconds


@dataclass(frozen=True, slots=True)
class Check:
    """What fires, of the alert called `alert`, at the moment `at` (milliseconds)."""

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
    """Series that go in, and what has to come out.

    Attributes:
        name: a sentence about what is shown.
        file: name of the test file, without its ending: the alert's, or that of a group of records.
        series: the input.
        checks: what fires, and when.
        queries: what records hold.
        clock: when samples come and rules are evaluated, if not as the site does it; one for a whole file.
    """

    name: str
    file: str
    series: tuple[Series, ...]
    checks: tuple[Check, ...] = ()
    queries: tuple[Query, ...] = ()
    clock: Clock | None = None


def due(clock: Clock, rule: Alert, active: int) -> int:
    """The evaluation at which a rule that holds since `active` fires."""
    return clock.evaluated(active + milliseconds(rule.for_))


def fired(
    rules: Iterable[Alert], holding: Iterable[Alert], active: int, at: int, labels: Mapping[str, str], value: float
) -> tuple[Firing, ...]:
    """Those of `rules` that fire at `at`, when those in `holding` hold since `active`."""
    held = list(holding)
    return tuple(
        Firing(rule, labels, value) for rule in rules if rule in held and at - active >= milliseconds(rule.for_)
    )
